"""Recoveries: at once, or by a plan that is made, read, and applied by its digest; taking them back; how they stand."""

from __future__ import annotations

import dataclasses
import operator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType
from starlette.responses import Response

from maos_ckpt.api.answers import json_answer
from maos_ckpt.api.codec import Computed, changed
from maos_ckpt.api.endpoint import Endpoint, Exchange
from maos_ckpt.api.event_shapes import EventShape, event_shape
from maos_ckpt.api.plans import KeptPlan, PlanKind
from maos_ckpt.api.reading import Digest, Name, Nothing
from maos_ckpt.api.shapes import errors_of
from maos_ckpt.api.underway import carry_out, read_body
from maos_ckpt.errors import UsageError
from maos_ckpt.model import MergePolicy, Plan, RecoveryResult, RunningOperation, Selection
from maos_ckpt.model.access import Scope

CHANGES_MAX = 10_000
NAMED_MAX = 100
_TEXT_CHARACTERS_MAX = 1000
_REASON_CHARACTERS_MAX = 2000
#: How far back the last recovery is looked for.
_EVENTS_SEARCHED_MAX = 500
_RECOVERIES = ("restore", "undo", "rescue")

Names = Annotated[list[Annotated[str, Meta(min_length=1, max_length=_TEXT_CHARACTERS_MAX)]], Meta(max_length=NAMED_MAX)]
Reason = Annotated[str, Meta(max_length=_REASON_CHARACTERS_MAX, description="Why; it stands in the audit log.")]
Changes = Annotated[int, Meta(ge=0, le=CHANGES_MAX, description="Changes listed; all are counted.")]


class Chosen(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Which part of a checkpoint; all of it where nothing is named, and what is named adds up."""

    components: Names = []
    records: Names = []
    searches: Names = []
    agents: Names = []
    orchestrations: Names = []
    fields: Names = []
    exact: bool = False
    with_dependencies: bool = False
    merge: MergePolicy = MergePolicy.REPLACE

    @property
    def selection(self) -> Selection:
        """As the engine knows it."""
        return Selection(
            components=tuple(self.components),
            records=tuple(self.records),
            exact=self.exact,
            with_dependencies=self.with_dependencies,
            searches=tuple(self.searches),
            agents=tuple(self.agents),
            orchestrations=tuple(self.orchestrations),
            fields=tuple(self.fields),
            merge=self.merge,
        )


class Recovery(Chosen, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """What to recover, of `checkpointId` or else of the latest checkpoint; a body that says nothing is refused, since
    everything is not what an empty request asks for. `partial` says what the selection says already, and is refused
    where they differ. With `dryRun` nothing is changed; with `plan` exactly the plan of this digest is applied, or
    none."""

    checkpoint_id: Name | UnsetType = UNSET
    partial: bool | UnsetType = UNSET
    dry_run: bool = False
    plan: Digest | UnsetType = UNSET
    reason: Reason = ""
    limit: Changes = 1000

    @property
    def says_nothing(self) -> bool:
        """Whether it tells neither what to recover nor that nothing be changed."""
        return self == Recovery(reason=self.reason, limit=self.limit)

    @property
    def checkpoint(self) -> str:
        """The checkpoint that is meant."""
        return "latest" if isinstance(self.checkpoint_id, UnsetType) else self.checkpoint_id


class Undo(Chosen, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Which part of the last recovery to take back; all of it where nothing is named."""

    dry_run: bool = False
    plan: Digest | UnsetType = UNSET
    reason: Reason = ""
    limit: Changes = 1000


class Planning(Chosen, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """What to plan: a recovery, taking the last one back, or mending what a crash left behind."""

    kind: PlanKind = PlanKind.RECOVERY
    checkpoint_id: Name = "latest"
    limit: Changes = 1000


class Application(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why a plan is applied."""

    reason: Reason = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryAnswer(RecoveryResult):
    """What a recovery did, or, in a dry run, would do. `errors` are what its plan found that is wrong; `success`: it
    did, or would do, all that was asked for."""

    dry_run: bool

    @property
    def success(self) -> bool:
        """See the class."""
        if self.dry_run:
            return not errors_of(self.plan)
        return (self.verified or not self.plan.summary.total) and not self.partial


changed(
    RecoveryAnswer,
    computed=(
        Computed("success", bool, operator.attrgetter("success")),
        Computed("partial", bool, operator.attrgetter("partial")),
        Computed("errors", tuple[str, ...], lambda one: errors_of(one.plan)),
    ),
)


@dataclass(frozen=True, slots=True)
class PlanSummary:
    """A plan in a list."""

    kind: PlanKind
    digest: str
    checkpoint: str
    created_at_ms: int
    changes: int


@dataclass(frozen=True, slots=True)
class PlanList:
    """Plans that can be applied, newest first."""

    plans: tuple[PlanSummary, ...]


@dataclass(frozen=True, slots=True)
class Dropped:
    """A plan that is forgotten."""

    digest: str
    deleted: bool = True


@dataclass(frozen=True, slots=True)
class RecoveryStatus:
    """How recoveries stand: the one under way, if there is one; the last one; and one sentence about one that a crash
    interrupted, or ""."""

    running: RunningOperation | None
    last: EventShape | None
    unfinished: str


def _checked(asked: Recovery) -> Selection:
    if asked.says_nothing:
        raise UsageError(
            "The body does not say what to recover.",
            kept="Nothing was changed.",
            hint='Give `checkpointId`, which may be "latest", or `dryRun` to see what that would do.',
        )
    selection = asked.selection
    if not isinstance(asked.partial, UnsetType) and asked.partial is selection.all_records:
        said = "partial, and nothing is named" if asked.partial else "not partial, and a part is named"
        raise UsageError(
            f"The recovery is to be {said}.",
            kept="Nothing was changed.",
            hint="Name components, records, agents or others, or leave `partial` out.",
        )
    return selection


def _digest(asked: Recovery | Undo) -> str | None:
    if isinstance(asked.plan, UnsetType):
        return None
    if asked.dry_run:
        raise UsageError(
            "A plan is applied, and a dry run applies nothing.", kept="Nothing was changed.", hint="Leave one out."
        )
    return asked.plan


def _dry(exchange: Exchange, kind: PlanKind, name: str, selection: Selection, plan: Plan) -> RecoveryAnswer:
    exchange.shared.plans.keep(kind, name, selection, plan)
    return RecoveryAnswer(
        plan=plan, applied=False, verified=False, safety_checkpoint=None, duration_s=0.0, dry_run=True
    )


def _done(result: RecoveryResult) -> RecoveryAnswer:
    given = {one.name: getattr(result, one.name) for one in dataclasses.fields(RecoveryResult)}
    return RecoveryAnswer(**given, dry_run=False)


async def _recover(exchange: Exchange) -> Response:
    asked = await read_body(exchange, Recovery)
    selection, digest, client = _checked(asked), _digest(asked), exchange.client

    def recover() -> RecoveryAnswer:
        if asked.dry_run:
            plan = client.plan(asked.checkpoint, selection, asked.limit)
            return _dry(exchange, PlanKind.RECOVERY, plan.checkpoint, selection, plan)
        return _done(client.recover(asked.checkpoint, selection, digest=digest, reason=asked.reason, limit=asked.limit))

    return await carry_out(exchange, "plan" if asked.dry_run else "restore", recover)


async def _undo(exchange: Exchange) -> Response:
    asked = await read_body(exchange, Undo)
    only, digest, client = asked.selection, _digest(asked), exchange.client

    def undo() -> RecoveryAnswer:
        if asked.dry_run:
            return _dry(exchange, PlanKind.UNDO, "", only, client.undo_plan(asked.limit, only))
        return _done(client.undo(digest=digest, reason=asked.reason, limit=asked.limit, only=only))

    return await carry_out(exchange, "undo plan" if asked.dry_run else "undo", undo)


async def _cancel(exchange: Exchange) -> Response:
    await read_body(exchange, Nothing)
    return json_answer(exchange.request, {"cancelled": await exchange.call(exchange.client.cancel_recovery)})


async def _status(exchange: Exchange) -> Response:
    status = await exchange.call(exchange.client.status)
    events = await exchange.call(exchange.client.recent_events, _EVENTS_SEARCHED_MAX)
    last = next((event_shape(name, fields) for name, fields in events if name == "RecoveryCompleted"), None)
    running = status.running if status.running and status.running.operation in _RECOVERIES else None
    return json_answer(exchange.request, RecoveryStatus(running, last, status.unfinished_recovery))


async def _plan(exchange: Exchange) -> Response:
    asked = await read_body(exchange, Planning)
    selection, client = asked.selection, exchange.client
    if asked.kind is PlanKind.RESCUE and selection != Selection():
        raise UsageError("A rescue takes no selection.", kept="Nothing was planned.")

    def plan() -> KeptPlan:
        match asked.kind:
            case PlanKind.UNDO:
                made = client.undo_plan(asked.limit, selection)
            case PlanKind.RESCUE:
                made = client.rescue_plan(asked.limit)
            case PlanKind.RECOVERY:
                made = client.plan(asked.checkpoint_id, selection, asked.limit)
        # By its id: `latest` may be another one when the plan is applied.
        name = made.checkpoint if asked.kind is PlanKind.RECOVERY else ""
        return exchange.shared.plans.keep(asked.kind, name, selection, made)

    place = f"{exchange.base}/plans"
    return await carry_out(
        exchange,
        "plan",
        plan,
        status=HTTPStatus.CREATED,
        headers=lambda kept: {"location": f"{place}/{kept.plan.digest}"},
    )


async def _plans(exchange: Exchange) -> Response:
    found = exchange.shared.plans.newest_first()
    listed = tuple(
        PlanSummary(one.kind, one.plan.digest, one.plan.checkpoint, one.created_at_ms, one.plan.summary.total)
        for one in found
    )
    return json_answer(exchange.request, PlanList(listed))


async def _show_plan(exchange: Exchange) -> Response:
    return json_answer(exchange.request, exchange.shared.plans.find(exchange.named("digest", Digest)))


async def _drop_plan(exchange: Exchange) -> Response:
    kept = exchange.shared.plans.find(exchange.named("digest", Digest))
    exchange.shared.plans.drop(kept)
    return json_answer(exchange.request, Dropped(kept.plan.digest))


async def _apply(exchange: Exchange) -> Response:
    digest = exchange.named("digest", Digest)
    asked = await read_body(exchange, Application)
    client = exchange.client

    def apply() -> RecoveryAnswer:
        exchange.shared.plans.refuse_if_applied(digest)
        kept = exchange.shared.plans.find(digest)
        whole, limit = kept.plan.digest, len(kept.plan.changes)
        match kept.kind:
            case PlanKind.UNDO:
                result = client.undo(digest=whole, reason=asked.reason, limit=limit, only=kept.selection)
            case PlanKind.RESCUE:
                result = client.rescue(digest=whole, reason=asked.reason, limit=limit)
            case PlanKind.RECOVERY:
                result = client.recover(kept.checkpoint, kept.selection, digest=whole, reason=asked.reason, limit=limit)
        exchange.shared.plans.applied(kept)
        return _done(result)

    return await carry_out(exchange, "apply", apply)


_DIGEST = {"digest": Digest}
_CONFLICT = (HTTPStatus.CONFLICT,)

ENDPOINTS = (
    Endpoint(
        "POST",
        "/recovery",
        Scope.RECOVER,
        _recover,
        "recover a checkpoint or a part of it, or see what that would do",
        body=Recovery,
        answer=RecoveryAnswer,
        problems=_CONFLICT,
        runs=True,
    ),
    Endpoint("GET", "/recovery/status", Scope.READ, _status, "how recoveries stand", answer=RecoveryStatus),
    Endpoint(
        "POST",
        "/recovery/undo",
        Scope.RECOVER,
        _undo,
        "take back the last recovery or a part of it",
        body=Undo,
        answer=RecoveryAnswer,
        problems=_CONFLICT,
        runs=True,
    ),
    Endpoint(
        "POST",
        "/recovery/cancel",
        Scope.RECOVER,
        _cancel,
        "stop the recovery that is under way, unless it has been committed",
        body=Nothing,
        answer=dict[str, bool],
    ),
    Endpoint(
        "POST",
        "/plans",
        Scope.RECOVER,
        _plan,
        "make a plan; nothing live is changed",
        body=Planning,
        answer=KeptPlan,
        status=HTTPStatus.CREATED,
        problems=_CONFLICT,
        runs=True,
    ),
    Endpoint("GET", "/plans", Scope.READ, _plans, "plans that can be applied", answer=PlanList),
    Endpoint("GET", "/plans/{digest}", Scope.READ, _show_plan, "one plan", answer=KeptPlan, placeholders=_DIGEST),
    Endpoint(
        "DELETE",
        "/plans/{digest}",
        Scope.RECOVER,
        _drop_plan,
        "forget a plan",
        answer=Dropped,
        placeholders=_DIGEST,
    ),
    Endpoint(
        "POST",
        "/plans/{digest}/apply",
        Scope.RECOVER,
        _apply,
        "apply exactly this plan",
        body=Application,
        answer=RecoveryAnswer,
        placeholders=_DIGEST,
        problems=_CONFLICT,
        runs=True,
    ),
)
