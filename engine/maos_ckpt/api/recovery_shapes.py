"""What is asked for and answered where something is recovered."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from maos_ckpt.api.codec import Computed, changed
from maos_ckpt.api.event_shapes import EventShape
from maos_ckpt.api.plans import PlanKind
from maos_ckpt.api.reading import Digest, Name
from maos_ckpt.api.shapes import errors_of
from maos_ckpt.model import MergePolicy, RecoveryResult, RunningOperation, Selection

CHANGES_MAX = 10_000
NAMED_MAX = 100
_TEXT_CHARACTERS_MAX = 1000
_REASON_CHARACTERS_MAX = 2000

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
