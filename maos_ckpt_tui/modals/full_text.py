"""A value in full: what was before, what is after, the part that differs in its own tone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget

from maos_ckpt_tui.changes import common_ends
from maos_ckpt_tui.modals.base import Modal
from maos_ckpt_tui.safe_text import wrap
from maos_ckpt_tui.widgets.lines import Line
from maos_ckpt_tui.widgets.row_list import EDGES, RowList

#: Longer values are cut here, and it is said; the command line exports them whole.
CHARACTERS_MAX = 200_000


def value_lines(title: str, value: str | None, differs: tuple[int, int], tone: str, width: int) -> list[Line]:
    """One value as wrapped lines under a heading; `differs` is (start, end) of the differing part."""
    if value is None:
        return [[(title, "head"), ("  absent", "dim")]]
    shown = value[:CHARACTERS_MAX]
    lines: list[Line] = [[(title, "head"), (f"  {len(value):,} characters", "dim")]]
    at = 0
    for text in shown.split("\n"):
        inside = at < differs[1] and at + len(text) >= differs[0]
        lines += [[("  ", "plain"), (part, tone if inside else "plain")] for part in wrap(text, max(8, width - 2))]
        at += len(text) + 1
    if len(value) > CHARACTERS_MAX:
        lines.append([(f"  … cut here; {len(value) - CHARACTERS_MAX:,} characters more", "warn")])
    return lines


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
        start, end = common_ends(before, after) if before is not None and after is not None else (0, 0)
        lines = value_lines("Before", before, (start, len(before or "") - end), "before", width)
        return [*lines, [], *value_lines("After", after, (start, len(after or "") - end), "after", width)]

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
