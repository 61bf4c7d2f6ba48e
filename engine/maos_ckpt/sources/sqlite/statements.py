"""The SQL that finds, inserts, updates and deletes one record of one table, with every value exact.

Text that SQLite cannot hand out as UTF-8 travels as `RawText` and is bound as its bytes inside `CAST(? AS TEXT)`; in a
UTF-16 database it stands in the statement itself, because SQLite takes the bytes of a *bound* blob for UTF-8. Keys are
compared in BINARY collation, whatever collation the column has, and in the column's own too for its index.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from maos_ckpt.codec.values import RawText, encode_row, raw_text
from maos_ckpt.model import Descriptor, Row, Value
from maos_ckpt.sources.sqlite.schema import Table, quote
from maos_ckpt.sources.sqlite.utf16 import Utf16Reader

#: Texts of statements kept for one table; they differ by columns written and by where raw text stands.
STATEMENTS_MAX: Final = 256
STATEMENT_CHARACTERS_MAX: Final = 100_000


class Statements:
    """Access to one table's records as `keys + columns` rows of `descriptor`.

    `target` names the table as SQL, `main`'s own by default.
    """

    def __init__(
        self, connection: sqlite3.Connection, descriptor: Descriptor, table: Table, encoding: str, target: str = ""
    ) -> None:
        self._connection = connection
        self._descriptor = descriptor
        self._target = target or f"main.{quote(table.name)}"
        self._utf16 = Utf16Reader(encoding) if encoding != "UTF-8" else None
        #: The hidden rowid's name where the descriptor carries one.
        self.hidden = quote(descriptor.columns[0]) if descriptor.rowid else None
        self._texts: dict[tuple[object, ...], str] = {}

    def find(self, parts: Row) -> Row | None:
        """The record with exactly this key, or None; see `Change.parts`."""
        names = self._descriptor.keys + self._descriptor.columns
        row = self._row(names, self._where(parts), self._match(parts))
        if row is None:
            return None
        keys = len(self._descriptor.keys)
        # The columns' own comparison takes 7 for 7.0; a key does not.
        return row if encode_row(row[:keys]) == encode_row(parts[:keys]) else None

    def rowid_taken(self, rowid: Value) -> bool:
        """Whether a record has this hidden rowid."""
        sql = f"SELECT 1 FROM {self._target} WHERE {self.hidden} = ?"
        return self._connection.execute(sql, (rowid,)).fetchone() is not None

    def record_at(self, rowid: Value) -> Row | None:
        """The record with this hidden rowid as `keys + columns`, or None."""
        return self._row(self._descriptor.keys + self._descriptor.columns, f"{self.hidden} = ?", (rowid,))

    def move_rowid(self, rowid: Value) -> None:
        """Give the record with this hidden rowid another one: the lowest free number after a taken one, or, where only
        the largest number there is has been taken, one before it."""
        target, name = self._target, self.hidden
        after = (
            f"SELECT min(a.{name}) + 1 FROM {target} AS a WHERE a.{name} < 9223372036854775807"
            f" AND NOT EXISTS (SELECT 1 FROM {target} AS b WHERE b.{name} = a.{name} + 1)"
        )
        before = f"SELECT min(a.{name}) - 1 FROM {target} AS a"
        self._connection.execute(
            f"UPDATE {target} SET {name} = coalesce(({after}), ({before})) WHERE {name} = ?", (rowid,)
        )

    def insert(self, columns: Sequence[str], values: Row) -> None:
        """Insert one record; `columns` are names of the descriptor, keys included."""
        terms = self._terms(values)
        sql = self._text(("insert", tuple(columns), terms), lambda: self._insert(columns, terms))
        self._connection.execute(sql, self._bind(values))

    def insert_many(self, columns: Sequence[str], rows: Iterable[Row]) -> int:
        """Insert records until one holds raw text or meets a constraint; how many have been inserted."""
        terms = ("?",) * len(columns)
        sql = self._text(("insert", tuple(columns), terms), lambda: self._insert(columns, terms))
        before = self._connection.total_changes
        # Which error a value of an unknown type is depends on the version of Python.
        with contextlib.suppress(sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.ProgrammingError):
            self._connection.executemany(sql, rows)
        return self._connection.total_changes - before

    def update(self, parts: Row, columns: Sequence[str], values: Row) -> None:
        """Set `columns` of the record with this key."""
        terms, where = self._terms(values), self._where(parts)
        sql = self._text(("update", tuple(columns), terms, where), lambda: self._update(columns, terms, where))
        self._connection.execute(sql, self._bind(values) + self._bind(self._match(parts)))

    def delete(self, parts: Row) -> None:
        """Delete the record with this key."""
        self._connection.execute(
            f"DELETE FROM {self._target} WHERE {self._where(parts)}", self._bind(self._match(parts))
        )

    def _row(self, names: Sequence[str], where: str, values: Row) -> Row | None:
        expressions = [quote(one) for one in names]
        if self._utf16 is not None:
            expressions = [self._utf16.expression(one) for one in expressions]
        factory = self._connection.text_factory
        self._connection.text_factory = raw_text
        try:
            sql = self._text(
                ("find", tuple(names), where),
                lambda: f"SELECT {', '.join(expressions)} FROM {self._target} WHERE {where}",
            )
            cursor = self._connection.execute(sql, self._bind(values))
            rows = cursor if self._utf16 is None else self._utf16.rows(cursor)
            found: Row | None = next(iter(rows), None)
            cursor.close()
            return found
        finally:
            self._connection.text_factory = factory

    def _by_rowid(self, parts: Row) -> bool:
        return len(parts) > len(self._descriptor.keys)

    def _match(self, parts: Row) -> Row:
        """The values for `_where`."""
        return parts[-1:] if self._by_rowid(parts) else tuple(one for part in parts for one in (part, part))

    def _where(self, parts: Row) -> str:
        if self._by_rowid(parts):
            return f"{self.hidden} = ?"
        terms = []
        for name, part in zip(self._descriptor.keys, parts, strict=True):
            column, value = quote(name), self._term(part)
            terms.append(f"{column} = {value} AND {column} COLLATE BINARY = {value}")
        return " AND ".join(terms)

    def _insert(self, columns: Sequence[str], terms: tuple[str, ...]) -> str:
        return f"INSERT INTO {self._target} ({', '.join(map(quote, columns))}) VALUES ({', '.join(terms)})"

    def _update(self, columns: Sequence[str], terms: tuple[str, ...], where: str) -> str:
        pairs = [f"{quote(name)} = {term}" for name, term in zip(columns, terms, strict=True)]
        return f"UPDATE {self._target} SET {', '.join(pairs)} WHERE {where}"

    def _term(self, value: Value) -> str:
        """What stands for a value in a statement."""
        if not isinstance(value, RawText):
            return "?"
        return "CAST(? AS TEXT)" if self._utf16 is None else f"CAST(x'{bytes(value.data).hex()}' AS TEXT)"

    def _terms(self, values: Row) -> tuple[str, ...]:
        return tuple([self._term(one) for one in values])

    def _bind(self, values: Row) -> tuple[object, ...]:
        if self._utf16 is not None:
            return tuple([one for one in values if not isinstance(one, RawText)])
        return tuple([bytes(one.data) if isinstance(one, RawText) else one for one in values])

    def _text(self, key: tuple[object, ...], make: Callable[[], str]) -> str:
        text = self._texts.get(key)
        if text is None:
            text = make()
            if len(self._texts) >= STATEMENTS_MAX:
                self._texts.clear()
            # One with raw text in it will not come again.
            if len(text) <= STATEMENT_CHARACTERS_MAX:
                self._texts[key] = text
        return text
