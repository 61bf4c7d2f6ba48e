"""The counters of AUTOINCREMENT: set last, because inserting rows moves them."""

from __future__ import annotations

import sqlite3
from typing import Final, Literal

from maos_ckpt.model import Value
from maos_ckpt.sources.change import Change, same_value
from maos_ckpt.sources.sqlite.schema import SEQUENCE_TABLE

#: `set`: they become what the checkpoint says. `raise`: they only grow, so that no id is ever given twice.
SequenceMode = Literal["set", "raise"]

_TABLE: Final = f"main.{SEQUENCE_TABLE}"


class Sequences:
    """The counters of one recovery. `moved` holds the paths of those that are not as the plan saw them."""

    def __init__(self, connection: sqlite3.Connection, mode: SequenceMode) -> None:
        self._connection = connection
        self._mode = mode
        self._before: dict[str, Value] = {}
        self._wanted: dict[str, Value] = {}
        self.moved: list[str] = []

    def read(self) -> None:
        """Note the counters before any row is written."""
        self._before = self._now()

    def take(self, change: Change) -> None:
        """Check and note one change; it is written at the end."""
        name = change.parts[0]
        assert isinstance(name, str)
        before = None if change.before is None else change.before[0]
        # A counter that only grows may have grown since: that takes nothing from anybody.
        if self._mode == "set" and not same_value(self._before.get(name), before):
            self.moved.append(change.path)
        self._wanted[name] = None if change.after is None else change.after[0]

    def write(self) -> None:
        """Give every counter its value."""
        if not self._there():
            return
        now = self._now()
        if self._mode == "raise":
            wanted = {name: value for name, value in self._wanted.items() if _is_more(value, now.get(name))}
        else:
            wanted = {**{name: self._before.get(name) for name in now}, **self._wanted}
        for name, value in wanted.items():
            if same_value(now.get(name), value):
                continue
            self._connection.execute(f"DELETE FROM {_TABLE} WHERE name = ?", (name,))
            if value is not None:
                self._connection.execute(f"INSERT INTO {_TABLE} (name, seq) VALUES (?, ?)", (name, value))

    def _there(self) -> bool:
        # SQLite makes the table with the first AUTOINCREMENT table, which may have been created in this transaction.
        sql = "SELECT 1 FROM main.sqlite_master WHERE type = 'table' AND name = ?"
        return self._connection.execute(sql, (SEQUENCE_TABLE,)).fetchone() is not None

    def _now(self) -> dict[str, Value]:
        if not self._there():
            return {}
        found: dict[str, Value] = {}
        for name, seq in self._connection.execute(f"SELECT name, seq FROM {_TABLE} ORDER BY rowid"):
            found.setdefault(name, seq)
        return found


def _is_more(value: Value, now: Value) -> bool:
    return isinstance(value, int) and (not isinstance(now, int) or value > now)
