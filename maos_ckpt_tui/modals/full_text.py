"""A value in full: what was before and what is after as one text, in which signs and tones say what differs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import ClassVar

from rich.cells import cell_len, chop_cells
from textual.binding import Binding, BindingType
from textual.widget import Widget

from maos_ckpt_tui.modals.base import Modal
from maos_ckpt_tui.safe_text import safe_text, wrap
from maos_ckpt_tui.text_diff import CAME, GONE, LEFT_OUT, DiffLine, diff_lines
from maos_ckpt_tui.widgets.lines import Line, Span
from maos_ckpt_tui.widgets.row_list import EDGES, RowList

#: Longer values are cut here, and it is said; the command line exports them whole.
CHARACTERS_MAX = 200_000
#: So many lines are shown at most.
ROWS_MAX = 20_000
_WORD = re.compile(r" +|[^ ]+")
#: What differs within a line stands between these, so that it is told without colour as well.
_MARKS = {GONE: ("[-", "-]", "before"), CAME: ("{+", "+}", "after")}


def value_lines(title: str, value: str | None, width: int) -> list[Line]:
    """One value as wrapped lines under a heading."""
    if value is None:
        return [[(title, "head"), ("  absent", "dim")]]
    lines: list[Line] = [[(title, "head"), (f"  {len(value):,} characters", "dim")]]
    for text in value[:CHARACTERS_MAX].split("\n"):
        lines += [[("  ", "plain"), (part, "plain")] for part in wrap(text, max(8, width - 2))]
    return [*lines, *_cut(value)]


def _cut(value: str) -> list[Line]:
    more = len(value) - CHARACTERS_MAX
    return [[(f"  … cut here; {more:,} characters more", "warn")]] if more > 0 else []


def difference_lines(before: str, after: str, width: int) -> list[Line]:
    """Both values as one text: `-` lines were, `+` lines are."""
    lines: list[Line] = [
        [("Before", "head"), (f"  {len(before):,} characters, signed ", "dim"), ("-", "before")],
        [("After ", "head"), (f"  {len(after):,} characters, signed ", "dim"), ("+", "after")],
        [],
    ]
    for one in diff_lines(before[:CHARACTERS_MAX], after[:CHARACTERS_MAX]):
        if len(lines) >= ROWS_MAX:
            return [*lines, [(f"  … cut here after {ROWS_MAX:,} lines", "warn")]]
        lines += _line(one, max(8, width - 2))
    return [*lines, *(_cut(before) or _cut(after))]


def _line(one: DiffLine, width: int) -> list[Line]:
    tone = {GONE: "before", CAME: "after"}.get(one.sign, "dim" if one.sign == LEFT_OUT else "plain")
    spans: list[Span] = []
    whole = all(differs for _, differs in one.pieces)
    for text, differs in one.pieces:
        if not differs or one.sign not in _MARKS:
            spans.append((text, "dim" if one.sign == LEFT_OUT else "plain"))
        elif whole:
            spans.append((text, tone))
        else:
            left, right, _ = _MARKS[one.sign]
            spans.append((f"{left}{text}{right}", tone))
    rows = wrap_spans(spans, width)
    return [[(f"{one.sign} " if number == 0 else "  ", tone), *row] for number, row in enumerate(rows)]


def wrap_spans(spans: Iterable[Span], width: int) -> list[Line]:
    """Toned pieces of one long line broken into lines of at most `width` cells, at blanks where there are some."""
    rows: list[Line] = [[]]
    room = width
    for text, tone in spans:
        for word in _WORD.findall(safe_text(text)):
            parts = [word] if cell_len(word) <= width else chop_cells(word, width)
            for part in parts:
                if cell_len(part) > room:
                    rows.append([])
                    room = width
                    part = part.lstrip(" ")
                rows[-1].append((part, tone))
                room -= cell_len(part)
    return rows


class ValueList(RowList):
    """Wrapped lines of both values."""

    POINTED = False

    def __init__(self, before: str | None, after: str | None) -> None:
        super().__init__(id="value")
        self._before, self._after = before, after
        self._lines: list[Line] = []
        self._wrapped_width = -1

    @property
    def row_count(self) -> int:
        """See `RowList.row_count`."""
        width = self._width - EDGES
        if width > 0 and width != self._wrapped_width:
            self._wrapped_width = width
            self._lines = self._build(width)
        return len(self._lines)

    def _build(self, width: int) -> list[Line]:
        before, after = self._before, self._after
        if before is None or after is None:
            return [*value_lines("Before", before, width), [], *value_lines("After", after, width)]
        return difference_lines(before, after, width)

    def row(self, index: int, width: int) -> Line:
        """See `RowList.row`."""
        return self._lines[index]


class FullTextModal(Modal[bool]):
    """Scrollable; the title names record and field."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter,q", "cancel", "Close", show=False)]
    AUTO_FOCUS = "#value"
    DEFAULT_CLASSES = "large"

    def __init__(self, title: str, before: str | None, after: str | None) -> None:
        super().__init__(title)
        self._before, self._after = before, after

    def inside(self) -> Iterable[Widget]:
        """See `Modal.inside`."""
        yield ValueList(self._before, self._after)

    def hints(self) -> tuple[tuple[str, str], ...]:
        """See `Modal.hints`."""
        return (("↑↓", "scroll"), ("enter", "close"))
