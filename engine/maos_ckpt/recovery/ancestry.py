"""Whether tasks would be their own ancestors: who is whose parent, in a temporary database."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Final

from maos_ckpt.recovery.lookup import Shape, matching
from maos_ckpt.recovery.reference_rules import COLLECTIONS
from maos_ckpt.sources.sqlite.spill import TEXT, Spill, SpilledMap
from maos_ckpt.states import State

#: How far up tasks are followed that the plan does not touch.
ANCESTORS_MAX: Final = 8
#: Tasks in memory before they are written.
_BATCH_MAX: Final = 1000


class Ancestry:
    """Takes the tasks that a plan writes, each once; then `circle`. A task costs 9 bytes of memory."""

    def __init__(self, spill: Spill) -> None:
        self._spill = spill
        self._batch: list[tuple[bytes, bytes]] = []
        self._table = ""

    def add(self, child: str, parent: str) -> None:
        """Note a task's parent; what is known of it already stays."""
        self._batch.append((TEXT.encode(child), TEXT.encode(parent)))
        if len(self._batch) >= _BATCH_MAX:
            self._write()

    def circle(self, live: State, shown_max: int) -> tuple[str, ...]:
        """The first circle, as names of records; above the tasks that were added stand those of `live`."""
        self._write()
        self._add_live(live)
        sql = (
            f"SELECT a.number, b.number FROM {self._table} AS a JOIN {self._table} AS b ON b.child = a.parent"
            " ORDER BY a.number"
        )
        last = self._spill.one(f"SELECT coalesce(max(number), 0) FROM {self._table}")
        parents = array("Q", bytes(8 * (1 + (0 if last is None else int(last[0])))))
        for child, parent in self._spill.each(sql):
            parents[child] = parent
        found = []
        for number in first_circle(parents, shown_max):
            row = self._spill.one(f"SELECT child FROM {self._table} WHERE number = ?", (number,))
            assert row is not None
            found.append("/".join((*COLLECTIONS["tasks"], TEXT.decode(row[0]))))
        return tuple(found)

    def _write(self) -> None:
        if not self._table:
            self._table = self._spill.create("number INTEGER PRIMARY KEY, child BLOB UNIQUE, parent BLOB")
        batch, self._batch = self._batch, []
        self._spill.put(f"INSERT OR IGNORE INTO {self._table} (child, parent) VALUES (?, ?)", batch)

    def _add_live(self, live: State) -> None:
        """The tasks above those that were added, as far as `ANCESTORS_MAX`."""
        descriptor = live.descriptors().get(COLLECTIONS["tasks"])
        if descriptor is None:
            return
        shape = Shape(descriptor, descriptor.columns, live.get)
        ends = SpilledMap(self._spill, TEXT)
        known = f"SELECT child FROM {self._table}"
        for (parent,) in self._spill.each(f"SELECT parent FROM {self._table} WHERE parent NOT IN ({known})"):
            ends.add(TEXT.decode(parent))
        for _ in range(ANCESTORS_MAX):
            if not ends:
                break
            above = SpilledMap(self._spill, TEXT)
            for record in matching(live, COLLECTIONS["tasks"], ends):
                values = shape.stored(record)
                name, parent = values.get("id"), values.get("parent_task_id")
                if isinstance(name, str) and isinstance(parent, str) and not self._knows(name):
                    self.add(name, parent)
                    above.add(parent)
            self._write()
            ends = SpilledMap(self._spill, TEXT)
            for parent, _ in above.items():
                if not self._knows(parent):
                    ends.add(parent)

    def _knows(self, name: str) -> bool:
        sql = f"SELECT 1 FROM {self._table} WHERE child = ?"
        return self._spill.one(sql, (TEXT.encode(name),)) is not None


def first_circle(parents: Sequence[int], shown_max: int) -> tuple[int, ...]:
    """The first circle's numbers, given each number's parent; 0 is nobody."""
    done = bytearray(len(parents))
    for start in range(1, len(parents)):
        at = start
        while at and not done[at]:
            done[at] = 2
            at = parents[at]
        if at and done[at] == 2:
            found = [at]
            while (following := parents[found[-1]]) != at and len(found) < shown_max:
                found.append(following)
            return tuple(found)
        at = start
        while at and done[at] == 2:
            done[at] = 1
            at = parents[at]
    return ()
