"""Which references a recovery would break, as a delta: what was dangling before it does not count.

Two sides can break one. A row that is put back may refer to nobody: its references are collected and looked up at the
end, when every parent is in place. A row that is removed may have been referred to: before the first one goes, the
tables that refer to it are checked by SQLite itself, and again at the end. A recovery that touches no reference costs
nothing. Memory is bounded: what has been collected is in a `Spill`.
"""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from maos_ckpt.codec.values import display_key
from maos_ckpt.model import Row
from maos_ckpt.sources.sqlite.schema import ForeignKey, Schema, Table, fold, quote
from maos_ckpt.sources.sqlite.spill import ROWS, Spill, SpilledMap

#: Broken references that are named.
VIOLATIONS_LISTED_MAX: Final = 20


@dataclass(frozen=True, slots=True)
class Violation:
    """A reference from `table` to `parent` that a recovery breaks; `record` names who refers, for people, untrusted."""

    table: str
    parent: str
    record: str


class ForeignKeyDelta:
    """Broken references of a whole recovery. Get a `References` for each table and tell it of every change.

    What is collected goes into `spill`.
    """

    def __init__(self, connection: sqlite3.Connection, schema: Schema, spill: Spill) -> None:
        self._connection = connection
        self._spill = spill
        self._outgoing: list[_Outgoing] = []
        #: Table → its rows that dangled before, as `_dangling` gives them.
        self._before: dict[str, SpilledMap[Row]] = {}
        self.see(schema)

    def see(self, schema: Schema) -> None:
        """Take note of the schema, or of a new one: tables have been created."""
        self._schema = schema
        self._incoming: dict[str, list[tuple[str, ForeignKey]]] = {}
        for table in schema.tables:
            for key in table.foreign_keys:
                self._incoming.setdefault(fold(key.parent), []).append((table.name, key))

    def references(self, table: Table, names: Sequence[str]) -> References:
        """What to tell of changes to `table`, whose rows come as values of `names`."""
        outgoing = [
            _Outgoing(self._connection, self._schema, table, key, names, SpilledMap(self._spill, ROWS))
            for key in table.foreign_keys
            if all(one in names for one in key.columns)
        ]
        self._outgoing += outgoing
        incoming = [
            (child, frozenset(key.parent_columns or table.primary_key))
            for child, key in self._incoming.get(fold(table.name), ())
        ]
        return References(self, outgoing, incoming)

    def snapshot(self, name: str) -> None:
        """Remember which rows of the table `name` dangle now, before the first of their parents goes."""
        if name not in self._before:
            before = self._before[name] = SpilledMap(self._spill, ROWS)
            for one in self._dangling(name):
                before.add(one)

    def violations(self) -> tuple[int, list[Violation]]:
        """How many references are broken now that were not before, and the first `VIOLATIONS_LISTED_MAX` of them."""
        found: list[Violation] = []
        counts: dict[str, int] = {}
        for outgoing in self._outgoing:
            number, violations = outgoing.violations()
            counts[outgoing.table] = counts.get(outgoing.table, 0) + number
            found += violations
        for name, before in self._before.items():
            table, new = self._schema.table(name), SpilledMap(self._spill, ROWS)
            for one in self._dangling(name):
                if one not in before:
                    new.add(one)
            number = sum(1 for _ in new.items())
            # A row that was put back without its parent is among them, and has been counted above.
            counts[name] = max(counts.get(name, 0), number)
            first = heapq.nsmallest(VIOLATIONS_LISTED_MAX, (one for one, _ in new.items()), key=str)
            for rowid, at in first:
                key = table.foreign_keys[at] if table is not None and isinstance(at, int) else None
                found.append(Violation(name, "" if key is None else key.parent, f"rowid {rowid!s}"))
        return sum(counts.values()), found[:VIOLATIONS_LISTED_MAX]

    def _dangling(self, name: str) -> Iterator[Row]:
        """The rows of a table that refer to nobody, as (rowid, number of the foreign key)."""
        try:
            for row in self._connection.execute(f"PRAGMA main.foreign_key_check({quote(name)})"):
                yield row[1], row[3]
        except sqlite3.OperationalError as error:
            # `foreign key mismatch`: the declaration itself is wrong, and MAOS could not write there either.
            if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:
                raise


class References:
    """Told of every change to one table, before it is written."""

    def __init__(
        self, delta: ForeignKeyDelta, outgoing: list[_Outgoing], incoming: list[tuple[str, frozenset[str]]]
    ) -> None:
        self._delta = delta
        self._outgoing = outgoing
        self._incoming = incoming
        #: Whether there is anything to be told of.
        self.any = bool(outgoing or incoming)

    def added(self, row: Row, key: bytes) -> None:
        """A row with this key will be inserted."""
        for one in self._outgoing:
            one.want(row, key)

    def modified(self, live: Row, row: Row, key: bytes, columns: Collection[str]) -> None:
        """A row holds `live` and will hold `row`, in which `columns` are new."""
        for one in self._outgoing:
            # One that leads to nobody now may go on doing so.
            if not one.columns.isdisjoint(columns) and not one.dangles(live):
                one.want(row, key)
        for child, names in self._incoming:
            if not names.isdisjoint(columns):
                self._delta.snapshot(child)

    def removed(self) -> None:
        """A row will be deleted."""
        for child, _ in self._incoming:
            self._delta.snapshot(child)


class _Outgoing:
    """The references of one foreign key that a recovery writes."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        schema: Schema,
        table: Table,
        key: ForeignKey,
        names: Sequence[str],
        wanted: SpilledMap[Row],
    ) -> None:
        self._connection = connection
        self.table = table.name
        self._key = key
        self._places = tuple(names.index(one) for one in key.columns)
        #: References → the key of the first row that has it.
        self._wanted = wanted
        self.columns = frozenset(key.columns)
        parent = schema.table(key.parent)
        names = () if parent is None else key.parent_columns or parent.primary_key
        # The parent's column stands on the left: its affinity and collation decide, as in SQLite's own check.
        terms = " AND ".join(f"{quote(one)} = ?" for one in names)
        # Without a fitting parent SQLite itself can check nothing, and MAOS could not write there either.
        fits = parent is not None and len(names) == len(key.columns)
        self._sql = f"SELECT 1 FROM main.{quote(key.parent)} WHERE {terms}" if fits else ""

    def dangles(self, row: Row) -> bool:
        reference = self._reference(row)
        if not self._sql or not _bindable(reference):
            return False
        return self._connection.execute(self._sql, reference).fetchone() is None

    def want(self, row: Row, key: bytes) -> None:
        reference = self._reference(row)
        if self._sql and _bindable(reference):
            self._wanted.add(reference, key)

    def _reference(self, row: Row) -> Row:
        # One column is by far the most usual case and worth its own line.
        return (row[self._places[0]],) if len(self._places) == 1 else tuple([row[at] for at in self._places])

    def violations(self) -> tuple[int, list[Violation]]:
        number = 0
        named: list[Violation] = []
        for reference, key in self._wanted.items():
            if self._connection.execute(self._sql, reference).fetchone() is None:
                number += 1
                if len(named) < VIOLATIONS_LISTED_MAX:
                    named.append(Violation(self.table, self._key.parent, display_key(key)))
        return number, named


def _bindable(reference: Row) -> bool:
    """Whether a reference leads anywhere: not with a NULL in it, and nobody's id is text that is no UTF-8."""
    return all([isinstance(one, str | int | float | bytes) for one in reference])
