"""Writing the rows of a plan: into the held database in one transaction, or into a new one that has no name yet."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from msgspec.structs import replace

from maos_ckpt.client import ProgressSink
from maos_ckpt.errors import IntegrityError
from maos_ckpt.model import CollectionKind, Progress
from maos_ckpt.recovery import journal
from maos_ckpt.recovery.prepare import Prepared
from maos_ckpt.recovery.request import Request
from maos_ckpt.recovery.schema_changes import schema_rows
from maos_ckpt.recovery.steps import Step
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import Seams
from maos_ckpt.sources.change import Change
from maos_ckpt.sources.sqlite.create import schema_from_rows
from maos_ckpt.sources.sqlite.fence import create_fence
from maos_ckpt.sources.sqlite.live import Held
from maos_ckpt.sources.sqlite.new_file import create_database
from maos_ckpt.sources.sqlite.reread import differing
from maos_ckpt.sources.sqlite.write import WriteResult, apply_changes
from maos_ckpt.states import StoredState

#: How often the guardian of stopped processes hears from a recovery: every so many changes.
_BEAT_CHANGES = 500


def write_held(
    repository: Repository, prepared: Prepared, request: Request, held: Held, progress: ProgressSink
) -> list[str]:
    """Write into the held database and commit; notes for the operator. Where it raises nothing is committed.

    Raises:
        ConflictError, PlanMovedError, SourceError: see `apply_changes`.
        IntegrityError: records did not become what the plan says.
    """
    assert prepared.intent is not None
    steps = repository.seams.steps
    total = prepared.plan.summary.total
    result = apply_changes(
        held.connection,
        _beating(prepared, held),
        sequences="set" if prepared.planner.whole else "raise",
        # A whole state is put back as it was, broken references included; so is what an undo puts back.
        allow_new_violations=prepared.planner.whole or request.undo,
        progress=prepared.writing(progress),
    )
    steps.reached(Step.WRITTEN)
    notes = list(result.notes)
    if result.violation_count:
        notes.append(f"{result.violation_count} references are broken now, as they were in the checkpoint.")
    if held.stopped:
        # Where nobody will write the moment the lock is gone, a look after the commit proves the same and more.
        progress(Progress("recovery", "check"))
        _read_back(prepared, held)
    steps.reached(Step.CHECKED)
    if not held.mark(prepared.intent.id):
        journal.begin(repository, replace(prepared.intent, unmarked=True))
    steps.reached(Step.MARKED)
    progress(Progress("recovery", "commit", total, total))
    held.commit()
    return notes


def _beating(prepared: Prepared, held: Held) -> Iterator[Change]:
    for number, change in enumerate(prepared.changes(files=False)):
        if number % _BEAT_CHANGES == 0:
            held.beat()
        yield change


def _read_back(prepared: Prepared, held: Held) -> None:
    wrong = differing(held.connection, _beating(prepared, held))
    if wrong:
        raise IntegrityError(
            f"{len(wrong)} records did not become what the plan says, {wrong[0]} among them.",
            kept="The transaction was taken back; nothing live was changed.",
            hint="A trigger or constraint of the live database interferes; recover without these records.",
            records=wrong,
        )


def write_new(
    prepared: Prepared, target: StoredState, database: Path, aside: Path | None, progress: ProgressSink, seams: Seams
) -> list[str]:
    """Build the database from the checkpoint; a damaged one is moved aside at the last moment. As `write_held`."""
    assert prepared.intent is not None
    recovery = prepared.intent.id

    def mark(connection: sqlite3.Connection) -> None:
        seams.steps.reached(Step.WRITTEN)
        create_fence(connection, recovery, expires_at_s=0)
        seams.steps.reached(Step.MARKED)

    whole, changes = prepared.planner.whole, prepared.changes(files=False)
    done = prepared.writing(progress)
    return list(build(database, target, changes, seams, whole=whole, progress=done, mark=mark, aside=aside).notes)


def build(
    path: Path,
    target: StoredState,
    changes: Iterable[Change],
    seams: Seams,
    *,
    whole: bool,
    progress: Callable[[int], None],
    mark: Callable[[sqlite3.Connection], object] = lambda connection: None,
    aside: Path | None = None,
) -> WriteResult:
    """Make the database at `path` with the schema of `target` and the rows that `changes` add.

    Args:
        whole: everything that the checkpoint holds is there, so that its broken references may be too.
        mark, aside: see `create_database`.

    Raises:
        ConflictError, StorageError, SourceError, PermissionRefusedError: see `create_database`.
    """
    objects, pragmas = schema_from_rows(schema_rows(target))
    return create_database(
        path,
        seams,
        pragmas=pragmas,
        objects=objects,
        changes=(one for one in changes if one.descriptor.kind is CollectionKind.TABLE),
        allow_new_violations=whole,
        progress=progress,
        mark=mark,
        aside=aside,
    )
