"""Planning, applying and taking back a recovery."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from maos_ckpt.audit.entries import PARTIAL
from maos_ckpt.client import EVERYTHING, ProgressSink
from maos_ckpt.events import RecoveryCompleted
from maos_ckpt.fs import raise_storage_error
from maos_ckpt.model import Plan, RecoveryResult, Selection
from maos_ckpt.operations.audit import Note, audited, record
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.recovery import open_plan as planning
from maos_ckpt.recovery import undo as undoing
from maos_ckpt.recovery.alone import alone
from maos_ckpt.recovery.apply import recover as apply_plan
from maos_ckpt.recovery.elsewhere import open_plan_elsewhere, recover_elsewhere
from maos_ckpt.recovery.open_plan import OpenPlan
from maos_ckpt.recovery.plan import RECORDS_PER_S
from maos_ckpt.recovery.quiesce import Hooks, quiesced
from maos_ckpt.recovery.request import Request, checked_digest
from maos_ckpt.repository.holds import hold_planned
from maos_ckpt.repository.repository import Repository
from maos_ckpt.sources.base import Source
from maos_ckpt.sources.several import SeveralSource

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
        request, rate = Request(checkpoint, selection, limit=limit), records_per_s(workspace)
        with planning.open_plan(repository, source, request, progress, workspace.seams, records_per_s=rate) as opened:
            yield opened


def records_per_s(workspace: Workspace) -> float:
    """How fast the last recoveries of more than a few records have written, the median of them."""
    import statistics

    rates: list[float] = []
    for name, fields in itertools.islice(workspace.journal.newest_first(), _RATES_ENTRIES):
        changes, duration_s = fields.get("changes"), fields.get("duration_s")
        if name == RecoveryCompleted.__name__ and isinstance(changes, int) and isinstance(duration_s, int | float):
            if changes >= _RATE_CHANGES_MIN and duration_s > 0:
                rates.append(changes / duration_s)
            if len(rates) == _RATES_MAX:
                break
    return statistics.median(rates) if rates else RECORDS_PER_S


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

    def apply(repository: Repository, source: Source, sink: ProgressSink) -> RecoveryResult:
        request = Request(repository.resolve(name), selection, digest, reason, limit)
        return apply_plan(repository, source, request, sink, workspace.seams)

    return carry_out(workspace, "restore", reason, apply, progress, digest=digest, name=name)


def carry_out(
    workspace: Workspace,
    operation: str,
    reason: str,
    apply: Callable[[Repository, Source, ProgressSink], RecoveryResult],
    progress: ProgressSink,
    *,
    digest: str | None,
    name: str = "",
    part: bool = False,
) -> RecoveryResult:
    """Apply a plan while no other recovery works here, and while the system is held still by its own commands.

    `digest` and `name` are the plan and the checkpoint that were asked for, as the audit log tells of them.
    """
    recovery = workspace.config.recovery
    hooks = Hooks(
        recovery.quiesce_command, recovery.resume_command, recovery.quiesce_timeout_s, recovery.resume_timeout_s
    )
    with _alone(workspace, operation, progress) as (repository, source, sink):
        directory = workspace.repository if workspace.database is None else workspace.database.parent
        about = (repository.resolve(name).id,) if name else ()
        with (
            audited(workspace, operation, reason=reason, digest=digest or "", about=about, begun=True) as note,
            quiesced(hooks, directory, sink, workspace.seams) as still,
            _held_still(source) as told,
        ):
            result = apply(repository, source, still.progress)
            _tell(note, result)
        _record(workspace, result, reason, undo=operation == "undo", part=part)
    return replace(result, notes=(*result.notes, *still.notes, *told))


@contextlib.contextmanager
def _held_still(source: Source) -> Iterator[list[str]]:
    """Hold the system of several sources still by its own hooks, from the safety checkpoint to the verification; after
    the block the list says what went wrong with that."""
    notes: list[str] = []
    if not isinstance(source, SeveralSource):
        yield notes
        return
    source.session.hold(recovery=True)
    try:
        yield notes
    finally:
        pause = source.session.let_go()
        if pause.expired:
            notes.append(f"The system was let go on after {pause.pause_s:.1f} s, before the recovery had ended.")
        notes += [pause.note] if pause.note else []


@contextlib.contextmanager
def _alone(
    workspace: Workspace, operation: str, progress: ProgressSink
) -> Iterator[tuple[Repository, Source, ProgressSink]]:
    """What a recovery works on, while no other one does.

    Raises:
        RecoveryRunningError: another one does; at once, unlike where a save or a prune has to end first.
    """
    workspace.refuse_if_read_only(operation)
    with contextlib.ExitStack() as stack:
        if workspace.bring_home():
            progress = stack.enter_context(alone(workspace.repository, operation, progress, workspace.seams))
        repository, source = stack.enter_context(workspace.writing(operation, allow_missing=True))
        _make_home(workspace)
        yield repository, source, progress


def _make_home(workspace: Workspace) -> None:
    """Make the directory that a lost database goes back into, where that is gone as well."""
    database = workspace.database
    if database is None or database.parent.is_dir():
        return
    try:
        database.parent.mkdir(parents=True)
    except OSError as error:
        raise_storage_error(error, database.parent)


def recover_to(
    workspace: Workspace,
    name: str,
    selection: Selection,
    to: str,
    digest: str | None,
    limit: int,
    progress: ProgressSink,
    *,
    dry_run: bool = False,
) -> RecoveryResult:
    """Build the selected part of a checkpoint at another place; see `recover_elsewhere`. Reads no live state.

    `dry_run` gives the plan of `open_plan_to`.
    """
    digest = checked_digest(digest)
    if dry_run:
        started_s = workspace.seams.clock.monotonic_s()
        with open_plan_to(workspace, name, selection, to, digest, limit, progress) as opened:
            took_s = round(workspace.seams.clock.monotonic_s() - started_s, 3)
            return RecoveryResult(opened.plan, False, False, None, took_s)
    with workspace.reading() as repository:
        request = _elsewhere(repository, name, selection, digest, limit)
        result = recover_elsewhere(repository, request, to, workspace.database, progress, workspace.seams)
        about = (request.checkpoint.id,)
        record(workspace, "restore elsewhere", digest=result.plan.digest, detail=f"to {to}", about=about)
        return result


@contextlib.contextmanager
def open_plan_to(
    workspace: Workspace,
    name: str,
    selection: Selection,
    to: str,
    digest: str | None,
    limit: int,
    progress: ProgressSink,
) -> Iterator[OpenPlan]:
    """What `recover_to` would build; writes nothing, and retention leaves the checkpoint alone as `open_plan` says."""
    digest = checked_digest(digest)
    with workspace.reading() as repository:
        request = _elsewhere(repository, name, selection, digest, limit)
        with open_plan_elsewhere(repository, request, to, workspace.database, progress, workspace.seams) as opened:
            yield opened


def _elsewhere(repository: Repository, name: str, selection: Selection, digest: str | None, limit: int) -> Request:
    checkpoint = repository.resolve(name)
    hold_planned(repository, checkpoint.id)
    return Request(checkpoint, selection, digest, limit=limit)


def undo_plan(workspace: Workspace, limit: int, progress: ProgressSink, *, only: Selection = EVERYTHING) -> Plan:
    """The plan of `open_undo_plan`, with at most `limit` of its changes."""
    with open_undo_plan(workspace, limit, progress, only=only) as opened:
        return opened.plan


@contextlib.contextmanager
def open_undo_plan(
    workspace: Workspace, limit: int, progress: ProgressSink, *, only: Selection = EVERYTHING
) -> Iterator[OpenPlan]:
    """What taking back the last recovery, or a part of it, would change; writes nothing."""
    with workspace.reading() as repository:
        source = workspace.live_source(repository, allow_missing=True)
        with undoing.open_undo_plan(
            repository,
            source,
            only=only,
            limit=limit,
            progress=progress,
            seams=workspace.seams,
            records_per_s=records_per_s(workspace),
        ) as opened:
            yield opened


def undo(
    workspace: Workspace,
    digest: str | None,
    reason: str,
    limit: int,
    progress: ProgressSink,
    *,
    only: Selection = EVERYTHING,
) -> RecoveryResult:
    """Take back the last recovery, or a part of it; itself undoable. Raises UsageError as `recover` does."""
    digest = checked_digest(digest)

    def apply(repository: Repository, source: Source, sink: ProgressSink) -> RecoveryResult:
        return undoing.undo(
            repository,
            source,
            only=only,
            digest=digest,
            reason=reason,
            limit=limit,
            progress=sink,
            seams=workspace.seams,
        )

    return carry_out(workspace, "undo", reason, apply, progress, digest=digest, part=not only.all_records)


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
    number = result.plan.summary.total
    note.detail = f"{number} change{'' if number == 1 else 's'}, {how}"


def _record(workspace: Workspace, result: RecoveryResult, reason: str, *, undo: bool, part: bool) -> None:
    """Write what a recovery did to the journal, where it did anything."""
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
        part=part,
    )
    workspace.record(event)
