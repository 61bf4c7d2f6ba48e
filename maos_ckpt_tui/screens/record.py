"""A record in full: every field with its value, what differs from the place before marked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from maos_ckpt.errors import CkptError
from maos_ckpt_tui.commands import RECORD, bindings_for
from maos_ckpt_tui.explore.position import Position
from maos_ckpt_tui.explore.reading import Listing, Values, read, text
from maos_ckpt_tui.explore.things import Thing
from maos_ckpt_tui.safe_text import safe_name, wrap
from maos_ckpt_tui.screens.exploring import ExploringScreen, failure
from maos_ckpt_tui.widgets.key_bar import KeyBar
from maos_ckpt_tui.widgets.lines import Line, rule
from maos_ckpt_tui.widgets.operation_bar import OperationBar
from maos_ckpt_tui.widgets.row_list import EDGES, RowList
from maos_ckpt_tui.widgets.time_strip import TimeStrip
from maos_ckpt_tui.widgets.title_bar import TitleBar

#: Characters of a value; `e` writes it whole.
CHARACTERS_MAX = 100_000
_TITLE_CELLS_MAX = 40


def value_text(value: object) -> str:
    """A value as it is read best: a document with its indents."""
    whole = text(value)
    if whole[:1] in ("{", "["):
        try:
            return json.dumps(json.loads(whole), ensure_ascii=False, indent=2)[: CHARACTERS_MAX * 2]
        except (ValueError, RecursionError):
            return whole
    return whole


class FieldList(RowList):
    """Wrapped lines of all fields."""

    POINTED = False

    def __init__(self) -> None:
        super().__init__(id="fields")
        self._values: Values = {}
        self._before: Values | None = None
        self._title = "Record"
        self._placeholder: list[Line] = []
        self._lines: list[Line] = []
        self._wrapped_width = -1

    def show(self, values: Values, before: Values | None, title: str, placeholder: list[Line]) -> None:
        """Another record; `before` are its values at the place that one came from."""
        self._values, self._before, self._title, self._placeholder = values, before, title, placeholder
        self._wrapped_width = -1
        self.rows_changed()

    @property
    def row_count(self) -> int:
        """See `RowList.row_count`."""
        width = self._width - EDGES
        if width > 0 and width != self._wrapped_width:
            self._wrapped_width = width
            self._lines = [line for name in self._values for line in self._field(name, width)]
        return len(self._lines)

    def _field(self, name: str, width: int) -> list[Line]:
        value = self._values[name]
        head: Line = [("  ", "plain"), (safe_name(name, width - 30), "head")]
        if self._before is not None and name not in self._before:
            head[0] = ("+ ", "ok")
        elif self._before is not None and self._before[name] != value:
            head[0] = ("~ ", "accent")
        shown = value_text(value)
        if isinstance(value, Mapping) and "$clipped" in value:
            head.append(
                (f"  the first {CHARACTERS_MAX:,} of {value.get('length', 0):,}; e writes all to a file", "warn")
            )
        elif len(shown) > width:
            head.append((f"  {len(shown):,} characters", "dim"))
        if value is None or not shown:
            return [[*head, ("  NULL" if value is None else "  empty", "faint")]]
        tone = "plain" if head[0][0] == "  " else "after"
        if "\n" not in shown and len(shown) <= width - 24:
            return [[*head, ("  ", "plain"), (shown, tone)]]
        lines: list[Line] = [head]
        for part in shown.split("\n"):
            indent = "    " + " " * min(24, len(part) - len(part.lstrip(" ")))
            lines += [[(indent + piece, tone)] for piece in wrap(part.lstrip(" "), max(8, width - len(indent)))]
        return lines

    def heading(self, width: int) -> list[Line]:
        """See `RowList.heading`."""
        return [rule(self._title, width)]

    def placeholder(self, width: int) -> list[Line]:
        """See `RowList.placeholder`."""
        return self._placeholder

    def row(self, index: int, width: int) -> Line:
        """See `RowList.row`."""
        return self._lines[index]


class RecordScreen(ExploringScreen):
    """One record at one place in time."""

    PLACE = RECORD
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for(RECORD)]
    AUTO_FOCUS = "#fields"

    def __init__(self, position: Position, thing: Thing) -> None:
        super().__init__(position)
        self._thing = thing
        self._loaded: tuple[str, Values] | None = None

    def compose(self) -> ComposeResult:
        """Time, fields, keys."""
        yield TitleBar(f"Record of {safe_name(self._thing.words, _TITLE_CELLS_MAX)}")
        yield TimeStrip()
        yield FieldList()
        yield OperationBar()
        yield KeyBar(RECORD)

    def on_mount(self) -> None:
        """Read at once."""
        self.reload()

    @property
    def thing(self) -> Thing | None:
        """See `ExploringScreen.thing`."""
        return self._thing

    def reload(self) -> None:
        """Read it as it is at this place."""
        client, place, pattern = self.console.client, self.position.id, self._thing.pattern
        self.shown_at = place
        reading: list[Line] = [[("  Reading the record… Nothing is written.", "dim")]]
        self.query_one(FieldList).show({}, None, self._title(), reading)
        self.ask(
            lambda: (place, read(client, place, pattern, 1, clip=CHARACTERS_MAX)),
            self._read,
            group="record",
            failed=self._failed,
        )

    def _title(self) -> str:
        return f"{self._thing.component}/{self._thing.collection}  {safe_name(self._thing.key, 60)}"

    def _read(self, answer: tuple[str, Listing]) -> None:
        place, found = answer
        before = self._loaded[1] if self._loaded is not None and self._loaded[0] != place else None
        values: Values = found.entries[0].values if found.entries else {}
        absent: list[Line] = [
            [("  - This record is not here: it came later, or had been removed.", "plain")],
            [("  ← and → go to other checkpoints, ", "dim"), ("H", "key"), (" shows when it came and went.", "dim")],
        ]
        if before is not None:
            number = sum(1 for name in {**before, **values} if before.get(name) != values.get(name))
            self.difference = f"~{number}" if number else "no change"
            if bool(before) != bool(values):
                self.difference = "+ it is here" if values else "- it is not here"
        self._loaded = (place, values)
        self.query_one(FieldList).show(values, before or None, self._title(), absent)
        self.show_strip()

    def _failed(self, error: CkptError) -> None:
        self._loaded = None
        self.query_one(FieldList).show({}, None, self._title(), failure(error))
