"""A checkpoint's components and collections with sizes and growth."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from maos_ckpt.model import Checkpoint
from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.checkpoint_view import Growth, growth, state_words
from maos_ckpt_tui.safe_text import safe_text
from maos_ckpt_tui.viewmodel import short
from maos_ckpt_tui.widgets.lines import Line, LineView, Span, facts, rule
from maos_ckpt_tui.widgets.row_list import EDGES, Column, RowList, table_line

COLUMNS = (
    Column("COMPONENT", 18, 1, grow=True),
    Column("RECORDS", 9, 2, right=True),
    Column("GROWTH", 8, 4, right=True),
    Column("SIZE", 8, 3, right=True),
    Column("GROWTH", 9, 5, right=True),
    Column("SINCE PARENT", 12, 6, grow=True),
)
#: A growth bar has at most so many cells; the largest growth fills it.
_BAR_CELLS = 8
HEADINGS: list[Span] = [(column.title, "head") for column in COLUMNS]


def largest_growth(rows: Sequence[Growth]) -> int:
    """The bytes that the longest growth bar stands for."""
    return max((abs(one.bytes_delta or 0) for one in rows), default=0)


def _bar(one: Growth, largest: int) -> str:
    if not one.bytes_delta or not largest:
        return ""
    # Which way it went is told by the sign.
    cells = max(1, round(abs(one.bytes_delta) / largest * (_BAR_CELLS - 1)))
    return ("+" if one.bytes_delta > 0 else "-") + "█" * cells


def growth_cells(one: Growth, largest: int = 0, indent: str = "  ") -> list[Span]:
    """One component or collection as cells of `COLUMNS`; `largest` is what the longest growth bar stands for."""
    main = one.depth == 0
    moved = _bar(one, largest) or (
        "changed" if one.changed else "same" if one.records_delta is not None else "no parent"
    )
    return [
        (indent * one.depth + safe_text(one.name), "strong" if main else "plain"),
        (fmt.count(one.records), "plain" if main else "dim"),
        _delta(one.records_delta, fmt.signed),
        (fmt.size(one.bytes), "plain" if main else "dim"),
        _delta(one.bytes_delta, fmt.signed_size),
        (moved, "accent" if one.changed else "dim"),
    ]


def _delta(number: int | None, words: Callable[[int], str]) -> Span:
    return (words(number), "accent" if number else "dim") if number is not None else ("?", "dim")


class GrowthList(RowList):
    """Components and collections of one checkpoint, scrollable."""

    def __init__(self) -> None:
        super().__init__(id="growth")
        self._rows: list[Growth] = []
        self._largest = 0

    def show(self, checkpoint: Checkpoint, parent: Checkpoint | None) -> None:
        """Another checkpoint, or its parent has been found."""
        self._rows = growth(checkpoint, parent)
        self._largest = largest_growth(self._rows)
        self.rows_changed()

    @property
    def row_count(self) -> int:
        """See `RowList.row_count`."""
        return len(self._rows)

    def heading(self, width: int) -> list[Line]:
        """See `RowList.heading`."""
        return [rule("Components", width), [("  ", "plain"), *table_line(COLUMNS, HEADINGS, max(0, width - EDGES))]]

    def placeholder(self, width: int) -> list[Line]:
        """See `RowList.placeholder`."""
        return [[("  This checkpoint holds no collections: the source was empty.", "plain")]]

    def row(self, index: int, width: int) -> Line:
        """See `RowList.row`."""
        return table_line(COLUMNS, growth_cells(self._rows[index], self._largest), width)


class SelectedPane(LineView):
    """The selected checkpoint beside the list, where the screen is wide."""

    def __init__(self) -> None:
        super().__init__(id="selected")
        self._checkpoint: Checkpoint | None = None
        self._before: Checkpoint | None = None
        self._now_ms = 0

    def show(self, checkpoint: Checkpoint | None, parent: Checkpoint | None, now_ms: int) -> None:
        """Another selection."""
        self._checkpoint, self._before, self._now_ms = checkpoint, parent, now_ms
        self.changed()

    def build(self, width: int) -> list[Line]:
        """See `LineView.build`."""
        one = self._checkpoint
        if one is None:
            return [rule("Selected", width), [("  nothing selected", "dim")]]
        state, tone = state_words(one)
        pairs = [
            ("taken", f"{fmt.utc(one.created_at_ms)}, {fmt.minutes_ago(one.created_at_ms, self._now_ms)}", "plain"),
            ("why", one.trigger.value + (f": {one.description}" if one.description else ""), "plain"),
            ("state", state, tone),
            ("size", f"{fmt.plural(one.records, 'record')}, {fmt.size(one.logical_bytes)}", "plain"),
            ("stored", f"{fmt.size(one.stored_bytes)} in {fmt.duration(one.duration_s)}", "plain"),
            ("lock", f"{fmt.duration(one.capture.lock_s)}, skew {fmt.duration(one.capture.skew_s)}", "plain"),
        ]
        lines = [rule(f"Selected {short(one.id)}", width), *facts(pairs, width - 1), []]
        lines.append([(" ", "plain"), *table_line(COLUMNS, HEADINGS, width - 2)])
        rows = growth(one, self._before)
        if len(lines) + len(rows) > self.size.height:
            # Half a list would look like a whole one; `enter` shows the collections.
            rows = [row for row in rows if row.depth == 0]
        return lines + [[(" ", "plain"), *table_line(COLUMNS, growth_cells(row), width - 2)] for row in rows]
