"""Reading tables of a private image as exact, typed rows in key order.

The fast path lets the Python module decode text strictly and fetches many rows at a time. Two things end it, and then
the table goes on from the same row in a slower way: text that is not UTF-8, and values so large that a batch of them
would not fit into `BATCH_BYTES_MAX`. SQLite itself enforces the second (`SQLITE_LIMIT_LENGTH`), so that no row is ever
measured on the fast path.
"""

from __future__ import annotations

import math
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Final

from maos_ckpt.codec.values import raw_text
from maos_ckpt.model import CollectionKind, Descriptor, Row
from maos_ckpt.sources.sqlite import faults
from maos_ckpt.sources.sqlite.schema import Table, quote, unknown_collations
from maos_ckpt.sources.sqlite.utf16 import Utf16Reader

#: Rows of a batch: few enough to stay in the processor's cache.
BATCH_ROWS_MAX: Final = 128
#: Text and blobs of a batch, in bytes as SQLite stores them. One row may be larger; then it travels alone.
BATCH_BYTES_MAX: Final = 16 << 20
_VALUE_BYTES_MIN = 4096
_RANK = "CASE typeof({0}) WHEN 'null' THEN 0 WHEN 'integer' THEN 1 WHEN 'real' THEN 2 WHEN 'text' THEN 3 ELSE 4 END"
#: Only Python can tell -0.0 from 0.0; SQL takes them for equal and prints both the same.
_SIGN_FUNCTION = "ckpt_sign"
_SIGN_OF_ZERO = f"CASE WHEN typeof({{0}}) = 'real' AND {{0}} = 0 THEN {_SIGN_FUNCTION}({{0}}) END"

Connect = Callable[[], sqlite3.Connection]
#: First and last rowid.
RowidRange = tuple[int, int]


@dataclass(frozen=True, slots=True)
class TableQuery:
    """What to read of a table: `keys`, then `columns`, of the rows for which the SQL expression `where` is true.

    With `within`, only rows whose rowid is in one of these ranges, and in the order of ranges and rowids.
    """

    table: Table
    keys: tuple[str, ...]
    columns: tuple[str, ...]
    where: str = ""
    within: tuple[RowidRange, ...] | None = None

    @classmethod
    def whole(cls, table: Table, keys: tuple[str, ...] = (), where: str = "") -> TableQuery:
        """All columns of a table; the hidden rowid, where there is one, comes first after the keys."""
        keys = keys or table.keys
        hidden = () if table.hidden_rowid is None else (table.hidden_rowid,)
        return cls(table, keys, hidden + tuple(one for one in table.columns if one not in keys), where)

    def descriptor(self, component: str, name: str) -> Descriptor:
        """The collection that this query reads."""
        return Descriptor(
            component=component,
            name=name,
            kind=CollectionKind.TABLE,
            keys=self.keys,
            columns=self.columns,
            origin=self.table.name,
            rowid=self.table.hidden_rowid is not None,
        )

    @property
    def ordered(self) -> bool:
        """Whether the index delivers in the order of `encode_key`.

        Not where a key column may hold integers next to reals: SQLite orders those by value, a key by type first. And
        not where it may hold 0.0 next to -0.0, which it can beside a NULL: to SQLite they are equal.
        """
        if self.table.positional or self.table.keys_rowid(self.keys):
            return True
        affinities = [self.table.affinity(one) for one in self.keys]
        return affinities == ["REAL"] or set(affinities) == {"TEXT"}


def read_rows(connect: Connect, query: TableQuery, encoding: str, path: Path, *, sort: bool) -> Iterator[list[Row]]:
    """The rows of `query` in batches, each row `keys + columns`.

    `connect` opens a connection on the image, one for each way of reading. `path` is the source's, for errors.

    Raises:
        SourceError: a page of the table is damaged.
    """
    if query.table.positional:
        start = 1
        for batch in _read(connect, query, encoding, path, sort=False):
            yield [(start + i, *row) for i, row in enumerate(batch)]
            start += len(batch)
    else:
        yield from _read(connect, query, encoding, path, sort=sort)


def count_rows(connect: Connect, query: TableQuery, path: Path) -> int:
    """How many rows `query` has.

    Raises:
        SourceError: a page of the table is damaged.
    """
    where = f" WHERE {query.where}" if query.where else ""
    try:
        with closing(connect()) as connection:
            _prepare(connection, query, raw=False)
            found = connection.execute(f"SELECT count(*) FROM main.{quote(query.table.name)}{where}").fetchone()
    except sqlite3.Error as error:
        raise faults.source_fault(error, path, f" at table {query.table.name}") from error
    return int(found[0])


def _read(connect: Connect, query: TableQuery, encoding: str, path: Path, *, sort: bool) -> Iterator[list[Row]]:
    utf16 = Utf16Reader(encoding) if encoding != "UTF-8" else None
    raw = wide = utf16 is not None
    done = 0
    while True:
        try:
            with closing(connect()) as connection:
                _prepare(connection, query, raw=raw)
                limit = None if wide else _limit(connection, len(query.keys) + len(query.columns))
                if utf16 is not None:
                    utf16.prepare(connection)
                rows = _found(connection, _select(query, utf16, sort=sort), query, done)
                if utf16 is not None:
                    rows = utf16.rows(rows)
                for batch in _measured(rows) if limit is None else _counted(rows, limit):
                    # Counted before it is handed out: the next way of reading goes on after it.
                    done += len(batch)
                    yield batch
                return
        except sqlite3.Error as error:
            if faults.is_undecodable(error) and not raw:
                raw = True
            elif faults.is_too_big(error) and not wide:
                wide = True
            else:
                raise faults.source_fault(error, path, f" at table {query.table.name}") from error


def _prepare(connection: sqlite3.Connection, query: TableQuery, *, raw: bool) -> None:
    # Also loads the schema, before the limit that is meant for rows could hit the text of a CREATE statement.
    for name in unknown_collations(connection, (query.table,)):
        # An index of an unknown collation cannot be opened. No row is asked for in its order, so any will do.
        connection.create_collation(name, lambda a, b: (a > b) - (a < b))
    connection.create_function(_SIGN_FUNCTION, 1, lambda value: math.copysign(1.0, value), deterministic=True)
    connection.text_factory = raw_text if raw else str


def _limit(connection: sqlite3.Connection, columns: int) -> int:
    """Cap the size of a value, and say how many rows of such values fit into a batch."""
    value_bytes = max(_VALUE_BYTES_MIN, BATCH_BYTES_MAX // (BATCH_ROWS_MAX * columns))
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, value_bytes)
    return max(1, min(BATCH_ROWS_MAX, BATCH_BYTES_MAX // (value_bytes * columns)))


def _found(connection: sqlite3.Connection, sql: str, query: TableQuery, done: int) -> Iterator[Row]:
    """The rows of a statement, without the first `done`."""
    if query.within is None:
        return connection.execute(sql + (f" LIMIT -1 OFFSET {done}" if done else ""))
    return islice(chain.from_iterable(connection.execute(sql, one) for one in query.within), done, None)


def _counted(rows: Iterator[Row], limit: int) -> Iterator[list[Row]]:
    while batch := list(islice(rows, limit)):
        yield batch


def _measured(rows: Iterator[Row]) -> Iterator[list[Row]]:
    """Batches of measured rows; at most one row goes beyond the limit, and it is the last of its batch."""
    batch: list[Row] = []
    size = 0
    for row in rows:
        batch.append(row)
        size += sum(map(sys.getsizeof, row))
        if size >= BATCH_BYTES_MAX or len(batch) >= BATCH_ROWS_MAX:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _select(query: TableQuery, utf16: Utf16Reader | None, *, sort: bool) -> str:
    table = query.table
    names = query.columns if table.positional else query.keys + query.columns
    expressions = [quote(one) for one in names]
    if utf16 is not None:
        expressions = [utf16.expression(one) for one in expressions]
    if query.within is not None:
        # The range decides, and no index may tempt the planner to go another way.
        return f"SELECT {', '.join(expressions)} FROM main.{quote(table.name)} NOT INDEXED WHERE {_within(query)}"
    # A positional table has no name for its order: without an index SQLite can only walk it by rowid.
    source = quote(table.name) + (" NOT INDEXED" if table.positional else "")
    where = f" WHERE {query.where}" if query.where else ""
    order = "" if table.positional else " ORDER BY " + ", ".join(_order(query, utf16, sort=sort))
    return f"SELECT {', '.join(expressions)} FROM main.{source}{where}{order}"


def _within(query: TableQuery) -> str:
    rowid = query.table.rowid_name
    assert rowid is not None
    where = f" AND {query.where}" if query.where else ""
    return f"{quote(rowid)} BETWEEN ? AND ?{where} ORDER BY {quote(rowid)}"


def _order(query: TableQuery, utf16: Utf16Reader | None, *, sort: bool) -> list[str]:
    if query.table.keys_rowid(query.keys):
        return [quote(query.keys[0])]
    terms = []
    for key in map(quote, query.keys):
        if sort or utf16 is not None:
            terms.append(_RANK.format(key))
        terms.append(f"{key} COLLATE BINARY" if utf16 is None else utf16.order(key))
        if sort:
            terms.append(_SIGN_OF_ZERO.format(key))
    # Only NULLs can make equal keys, and those are told apart by the rowid.
    hidden = query.table.hidden_rowid
    return terms if hidden is None else [*terms, quote(hidden)]
