"""Planning, applying and taking back a recovery."""

from __future__ import annotations

from maos_ckpt.audit.entries import PARTIAL
from maos_ckpt.client import ProgressSink
from maos_ckpt.events import RecoveryCompleted
from maos_ckpt.fs import raise_storage_error
from maos_ckpt.model import Plan, RecoveryResult, Selection
from maos_ckpt.operations.audit import Note, audited
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.recovery import undo as undoing
from maos_ckpt.recovery.apply import recover as apply_plan
from maos_ckpt.recovery.plan import make_plan
from maos_ckpt.recovery.request import Request, checked_digest
from maos_ckpt.repository.holds import hold_planned


def plan(workspace: Workspace, name: str, selection: Selection, limit: int, progress: ProgressSink) -> Plan:
    """What recovering `selection` of a checkpoint would change; changes nothing.

    Retention leaves the checkpoint alone for `HOLD_S` from now on, so that the plan can be applied after it was read.
    """
    with workspace.reading() as repository:
        checkpoint = repository.resolve(name)
        hold_planned(repository, checkpoint.id)
        source = workspace.live_source(repository, allow_missing=True)
        return make_plan(
            repository, source, checkpoint, selection, limit=limit, progress=progress, seams=workspace.seams
        )


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
        request = Request(repository.resolve(name), selection, digest, reason, limit)
        about = (request.checkpoint.id,)
        with audited(workspace, "restore", reason=reason, digest=digest or "", about=about, begun=True) as note:
            _make_home(workspace)
            result = apply_plan(repository, source, request, progress, workspace.seams)
            _tell(note, result)
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
    """What taking back the last recovery would change; writes nothing."""
    with workspace.reading() as repository:
        source = workspace.live_source(repository, allow_missing=True)
        return undoing.undo_plan(repository, source, limit=limit, progress=progress, seams=workspace.seams)


def undo(workspace: Workspace, digest: str | None, reason: str, limit: int, progress: ProgressSink) -> RecoveryResult:
    """Take back the last recovery; itself undoable. Raises UsageError as `recover` does."""
    digest = checked_digest(digest)
    with workspace.writing("undo", allow_missing=True) as (repository, source):
        with audited(workspace, "undo", reason=reason, digest=digest or "", begun=True) as note:
            _make_home(workspace)
            result = undoing.undo(
                repository, source, digest=digest, reason=reason, limit=limit, progress=progress, seams=workspace.seams
            )
            _tell(note, result)
        _record(workspace, result, reason, undo=True)
    return result


def _tell(note: Note, result: RecoveryResult) -> None:
    """What a recovery did, for the audit log."""
    note.about = tuple(one for one in (result.plan.checkpoint, result.safety_checkpoint) if one)
    note.digest = result.plan.digest
    if not result.applied:
        note.detail = "there was nothing to do"
        return
    if result.partial or not result.verified:
        note.result = PARTIAL
    how = "verified" if result.verified else "NOT verified"
    note.detail = f"{result.plan.summary.total} changes, {how}"


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
