"""Tables whose rows have no name: written by way of a stand-in that gives them their position as a key.

Such a table has no key free of NULL, and its columns hide every name of the rowid, so that no SQL can address one row.
Its changes are made in a temporary copy; then the table is emptied and filled again in the copy's order.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from maos_ckpt.model import Descriptor
from maos_ckpt.sources.sqlite.schema import Table, quote

_NAME: Final = "temp.ckpt_stand_in"


class StandIn:
    """A temporary table with `descriptor`'s key and columns; `target` is its name as SQL. `close` it in any case."""

    target = _NAME

    def __init__(self, connection: sqlite3.Connection, descriptor: Descriptor, table: Table) -> None:
        self._connection = connection
        self._table = f"main.{quote(table.name)}"
        self._position = quote(descriptor.keys[0])
        self._columns = ", ".join(map(quote, table.columns))
        connection.execute(f"DROP TABLE IF EXISTS {_NAME}")
        # Columns without a type convert nothing.
        connection.execute(f"CREATE TABLE {_NAME} ({self._position} INTEGER PRIMARY KEY, {self._columns})")
        # Without an index SQLite walks the table by rowid, which is how positions were counted.
        connection.execute(
            f"INSERT INTO {_NAME} ({self._columns}) SELECT {self._columns} FROM {self._table} NOT INDEXED"
        )

    def write_back(self) -> None:
        """Make the table hold what the stand-in holds."""
        self._connection.execute(f"DELETE FROM {self._table}")
        self._connection.execute(
            f"INSERT INTO {self._table} ({self._columns}) SELECT {self._columns} FROM {_NAME} ORDER BY {self._position}"
        )

    def close(self) -> None:
        """Drop the stand-in."""
        if self._connection.in_transaction:
            self._connection.execute(f"DROP TABLE IF EXISTS {_NAME}")
