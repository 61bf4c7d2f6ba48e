"""Planning, applying and taking back a recovery."""

from __future__ import annotations

import contextlib
import itertools
import statistics
from collections.abc import Iterator
from typing import Final

from maos_ckpt.client import ProgressSink
from maos_ckpt.events import RecoveryCompleted
from maos_ckpt.fs import raise_storage_error
from maos_ckpt.model import Plan, RecoveryResult, Selection
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.recovery import plan as planning
from maos_ckpt.recovery import undo as undoing
from maos_ckpt.recovery.apply import recover as apply_plan
from maos_ckpt.recovery.plan import OpenPlan, PlanRequest
from maos_ckpt.recovery.request import Request, checked_digest
from maos_ckpt.repository.holds import hold_planned

#: Recoveries whose speed counts: so many of at least so many records, among so many entries of the journal.
_RATES_MAX: Final = 5
_RATE_CHANGES_MIN: Final = 1000
_RATES_ENTRIES: Final = 2000


def plan(workspace: Workspace, name: str, selection: Selection, limit: int, progress: ProgressSink) -> Plan:
    """The plan of `open_plan`, with at most `limit` of its changes."""
    with open_plan(workspace, name, selection, limit, progress) as opened:
        return opened.plan


@contextlib.contextmanager
def open_plan(
    workspace: Workspace, name: str, selection: Selection, limit: int, progress: ProgressSink
) -> Iterator[OpenPlan]:
    """What recovering `selection` of a checkpoint would change; changes nothing.

    Retention leaves the checkpoint alone for `HOLD_S` from now on, so that the plan can be applied after it was read.
    """
    with workspace.reading() as repository:
        checkpoint = repository.resolve(name)
        hold_planned(repository, checkpoint.id)
        source = workspace.live_source(repository, allow_missing=True)
        request = PlanRequest(checkpoint, selection, limit, records_per_s=_records_per_s(workspace))
        with planning.open_plan(repository, source, request, progress, workspace.seams) as opened:
            yield opened


def _records_per_s(workspace: Workspace) -> float:
    """How fast the last recoveries of more than a few records have written, the median of them."""
    rates: list[float] = []
    for name, fields in itertools.islice(workspace.journal.newest_first(), _RATES_ENTRIES):
        changes, duration_s = fields.get("changes"), fields.get("duration_s")
        if name == RecoveryCompleted.__name__ and isinstance(changes, int) and isinstance(duration_s, int | float):
            if changes >= _RATE_CHANGES_MIN and duration_s > 0:
                rates.append(changes / duration_s)
            if len(rates) == _RATES_MAX:
                break
    return statistics.median(rates) if rates else planning.RECORDS_PER_S


def recover(
    workspace: Workspace,
    name: str,
    selection: Selection,
    digest: str | None,
    reason: str,
    limit: int,
    progress: ProgressSink,
) -> RecoveryResult:
    """Apply exactly the plan of that digest, or, where it is None, the plan as it is at that moment.

    Raises:
        UsageError: see `checked_digest`; raised before anything is looked at.
    """
    digest = checked_digest(digest)
    with workspace.writing("restore", allow_missing=True) as (repository, source):
        _make_home(workspace)
        request = Request(repository.resolve(name), selection, digest, reason, limit)
        result = apply_plan(repository, source, request, progress, workspace.seams)
        _record(workspace, result, reason, undo=False)
    return result


def _make_home(workspace: Workspace) -> None:
    """Make the directory that a lost database goes back into, where that is gone as well."""
    database = workspace.database
    if database is None or database.parent.is_dir():
        return
    try:
        database.parent.mkdir(parents=True)
    except OSError as error:
        raise_storage_error(error, database.parent)


def undo_plan(workspace: Workspace, limit: int, progress: ProgressSink) -> Plan:
    """The plan of `open_undo_plan`, with at most `limit` of its changes."""
    with open_undo_plan(workspace, limit, progress) as opened:
        return opened.plan


@contextlib.contextmanager
def open_undo_plan(workspace: Workspace, limit: int, progress: ProgressSink) -> Iterator[OpenPlan]:
    """What taking back the last recovery would change; writes nothing."""
    with workspace.reading() as repository:
        source = workspace.live_source(repository, allow_missing=True)
        with undoing.open_undo_plan(
            repository, source, limit=limit, progress=progress, seams=workspace.seams
        ) as opened:
            yield opened


def undo(workspace: Workspace, digest: str | None, reason: str, limit: int, progress: ProgressSink) -> RecoveryResult:
    """Take back the last recovery; itself undoable. Raises UsageError as `recover` does."""
    digest = checked_digest(digest)
    with workspace.writing("undo", allow_missing=True) as (repository, source):
        _make_home(workspace)
        result = undoing.undo(
            repository, source, digest=digest, reason=reason, limit=limit, progress=progress, seams=workspace.seams
        )
        _record(workspace, result, reason, undo=True)
    return result


def _record(workspace: Workspace, result: RecoveryResult, reason: str, *, undo: bool) -> None:
    if not result.applied:
        return
    event = RecoveryCompleted(
        at_ms=workspace.now_ms(),
        checkpoint=result.plan.checkpoint,
        digest=result.plan.digest,
        safety_checkpoint=result.safety_checkpoint or "",
        reason=reason,
        changes=result.plan.summary.total,
        verified=result.verified,
        undo=undo,
        duration_s=result.duration_s,
    )
    workspace.record(event)
