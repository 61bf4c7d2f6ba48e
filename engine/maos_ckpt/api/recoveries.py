"""Recoveries: at once, or by a plan that is made, read, and applied by its digest; taking them back; how they stand."""

from __future__ import annotations

import dataclasses
from http import HTTPStatus

from msgspec import UnsetType
from starlette.responses import Response

from maos_ckpt.api.answers import json_answer
from maos_ckpt.api.endpoint import Endpoint, Exchange
from maos_ckpt.api.event_shapes import event_shape
from maos_ckpt.api.plans import KeptPlan, PlanKind
from maos_ckpt.api.reading import Digest, Nothing
from maos_ckpt.api.recovery_shapes import (
    Application,
    Dropped,
    PlanList,
    Planning,
    PlanSummary,
    Recovery,
    RecoveryAnswer,
    RecoveryStatus,
    Undo,
)
from maos_ckpt.api.underway import carry_out, read_body
from maos_ckpt.errors import UsageError
from maos_ckpt.model import Plan, RecoveryResult, Selection
from maos_ckpt.model.access import Scope

#: How far back the last recovery is looked for.
_EVENTS_SEARCHED_MAX = 500
_RECOVERIES = ("restore", "undo", "rescue")


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
