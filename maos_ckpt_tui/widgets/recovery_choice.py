"""The checkpoints that a recovery can go back to: the recommended one first, the others newest first."""

from __future__ import annotations

from maos_ckpt.model import Checkpoint, CheckpointState, Trigger
from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.checkpoint_view import marks_words, matches
from maos_ckpt_tui.viewmodel import ConsoleModel, short
from maos_ckpt_tui.widgets.lines import Line, Span, rule
from maos_ckpt_tui.widgets.row_list import EDGES, Column, RowList, table_line

_COLUMNS = (
    Column("", 2, 1),
    Column("ID", 6, 1),
    Column("AGE", 5, 1, right=True),
    Column("TAKEN UTC", 11, 3),
    Column("WHY", 8, 2),
    Column("RECORDS", 9, 5, right=True),
    Column("STATE", 10, 4),
    Column("", 12, 2, grow=True, wish=24),
)
_HEADINGS: list[Span] = [(column.title, "head") for column in _COLUMNS]


class RecoveryChoice(RowList):
    """The cursor stands on the recommended one until the operator moves it."""

    def __init__(self) -> None:
        super().__init__(id="choice")
        self._all: list[Checkpoint] = []
        self._shown: list[Checkpoint] = []
        self._best = ""
        self._damage_after_ms: int | None = None
        self._now_ms = 0
        self._needle = ""
        self._placeholder: list[Line] = []
        self.touched = False

    @property
    def row_count(self) -> int:
        """See `RowList.row_count`."""
        return len(self._shown)

    @property
    def selected(self) -> Checkpoint | None:
        """The checkpoint under the cursor."""
        return self._shown[self.cursor] if self._shown else None

    def show(self, model: ConsoleModel, now_ms: int, placeholder: list[Line]) -> None:
        """Another state of things; the cursor keeps to its checkpoint."""
        self._all, self._now_ms, self._placeholder = model.checkpoints, now_ms, placeholder
        self._lay()

    def recommend(self, best: Checkpoint | None, damage_after_ms: int | None) -> None:
        """The recommended one, which comes first; those taken after `damage_after_ms` hold what went wrong."""
        self._best, self._damage_after_ms = best.id if best is not None else "", damage_after_ms
        if best is not None and best not in self._all:
            self._all = [best, *self._all]
        self._lay()

    def filter(self, needle: str) -> None:
        """Show only what matches."""
        self._needle = needle.strip()
        self._lay()

    def _lay(self) -> None:
        at = self.selected.id if self.selected is not None and self.touched else self._best
        found = [one for one in self._all if not self._needle or matches(one, self._needle)]
        self._shown = sorted(found, key=lambda one: one.id != self._best)
        self.cursor = next((index for index, one in enumerate(self._shown) if one.id == at), 0)
        self.rows_changed()

    def age(self, now_ms: int) -> None:
        """Time has passed: the ages in sight are drawn again where they read differently."""
        old, self._now_ms = self._now_ms, now_ms
        top = self.scroll_offset.y
        for index in range(top, min(top + self._page, len(self._shown))):
            at_ms = self._shown[index].created_at_ms
            if self._width and fmt.span((old - at_ms) / 1000) != fmt.span((now_ms - at_ms) / 1000):
                self._refresh_row(index)

    def move_to(self, index: int) -> None:
        """See `RowList.move_to`."""
        self.touched = True
        super().move_to(index)

    def heading(self, width: int) -> list[Line]:
        """See `RowList.heading`."""
        title = f"Go back to which of {fmt.plural(len(self._all), 'checkpoint')}?"
        if self._needle:
            title = f"{len(self._shown):,} of {fmt.plural(len(self._all), 'checkpoint')} match “{self._needle}”"
        return [rule(title, width), [("  ", "plain"), *table_line(_COLUMNS, _HEADINGS, max(0, width - EDGES))]]

    def placeholder(self, width: int) -> list[Line]:
        """See `RowList.placeholder`."""
        if self._needle and self._all:
            return [[], [("  Nothing matches the filter. ", "plain"), ("esc", "key"), (" clears it.", "plain")]]
        return self._placeholder

    def row(self, index: int, width: int) -> Line:
        """See `RowList.row`."""
        one = self._shown[index]
        words, tone = self._words(one)
        cells: list[Span] = [
            ("->" if one.id == self._best else "", "ok"),
            (short(one.id), "strong"),
            (fmt.span((self._now_ms - one.created_at_ms) / 1000), "plain"),
            (fmt.when(one.created_at_ms, self._now_ms), "dim"),
            (one.trigger.value, "dim"),
            (fmt.count(one.records), "dim"),
            (one.state.value, "bad" if one.state is CheckpointState.DAMAGED else "dim"),
            (words, tone),
        ]
        return table_line(_COLUMNS, cells, width)

    def _words(self, one: Checkpoint) -> Span:
        more = " ".join(part for part in (marks_words(one), one.description) if part)
        if one.state is CheckpointState.DAMAGED:
            return f"XX damaged {more}", "bad"
        if one.id == self._best:
            return f"recommended {more}", "ok"
        if one.trigger is Trigger.SAFETY:
            return f"before a recovery {more}", "dim"
        if self._damage_after_ms is not None and one.created_at_ms > self._damage_after_ms:
            return f"!! after it went wrong {more}", "warn"
        if one.partial:
            return f"!! partial {more}", "warn"
        return more, "key"
