"""Whether a live table can hold a checkpoint's record exactly, where its columns were declared anew since.

SQLite turns a value into what a column's type prefers, and says nothing about it. A record that would become another
one is left as it is and named; one that keeps every value is written.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

from maos_ckpt.codec.values import RawText
from maos_ckpt.errors import CkptError, IntegrityError
from maos_ckpt.model import CollectionKind, Severity, Value
from maos_ckpt.recovery.lookup import Shape, every
from maos_ckpt.sources.change import Alignment, Change
from maos_ckpt.sources.sqlite.create import create_objects
from maos_ckpt.sources.sqlite.schema import SchemaObject, Table, fold, quote, read_schema
from maos_ckpt.states import CollectionPair, State

#: Text that a column for numbers makes a number of (https://sqlite.org/datatype3.html, section 3).
_NUMBER = re.compile(r"\s*[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?\s*")
_STRICT = re.compile(r"\bSTRICT\b[^()]*$", re.IGNORECASE)
_STRICT_TYPES: dict[str, tuple[type, ...]] = {"INTEGER": (int,), "REAL": (float,), "TEXT": (str,), "BLOB": (bytes,)}


@dataclass(frozen=True, slots=True)
class Fitting:
    """What to look out for: columns (by live name, with what they prefer) that may turn values into others, and those
    that an added record must bring."""

    retyped: dict[str, str]
    required: frozenset[str]
    strict: bool

    def unfit(self, change: Change) -> str:
        """The column that cannot hold what a change brings, or ""."""
        if change.after is None:
            return ""
        given = dict(zip(change.columns, change.after, strict=True))
        given.update(zip(change.descriptor.keys, change.parts, strict=False))
        for column, affinity in self.retyped.items():
            if column in given and not self._keeps(affinity, given[column]):
                return column
        return min(self.required.difference(given), default="") if change.before is None else ""

    def _keeps(self, affinity: str, value: Value) -> bool:
        if value is None:
            return True
        if self.strict:
            kept = affinity == "TEXT" and isinstance(value, RawText)
            return kept or type(value) in _STRICT_TYPES.get(affinity, (type(value),))
        if affinity == "BLOB" or isinstance(value, bytes):
            return True
        if affinity == "TEXT":
            return isinstance(value, str | RawText)
        if isinstance(value, str):
            return _NUMBER.fullmatch(value) is None
        if isinstance(value, int):
            return affinity != "REAL"
        return affinity == "REAL" or not (isinstance(value, float) and value.is_integer())


class Fittings:
    """What to look out for in each table of two states."""

    def __init__(self, live: State, target: State) -> None:
        self._live = live
        self._target = target
        self._known: dict[str, Fitting | None] = {}

    def unfit(self, pair: CollectionPair, change: Change) -> str:
        """The column that cannot hold what a change brings, or ""."""
        origin = change.descriptor.origin
        if change.descriptor.kind is not CollectionKind.TABLE or pair.before is None or pair.after is None:
            return ""
        if origin not in self._known:
            self._known[origin] = fitting(self._live, self._target, origin)
        found = self._known[origin]
        return "" if found is None else found.unfit(change)


def fitting(live: State, target: State, origin: str) -> Fitting | None:
    """What to look out for when records go into the live table `origin`; None where nothing can be lost."""
    try:
        now, then = (_table_sql(state, origin) for state in (live, target))
    except IntegrityError:
        # The schema need not be a part of what is wanted; the writer reads every value back in any case.
        return None
    if now is None or then is None or now == then:
        return None
    parsed, former = _parsed(now, origin), _parsed(then, origin)
    if parsed is None or former is None:
        return None
    (table, filled), (before, _) = parsed, former
    known = {fold(one): before.affinity(one) for one in before.columns}
    strict = _STRICT.search(now) is not None
    affinities = {one: table.affinity(one) for one in table.columns if fold(one) in known}
    retyped = affinities if strict else {one: kind for one, kind in affinities.items() if kind != known[fold(one)]}
    required = table.not_null - filled
    return Fitting(retyped, required, strict) if retyped or required else None


def _table_sql(state: State, origin: str) -> str | None:
    for name, descriptor in state.descriptors().items():
        if descriptor.kind is CollectionKind.SCHEMA:
            shape = Shape(descriptor, descriptor.columns, state.get)
            for record in every(state, name):
                values = shape.stored(record)
                if values.get("type") == "table" and fold(str(values.get("name"))) == fold(origin):
                    return str(values.get("sql"))
    return None


def _parsed(sql: str, name: str) -> tuple[Table, frozenset[str]] | None:
    """A table as SQLite understands its SQL, with the columns that it fills by itself; None where it does not."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        try:
            create_objects(connection, [SchemaObject("table", name, name, sql)])
            table = read_schema(connection).table(name)
            rows = connection.execute(f"PRAGMA table_info({quote(name)})").fetchall()
        except (CkptError, sqlite3.Error):
            return None
    if table is None:
        return None
    filled = {str(row[1]) for row in rows if row[4] is not None} | {table.rowid_column or ""}
    return table, frozenset(filled)


def column_notes(alignment: Alignment) -> Iterator[tuple[str, Severity, str]]:
    """What a plan says of columns that only one side has, as (kind of finding, severity, what)."""
    if alignment.absent:
        what = f"has the {_columns(alignment.absent)} since, which no checkpointed value is put into"
        yield "later_columns", Severity.INFO, what
    if alignment.homeless:
        yield "columns", Severity.WARNING, f"has no place any more for the {_columns(alignment.homeless)}"


def _columns(names: tuple[str, ...]) -> str:
    return f"column{'' if len(names) == 1 else 's'} {', '.join(names)}"
