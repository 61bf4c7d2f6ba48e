"""Applying the changes of a recovery inside one transaction of a live database.

The least is written: only columns that differ, never a row that is as it should be, never INSERT OR REPLACE (with
foreign keys it would cascade). What the database would do of itself is kept from happening: foreign keys are off and
checked as a delta at the end, triggers of the tables written to are dropped and created again in the same transaction,
the counters of AUTOINCREMENT are set last.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from maos_ckpt.errors import ConflictError, PlanMovedError, SourceError
from maos_ckpt.model import COMPONENTS, ChangeKind, CollectionKind, Counts, Descriptor
from maos_ckpt.sources.change import Change
from maos_ckpt.sources.sqlite.create import PRAGMA_TYPE, create_objects, drop_objects, finish_objects, set_pragmas
from maos_ckpt.sources.sqlite.fence import drop_fence
from maos_ckpt.sources.sqlite.foreign_keys import ForeignKeyDelta, Violation
from maos_ckpt.sources.sqlite.positional import StandIn
from maos_ckpt.sources.sqlite.row_writer import MOVED_LISTED_MAX, RowWriter
from maos_ckpt.sources.sqlite.schema import (
    SEQUENCE_TABLE,
    Schema,
    SchemaObject,
    Table,
    TableKind,
    fold,
    quote,
    read_schema,
    unknown_collations,
)
from maos_ckpt.sources.sqlite.sequences import SequenceMode, Sequences
from maos_ckpt.sources.sqlite.spill import Spill
from maos_ckpt.sources.sqlite.statements import Statements

#: Changes between two calls of `progress`.
PROGRESS_CHANGES: Final = 500

#: Called with the number of changes taken so far.
ProgressCallback = Callable[[int], None]


@dataclass(slots=True)
class WriteResult:
    """What was written. `violations`: broken references that were allowed, `notes`: what an operator should know."""

    counts: Counts = field(default_factory=Counts)
    violations: tuple[Violation, ...] = ()
    violation_count: int = 0
    notes: tuple[str, ...] = ()


def apply_changes(
    connection: sqlite3.Connection,
    changes: Iterable[Change],
    *,
    sequences: SequenceMode,
    create: Sequence[SchemaObject] = (),
    allow_new_violations: bool = False,
    progress: ProgressCallback = lambda done: None,
) -> WriteResult:
    """Apply `changes` inside the open transaction of `connection` (see `live.hold`); where it raises, roll back.

    Args:
        changes: all changes of one collection together, in any order; collections in the order of
            `in_write_order`, that of the schema first. Read once, in bounded memory. Changes of files are passed over.
            A schema object that is removed is dropped, last of all; a table only where it is empty by then.
        sequences: whether the AUTOINCREMENT counters become the checkpoint's (whole recovery) or are only raised.
        create: schema objects of the checkpoint that the live database lacks, besides those among `changes`.
        progress: called from time to time, and before the final checks.

    Raises:
        PlanMovedError: a live record is not what the change saw; up to `MOVED_LISTED_MAX` of them are named.
        ConflictError: a record cannot be put back, a reference would be broken that was not before, or an object to
            create is there already and is another one.
        NoRoomError: temporary files cannot be written.
        SourceError: a table is missing, or indexed in an order that only the application knows.
        sqlite3.Error: SQLite failed; `live.hold` turns it into a `SourceError`.
    """
    # The fence of a former recovery would ignore what this one writes.
    drop_fence(connection)
    with Spill() as spill, contextlib.closing(_Writer(connection, spill, sequences, progress)) as writer:
        writer.create(create)
        writer.write(changes)
        return writer.finish(allow_new_violations)


def in_write_order(descriptors: Iterable[Descriptor]) -> list[Descriptor]:
    """Collections in the order of their dependencies: schema, agents, tasks, memory, queue, system, everything else."""
    rank = {name: at for at, name in enumerate(COMPONENTS)}
    schema = CollectionKind.SCHEMA
    return sorted(descriptors, key=lambda one: (one.kind is not schema, rank.get(one.component, len(rank))))


def shadow_tables(schema: Schema) -> dict[str, tuple[str, ...]]:
    """Virtual table → the shadow tables that hold its rows: they are recovered exactly and together, or not at all."""
    found: dict[str, list[str]] = {one.name: [] for one in schema.tables if one.kind is TableKind.VIRTUAL}
    for table in schema.tables:
        if table.kind is TableKind.SHADOW:
            owners = [name for name in found if fold(table.name).startswith(fold(name) + "_")]
            if owners:
                found[max(owners, key=len)].append(table.name)
    return {name: tuple(tables) for name, tables in found.items()}


def triggers_in_order(connection: sqlite3.Connection, schema: Schema) -> list[SchemaObject]:
    """The triggers in the order of their creation, which decides in what order they fire."""
    triggers = {one.name: one for one in schema.objects if one.type == "trigger"}
    names = connection.execute("SELECT name FROM main.sqlite_master WHERE type = 'trigger' ORDER BY rowid").fetchall()
    return [triggers[name] for (name,) in names if name in triggers]


class _Writer:
    """State of one `apply_changes`."""

    def __init__(
        self, connection: sqlite3.Connection, spill: Spill, mode: SequenceMode, progress: ProgressCallback
    ) -> None:
        self._connection = connection
        self._progress = progress
        self._schema = read_schema(connection)
        self._foreign_keys = ForeignKeyDelta(connection, self._schema, spill)
        self._sequences = Sequences(connection, mode)
        self._all_triggers = triggers_in_order(connection, self._schema)
        self._triggers: list[SchemaObject] = []
        self._written: set[str] = set()
        self._current: RowWriter | None = None
        self._stand_in: StandIn | None = None
        self._to_create: list[SchemaObject] = []
        self._to_finish: list[SchemaObject] = []
        self._to_drop: list[tuple[str, str]] = []
        self._moved: list[str] = []
        self._result = WriteResult()

    def create(self, objects: Sequence[SchemaObject]) -> None:
        """Create the tables among `objects` now, the rest at the end."""
        if objects:
            create_objects(self._connection, objects)
            self._to_finish += objects
            self._schema = read_schema(self._connection)
            self._foreign_keys.see(self._schema)

    def write(self, changes: Iterable[Change]) -> None:
        """Write all rows."""
        self._sequences.read()
        open_for: Descriptor | None = None
        take: Callable[[Change], None] = self._pass_over
        counts = dict.fromkeys(ChangeKind, 0)
        for done, change in enumerate(changes):
            if done % PROGRESS_CHANGES == 0:
                self._progress(done)
            descriptor = change.descriptor
            if descriptor is not open_for and descriptor != open_for:
                take, open_for = self._open(descriptor), descriptor
            take(change)
            if take != self._pass_over:
                counts[change.kind] += 1
            if self._current is not None and self._current.exhausted:
                break
        self._close_table()
        for kind, number in counts.items():
            self._result.counts.count(kind, number)
        self._moved += self._sequences.moved
        if self._moved:
            raise _moved(self._moved)

    def finish(self, allow_new_violations: bool) -> WriteResult:
        """Put indices, triggers and counters in place and check what was broken."""
        self._progress(self._result.counts.total)
        finish_objects(self._connection, self._to_finish)
        self._sequences.write()
        for trigger in self._triggers:
            self._connection.execute(trigger.sql)
        result = self._result
        result.violation_count, violations = self._foreign_keys.violations()
        result.violations = tuple(violations)
        if result.violation_count and not allow_new_violations:
            raise _broken(result.violation_count, violations)
        drop_objects(self._connection, self._to_drop)
        result.notes += tuple(self._unsynced())
        return result

    def close(self) -> None:
        """Release temporary files and tables."""
        if self._current is not None:
            self._current.close()
        if self._stand_in is not None:
            self._stand_in.close()

    def _open(self, descriptor: Descriptor) -> Callable[[Change], None]:
        """End the collection before; what to do with the changes of this one."""
        self._close_table()
        if self._moved:
            raise _moved(self._moved)
        if descriptor.kind is CollectionKind.SCHEMA:
            return self._take_schema
        if descriptor.kind is not CollectionKind.TABLE:
            return self._pass_over
        if descriptor.origin == SEQUENCE_TABLE:
            return self._sequences.take
        table = self._schema.table(descriptor.origin)
        if table is None or table.kind is TableKind.VIRTUAL:
            raise _refused(
                f"The live database has no table for {descriptor.path}.",
                "Recover the whole checkpoint, which creates missing tables.",
                descriptor,
            )
        if unknown_collations(self._connection, (table,)):
            raise _refused(
                f"{descriptor.path} is indexed in an order that only its application knows, so it cannot be written.",
                "Leave this collection out of the selection.",
                descriptor,
            )
        self._drop_triggers(table)
        self._written.add(fold(table.name))
        self._stand_in = StandIn(self._connection, descriptor, table) if table.positional else None
        target = "" if self._stand_in is None else self._stand_in.target
        statements = Statements(self._connection, descriptor, table, self._schema.encoding, target)
        references = self._foreign_keys.references(table, descriptor.keys + descriptor.columns)
        self._current = RowWriter(statements, references, descriptor)
        return self._current.take

    def _pass_over(self, change: Change) -> None:
        """Changes of files are written elsewhere."""

    def _take_schema(self, change: Change) -> None:
        """Collect what is to be created or dropped, and set what can be set; what is there is never altered."""
        kind, name = map(str, change.parts[:2])
        if change.after is None:
            if kind != PRAGMA_TYPE:
                self._to_drop.append((kind, name))
        elif kind == PRAGMA_TYPE:
            kept = set_pragmas(self._connection, {name: str(change.after[1])})
            self._result.notes += tuple(f"The file's setting {one} stays as it is." for one in kept)
        elif change.before is None:
            self._to_create.append(SchemaObject(kind, name, str(change.after[0]), str(change.after[1])))

    def _close_table(self) -> None:
        objects, self._to_create = self._to_create, []
        self.create(objects)
        if self._current is None:
            return
        self._current.finish()
        self._moved += self._current.moved
        self._current.close()
        self._current = None
        if self._stand_in is not None:
            if not self._moved:
                self._stand_in.write_back()
            self._stand_in.close()
            self._stand_in = None

    def _drop_triggers(self, table: Table) -> None:
        for one in self._all_triggers:
            if fold(one.table) == fold(table.name) and one not in self._triggers:
                self._connection.execute(f"DROP TRIGGER main.{quote(one.name)}")
                self._triggers.append(one)

    def _unsynced(self) -> Iterator[str]:
        """Virtual tables that a dropped trigger would have kept in step, and that were not recovered themselves."""
        for virtual, shadows in shadow_tables(self._schema).items():
            if shadows and not any(fold(one) in self._written for one in shadows):
                followed = [one.table for one in self._triggers if fold(virtual) in fold(one.sql)]
                if followed:
                    yield (
                        f"The index {virtual} follows the table {followed[0]} by a trigger and was not recovered with"
                        " it; rebuild it."
                    )


def _refused(message: str, hint: str, descriptor: Descriptor) -> SourceError:
    kept = "The transaction was rolled back; nothing was changed."
    return SourceError(message, kept=kept, hint=hint, collection=descriptor.path)


def _moved(paths: list[str]) -> PlanMovedError:
    count = f"{len(paths)} or more records" if len(paths) >= MOVED_LISTED_MAX else f"{len(paths)} records"
    return PlanMovedError(
        f"{'One record' if len(paths) == 1 else count} of the plan changed since it was made.",
        kept="Nothing was written.",
        hint="Make a new plan, look at it, and apply that one.",
        records=paths[:MOVED_LISTED_MAX],
    )


def _broken(count: int, violations: list[Violation]) -> ConflictError:
    first = violations[0]
    return ConflictError(
        f"The recovery would leave {count} reference{'s' if count > 1 else ''} to nobody, the first from {first.table}"
        f" to {first.parent}.",
        kept="The transaction was rolled back; nothing was changed.",
        hint="Recover with --with-dependencies, or select the missing records too.",
        records=[f"{one.table}/{one.record}" for one in violations],
    )
