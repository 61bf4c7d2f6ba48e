"""The closed set of operations that a worker process carries out: name, arguments, result, and whether it changes
anything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from maos_ckpt.client import EVERYTHING, ProgressSink
from maos_ckpt.model import (
    Checkpoint,
    CompactResult,
    DiffResult,
    FindResult,
    Plan,
    ProcessReport,
    PruneResult,
    Recommendation,
    RecoveryResult,
    ResumePoint,
    Selection,
    Trigger,
    VerifyLevel,
    VerifyResult,
    VerifyTier,
)
from maos_ckpt.model.contents import Exported, History, RecordPage
from maos_ckpt.model.drills import DrillReport
from maos_ckpt.operations import checkpoints, contents, drills, insights, integrity, keeping, recoveries, rescues
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.sources.maos.running import find_running


@dataclass(frozen=True, slots=True)
class SaveArguments:
    """See `checkpoints.save`."""

    trigger: Trigger
    description: str = ""
    tags: tuple[str, ...] = ()
    keep_last: int = 0


@dataclass(frozen=True, slots=True)
class DiffArguments:
    """See `checkpoints.diff`."""

    before: str
    after: str
    limit: int


@dataclass(frozen=True, slots=True)
class PlanArguments:
    """See `recoveries.plan`."""

    name: str
    selection: Selection
    limit: int


@dataclass(frozen=True, slots=True)
class RecoverArguments:
    """See `recoveries.recover`."""

    name: str
    selection: Selection
    digest: str | None
    reason: str
    limit: int


@dataclass(frozen=True, slots=True)
class RecoverToArguments:
    """See `recoveries.recover_to`."""

    name: str
    selection: Selection
    to: str
    digest: str | None
    limit: int
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class UndoPlanArguments:
    """See `recoveries.undo_plan`."""

    limit: int
    only: Selection = EVERYTHING


@dataclass(frozen=True, slots=True)
class UndoArguments:
    """See `recoveries.undo`."""

    digest: str | None
    reason: str
    limit: int
    only: Selection = EVERYTHING


@dataclass(frozen=True, slots=True)
class RescuePlanArguments:
    """See `rescues.plan`."""

    limit: int


@dataclass(frozen=True, slots=True)
class RescueArguments:
    """See `rescues.rescue`."""

    digest: str | None
    reason: str
    limit: int


@dataclass(frozen=True, slots=True)
class ResumePointArguments:
    """See `rescues.resume_point`."""

    agent: str
    at: str


@dataclass(frozen=True, slots=True)
class ProcessesArguments:
    """See `find_running`."""


@dataclass(frozen=True, slots=True)
class VerifyArguments:
    """See `checkpoints.verify`."""

    names: tuple[str, ...]
    level: VerifyLevel
    tier: VerifyTier = VerifyTier.ALL


@dataclass(frozen=True, slots=True)
class RepairArguments:
    """See `integrity.repair`."""

    level: VerifyLevel


@dataclass(frozen=True, slots=True)
class ScrubArguments:
    """See `checkpoints.scrub`."""


@dataclass(frozen=True, slots=True)
class DrillArguments:
    """See `drills.drill`."""

    name: str
    scenarios: tuple[str, ...]
    trigger: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class PruneArguments:
    """See `keeping.prune`."""

    keep_last: int
    dry_run: bool


@dataclass(frozen=True, slots=True)
class CompactArguments:
    """See `keeping.compact`."""

    slice_s: float


@dataclass(frozen=True, slots=True)
class FindArguments:
    """See `insights.find`."""

    text: str
    between: tuple[str, str] | None
    component: str | None
    ignore_case: bool
    limit: int


@dataclass(frozen=True, slots=True)
class RecommendArguments:
    """See `insights.recommend`."""

    name: str | None


@dataclass(frozen=True, slots=True)
class RecordsArguments:
    """See `contents.records`."""

    name: str
    component: str | None
    pattern: str | None
    after: str
    limit: int
    clip: int | None = None


@dataclass(frozen=True, slots=True)
class HistoryArguments:
    """See `checkpoints.history`."""

    key: str
    limit: int


@dataclass(frozen=True, slots=True)
class ExportArguments:
    """See `contents.export`."""

    name: str
    directory: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation. `writes` says that it must be finished once begun; a compaction may stop anywhere. `cancellable`
    ones, of which there is one at a time, may be taken back until they commit."""

    arguments: type
    result: type
    run: Callable[[Workspace, Any, ProgressSink], object]
    writes: bool
    cancellable: bool = False


def _save(workspace: Workspace, a: SaveArguments, progress: ProgressSink) -> Checkpoint:
    return checkpoints.save(workspace, a.trigger, a.description, a.tags, progress, keep_last=a.keep_last)


def _diff(workspace: Workspace, a: DiffArguments, progress: ProgressSink) -> DiffResult:
    return checkpoints.diff(workspace, a.before, a.after, a.limit, progress)


def _plan(workspace: Workspace, a: PlanArguments, progress: ProgressSink) -> Plan:
    return recoveries.plan(workspace, a.name, a.selection, a.limit, progress)


def _recover(workspace: Workspace, a: RecoverArguments, progress: ProgressSink) -> RecoveryResult:
    return recoveries.recover(workspace, a.name, a.selection, a.digest, a.reason, a.limit, progress)


def _recover_to(workspace: Workspace, a: RecoverToArguments, progress: ProgressSink) -> RecoveryResult:
    return recoveries.recover_to(workspace, a.name, a.selection, a.to, a.digest, a.limit, progress, dry_run=a.dry_run)


def _undo_plan(workspace: Workspace, a: UndoPlanArguments, progress: ProgressSink) -> Plan:
    return recoveries.undo_plan(workspace, a.limit, progress, only=a.only)


def _undo(workspace: Workspace, a: UndoArguments, progress: ProgressSink) -> RecoveryResult:
    return recoveries.undo(workspace, a.digest, a.reason, a.limit, progress, only=a.only)


def _rescue_plan(workspace: Workspace, a: RescuePlanArguments, progress: ProgressSink) -> Plan:
    return rescues.plan(workspace, a.limit, progress)


def _rescue(workspace: Workspace, a: RescueArguments, progress: ProgressSink) -> RecoveryResult:
    return rescues.rescue(workspace, a.digest, a.reason, a.limit, progress)


def _resume_point(workspace: Workspace, a: ResumePointArguments, progress: ProgressSink) -> ResumePoint:
    return rescues.resume_point(workspace, a.agent, a.at, progress)


def _processes(workspace: Workspace, _: ProcessesArguments, progress: ProgressSink) -> ProcessReport:
    return find_running(workspace.seams, workspace.claude_home)


def _verify(workspace: Workspace, a: VerifyArguments, progress: ProgressSink) -> VerifyResult:
    return checkpoints.verify(workspace, a.names, a.level, progress, tier=a.tier)


def _repair(workspace: Workspace, a: RepairArguments, progress: ProgressSink) -> VerifyResult:
    return integrity.repair(workspace, a.level, progress)


def _scrub(workspace: Workspace, _: ScrubArguments, progress: ProgressSink) -> VerifyResult:
    return checkpoints.scrub(workspace, progress)


def _drill(workspace: Workspace, a: DrillArguments, progress: ProgressSink) -> DrillReport:
    return drills.drill(workspace, a.name, a.scenarios, a.trigger, a.reason, progress)


def _prune(workspace: Workspace, a: PruneArguments, progress: ProgressSink) -> PruneResult:
    return keeping.prune(workspace, a.keep_last, a.dry_run, progress)


def _compact(workspace: Workspace, a: CompactArguments, progress: ProgressSink) -> CompactResult:
    return keeping.compact(workspace, a.slice_s, progress)


def _find(workspace: Workspace, a: FindArguments, progress: ProgressSink) -> FindResult:
    return insights.find(
        workspace,
        a.text,
        progress,
        between=a.between,
        component=a.component,
        ignore_case=a.ignore_case,
        limit=a.limit,
    )


def _recommend(workspace: Workspace, a: RecommendArguments, progress: ProgressSink) -> Recommendation:
    return insights.recommend(workspace, a.name, progress)


def _records(workspace: Workspace, a: RecordsArguments, progress: ProgressSink) -> RecordPage:
    return contents.records(workspace, a.name, a.component, a.pattern, a.after, a.limit, progress, a.clip)


def _history(workspace: Workspace, a: HistoryArguments, progress: ProgressSink) -> History:
    return checkpoints.history(workspace, a.key, a.limit)


def _export(workspace: Workspace, a: ExportArguments, progress: ProgressSink) -> Exported:
    return contents.export(workspace, a.name, a.directory, progress)


OPERATIONS: dict[str, Operation] = {
    "save": Operation(SaveArguments, Checkpoint, _save, writes=True),
    "diff": Operation(DiffArguments, DiffResult, _diff, writes=False),
    "plan": Operation(PlanArguments, Plan, _plan, writes=False),
    "restore": Operation(RecoverArguments, RecoveryResult, _recover, writes=True, cancellable=True),
    "restore to": Operation(RecoverToArguments, RecoveryResult, _recover_to, writes=False),
    "undo plan": Operation(UndoPlanArguments, Plan, _undo_plan, writes=False),
    "undo": Operation(UndoArguments, RecoveryResult, _undo, writes=True, cancellable=True),
    "rescue plan": Operation(RescuePlanArguments, Plan, _rescue_plan, writes=False),
    "rescue": Operation(RescueArguments, RecoveryResult, _rescue, writes=True, cancellable=True),
    "resume point": Operation(ResumePointArguments, ResumePoint, _resume_point, writes=False),
    "ps": Operation(ProcessesArguments, ProcessReport, _processes, writes=False),
    "verify": Operation(VerifyArguments, VerifyResult, _verify, writes=False),
    "repair": Operation(RepairArguments, VerifyResult, _repair, writes=True),
    "scrub": Operation(ScrubArguments, VerifyResult, _scrub, writes=False),
    "drill": Operation(DrillArguments, DrillReport, _drill, writes=False),
    "prune": Operation(PruneArguments, PruneResult, _prune, writes=True),
    "find": Operation(FindArguments, FindResult, _find, writes=False),
    "recommend": Operation(RecommendArguments, Recommendation, _recommend, writes=False),
    "records": Operation(RecordsArguments, RecordPage, _records, writes=False),
    "history": Operation(HistoryArguments, History, _history, writes=False),
    "export": Operation(ExportArguments, Exported, _export, writes=False),
    "compact": Operation(CompactArguments, CompactResult, _compact, writes=False),
}
