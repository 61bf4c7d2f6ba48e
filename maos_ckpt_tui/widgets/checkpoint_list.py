"""The checkpoints as a table, newest first."""

from __future__ import annotations

from maos_ckpt.model import Checkpoint, CheckpointState
from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.checkpoint_view import change_words, fit_words, marks_words, matches, why_words
from maos_ckpt_tui.viewmodel import ConsoleModel, short
from maos_ckpt_tui.widgets.lines import Line, Span, rule
from maos_ckpt_tui.widgets.row_list import EDGES, Column, RowList, choose_columns, table_line

_CHANGED = 4
_COLUMNS = (
    Column("TIME UTC", 8, 1),
    Column("AGE", 5, 2, right=True),
    Column("ID", 6, 1),
    Column("WHY", 10, 3),
    Column("CHANGED", 8, 4, grow=True, wish=18),
    Column("RECORDS", 9, 8, right=True),
    Column("SIZE", 8, 6, right=True),
    Column("STORED", 8, 2, right=True),
    Column("RATIO", 7, 10, right=True),
    Column("TOOK", 7, 9, right=True),
    Column("LOCK", 7, 11, right=True),
    Column("STATE", 10, 12),
    Column("MARKS", 8, 5, grow=True, wish=18),
)
#: With dates, once one in the list is not of today.
_COLUMNS_DATED = (Column("TIME UTC", 11, 1), *_COLUMNS[1:])
_HEADINGS: list[Span] = [(column.title, "head") for column in _COLUMNS]


class CheckpointList(RowList):
    """Shows what passes the filter; the selection keeps to its checkpoint while newer ones arrive above it."""

    def __init__(self) -> None:
        super().__init__(id="checkpoints")
        self._model = ConsoleModel()
        self.shown: list[Checkpoint] = []
        self._needle = ""
        self._following = True
        self._now_ms = 0
        self._note: list[Span] = []
        self._placeholder: list[Line] = []
        self._columns = _COLUMNS

    @property
    def selected(self) -> Checkpoint | None:
        """The checkpoint under the cursor."""
        return self.shown[self.cursor] if self.shown else None

    @property
    def row_count(self) -> int:
        """See `RowList.row_count`."""
        return len(self.shown)

    def show(self, model: ConsoleModel, now_ms: int, placeholder: list[Line]) -> None:
        """Another state of things; the cursor stays on its checkpoint, or on the newest while it has not left it."""
        chosen = self.selected
        self._model, self._now_ms, self._placeholder = model, now_ms, placeholder
        self.shown = [one for one in model.checkpoints if not self._needle or matches(one, self._needle)]
        today = not self.shown or fmt.when(self.shown[-1].created_at_ms, now_ms)[2] == ":"
        self._columns = _COLUMNS if today else _COLUMNS_DATED
        if chosen is not None and not self._following:
            self.cursor = next((index for index, one in enumerate(self.shown) if one.id == chosen.id), self.cursor)
        self.rows_changed()

    def filter(self, needle: str) -> None:
        """Show only what matches; all for an empty text."""
        self._needle = needle.strip()
        self.show(self._model, self._now_ms, self._placeholder)

    def age(self, now_ms: int) -> None:
        """Time has passed: the ages in sight are drawn again where they read differently."""
        old, self._now_ms = self._now_ms, now_ms
        width, top = self._width, self.scroll_offset.y
        for index in range(top, min(top + self._page, len(self.shown))):
            at_ms = self.shown[index].created_at_ms
            if fmt.span((old - at_ms) / 1000) != fmt.span((now_ms - at_ms) / 1000) and width:
                self._refresh_row(index)

    def move_to(self, index: int) -> None:
        """See `RowList.move_to`; back on the newest one, the cursor follows what arrives."""
        super().move_to(index)
        self._following = self.cursor == 0

    def heading(self, width: int) -> list[Line]:
        """See `RowList.heading`."""
        title = f"Checkpoints, {fmt.count(len(self.shown))}"
        if self._needle:
            title += f" of {fmt.count(len(self._model.checkpoints))} match “{self._needle}”"
        return [rule(title, width), [("  ", "plain"), *table_line(self._columns, _HEADINGS, max(0, width - EDGES))]]

    def placeholder(self, width: int) -> list[Line]:
        """See `RowList.placeholder`."""
        if self._needle and self._model.checkpoints:
            return [
                [],
                [
                    ("  Nothing matches the filter. ", "plain"),
                    ("/", "key"),
                    (" changes it, ", "plain"),
                    ("esc", "key"),
                    (" clears it.", "plain"),
                ],
            ]
        return self._placeholder

    def row(self, index: int, width: int) -> Line:
        """See `RowList.row`."""
        one = self.shown[index]
        changed, tone = change_words(one, self._model.find(one.parent or ""))
        widths = dict(choose_columns(self._columns, width))
        damaged = one.state is CheckpointState.DAMAGED
        cells: list[Span] = [
            (fmt.when(one.created_at_ms, self._now_ms), "plain"),
            (fmt.span((self._now_ms - one.created_at_ms) / 1000), "dim"),
            (short(one.id), "strong"),
            why_words(one),
            (fit_words(changed, widths.get(_CHANGED, 0)), tone),
            (fmt.count(one.records), "plain"),
            (fmt.size(one.logical_bytes), "plain"),
            (fmt.size(one.stored_bytes), "plain"),
            (fmt.ratio(one.logical_bytes, one.stored_bytes), "dim"),
            (fmt.duration(one.duration_s), "dim"),
            (fmt.duration(one.capture.lock_s), "dim"),
            (one.state.value, "bad" if damaged else "dim"),
            (" ".join(part for part in (marks_words(one), one.description) if part), "bad" if damaged else "key"),
        ]
        return table_line(self._columns, cells, width)
