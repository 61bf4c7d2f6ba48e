"""The rows of one view: records as a table or a tree, what differs from the place before in front."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.explore.rows import Row
from maos_ckpt_tui.explore.views import Reading, View, changed
from maos_ckpt_tui.safe_text import safe_text
from maos_ckpt_tui.widgets.lines import Line, Span, rule
from maos_ckpt_tui.widgets.row_list import EDGES, Column, RowList, table_line

_SIGN = Column("", 1, 1)
_ROOMY_CELLS = 90
_SEARCHED_CHARACTERS = 300


@lru_cache(maxsize=16)
def _roomy(columns: tuple[Column, ...]) -> tuple[Column, ...]:
    """The same with larger wishes: names are shown in full before the last column takes all the room there is."""
    return tuple(replace(one, wish=max(one.wish * 8 // 5, one.width * 2) if one.grow else 0) for one in columns)


class ThingList(RowList):
    """Shows what passes filter and `problems`; the cursor stays on its record wherever one looks."""

    def __init__(self) -> None:
        super().__init__(id="things")
        self.rows: list[Row] = []
        self._all: list[Row] = []
        self._view: View | None = None
        self._before: Mapping[str, bytes] | None = None
        self._note: list[Span] = []
        self._placeholder: list[Line] = []
        self._needle: list[str] = []
        self._problems = False

    @property
    def current(self) -> Row | None:
        """The row under the cursor."""
        return self.rows[self.cursor] if self.rows else None

    @property
    def row_count(self) -> int:
        """See `RowList.row_count`."""
        return len(self.rows)

    def empty(self, view: View, lines: list[Line]) -> None:
        """No rows, and why."""
        self._all, self._view, self._note, self._placeholder = [], view, [], lines
        self._choose("")

    def show(self, view: View, reading: Reading, before: Mapping[str, bytes] | None, note: list[Span]) -> None:
        """A view's rows; `before` are the digests at the place that one came from."""
        chosen = self.current.entry.path if self.current is not None and self._view is view else self._kept
        self._all, self._view, self._before, self._note = reading.rows, view, before, note
        self._placeholder = [
            [(f"  No {view.thing} here: {view.nothing}", "plain")],
            [("  ← goes further back.", "dim")],
        ]
        self._choose(chosen)

    _kept = ""

    def keep(self) -> None:
        """The same record is to be found again once the next place has been read."""
        self._kept = self.current.entry.path if self.current is not None else self._kept

    def filter(self, needle: str) -> None:
        """Show only rows that hold every word."""
        self._needle = needle.casefold().split()
        self._choose(self.current.entry.path if self.current else "")

    def only_problems(self, wanted: bool) -> None:
        """Show only what an operator may want to look at, or all."""
        self._problems = wanted
        self._choose(self.current.entry.path if self.current else "")

    @property
    def problems(self) -> bool:
        """Whether only those are shown."""
        return self._problems

    def _choose(self, path: str) -> None:
        self.rows = [one for one in self._all if self._passes(one)]
        if path:
            self.cursor = next((at for at, one in enumerate(self.rows) if one.entry.path == path), self.cursor)
        self.rows_changed()

    def _passes(self, one: Row) -> bool:
        if self._problems and not one.trouble:
            return False
        if not self._needle:
            return True
        words = " ".join((one.entry.key, *(text[:_SEARCHED_CHARACTERS] for text, _ in one.cells))).casefold()
        return all(needle in words for needle in self._needle)

    def _columns(self, width: int) -> tuple[Column, ...]:
        columns = self._view.columns if self._view is not None else ()
        return (_SIGN, *(_roomy(columns) if width >= _ROOMY_CELLS else columns))

    def heading(self, width: int) -> list[Line]:
        """See `RowList.heading`."""
        if self._view is None:
            return []
        number = fmt.count(len(self.rows))
        if len(self.rows) != len(self._all):
            number += f" of {fmt.count(len(self._all))}"
        title = f"{self._view.title} {number}" + (" with problems" if self._problems else "")
        columns = self._columns(width - EDGES)
        headings = [(column.title, "head") for column in columns]
        table: Line = [("  ", "plain"), *table_line(columns, headings, max(0, width - EDGES))]
        return [rule(title, width, self._note), table]

    def placeholder(self, width: int) -> list[Line]:
        """See `RowList.placeholder`."""
        if self._all and self._problems:
            return [[("  OK nothing here failed, is blocked or paused; ! shows all.", "plain")]]
        if self._all:
            return [[("  Nothing passes the filter; esc clears it.", "plain")]]
        return self._placeholder

    def row(self, index: int, width: int) -> Line:
        """See `RowList.row`."""
        one = self.rows[index]
        sign = changed(self._before, one.entry.path, one.entry.digest)
        (first, tone), *rest = one.cells
        if one.level:
            first = "  " * (one.level - 1) + "└ " + safe_text(first, width)
        return table_line(self._columns(width), [sign, (first, tone), *rest], width)
