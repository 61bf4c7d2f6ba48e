"""Settling a recovery that a crash interrupted, before anything else is done."""

from __future__ import annotations

import contextlib
from pathlib import Path

from maos_ckpt.model import Progress
from maos_ckpt.recovery import journal
from maos_ckpt.recovery.pinned import pinned_planner
from maos_ckpt.recovery.planner import Planner
from maos_ckpt.recovery.steps import Step
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import Seams
from maos_ckpt.sources.base import Source
from maos_ckpt.sources.sqlite.faults import DamagedError
from maos_ckpt.sources.sqlite.live import has_tables, last_recovery, remove_fence
from maos_ckpt.sources.sqlite.new_file import clear_unfinished
from maos_ckpt.states import StoredState, live_state


def finish_interrupted(repository: Repository, source: Source, seams: Seams) -> str | None:
    """Finish or forget an interrupted recovery; one sentence about what was done, or None where there is none.

    The caller holds the lease, so whoever began it is gone.

    Raises:
        SourceError, PermissionRefusedError: the live state cannot be read or written now; the intent stays.
    """
    intent = journal.under_way(repository.path)
    if intent is None:
        return None
    what = "undo" if intent.undo else f"recovery of {intent.checkpoint}"
    last = journal.last_done(repository)
    left = ""
    if last is None or last.id != intent.id:
        if not _committed(source, intent):
            if intent.builds and source.database is not None:
                clear_unfinished(source.database, Path(intent.aside) if intent.aside else None, seams)
            journal.drop(repository)
            return f"The interrupted {what} had changed nothing and was dropped."
        left = _write_files(repository, source, intent, seams)
        journal.note_done(repository, intent)
    if source.database is not None and source.database.exists():
        # A file that was damaged before, or has been since, holds no fence.
        with contextlib.suppress(DamagedError):
            remove_fence(source.database, seams, intent.id)
    seams.steps.reached(Step.RELEASED)
    journal.drop(repository)
    return f"The interrupted {what} was finished.{left}"


def _write_files(repository: Repository, source: Source, intent: journal.Intent, seams: Seams) -> str:
    """Put back the files that are not as they should be yet; what is to be said of those that could not be."""
    target = StoredState(repository, repository.resolve(intent.checkpoint))
    with live_state(repository, source.without_database(), _silent, "recovery") as live:
        # Which files are meant may show in the database as it was, which is written over by now.
        extra, pinned = intent.extra_keys, pinned_planner(repository, intent.pins, intent.extra_keys)
        only = intent.undo_only
        planner = Planner(live, target, intent.selection, extra, only_files=True, only=only, pinned=pinned)
        written = source.write_files(planner.changes(), lambda done: seams.steps.reached(Step.FILE))
    seams.steps.reached(Step.FILES)
    return f" {len(written.skipped)} files were left alone: {written.skipped[0]}" if written.skipped else ""


def _committed(source: Source, intent: journal.Intent) -> bool:
    """Whether the transaction of that recovery is in the database; where it writes to none, files are all there is."""
    database = source.database
    if database is None or not database.exists():
        return not intent.builds
    try:
        return last_recovery(database) == intent.id or (intent.unmarked and not has_tables(database))
    except DamagedError:
        return bool(intent.aside) and not intent.builds


def _silent(step: Progress) -> None:
    """Progress nobody watches."""
