"""One event in full; enter again opens its checkpoint."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget

from maos_ckpt_tui import journal_view as view
from maos_ckpt_tui.journal_view import Entry
from maos_ckpt_tui.modals.base import Modal
from maos_ckpt_tui.viewmodel import short
from maos_ckpt_tui.widgets.event_list import entry_lines
from maos_ckpt_tui.widgets.lines import Line, Paragraphs
from maos_ckpt_tui.widgets.row_list import EDGES, RowList


class EntryLines(RowList):
    """The entry as lines to scroll in."""

    POINTED = False

    def __init__(self, entry: Entry) -> None:
        super().__init__(id="value")
        self._entry = entry
        self._lines: list[Line] = []
        self._wrapped_width = -1

    @property
    def row_count(self) -> int:
        """See `RowList.row_count`."""
        width = self._width - EDGES
        if width > 0 and width != self._wrapped_width:
            self._wrapped_width = width
            self._lines = entry_lines(self._entry, width)
        return len(self._lines)

    def row(self, index: int, width: int) -> Line:
        """See `RowList.row`."""
        return self._lines[index]


class EventModal(Modal[str]):
    """Ends with the id of the event's checkpoint where that is to be opened."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Open", show=False),
        Binding("q", "cancel", "Close", show=False),
        Binding("y", "copy", "Copy", show=False),
    ]
    AUTO_FOCUS = "#value"
    DEFAULT_CLASSES = "large"

    def __init__(self, entry: Entry) -> None:
        super().__init__("One event")
        self._entry = entry
        self._checkpoint = view.checkpoint_of(entry[1])

    def inside(self) -> Iterable[Widget]:
        """See `Modal.inside`."""
        yield EntryLines(self._entry)

    def hints(self) -> tuple[tuple[str, str], ...]:
        """See `Modal.hints`."""
        opens = f"open {short(self._checkpoint)}" if self._checkpoint else "close"
        return (("enter", opens), ("y", "copy"), ("↑↓", "scroll"), ("esc", "back"))

    def action_open(self) -> None:
        """Its checkpoint, or nothing."""
        self.end(self._checkpoint or None)

    def action_copy(self) -> None:
        """The sentence with its time."""
        self.console.copy(view.as_text(*self._entry))


class RunbookModal(Modal[bool]):
    """What to do about a problem."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter,h,q", "cancel", "Close", show=False)]

    def __init__(self, title: str, wrong: tuple[str, str], todo: str) -> None:
        super().__init__(title)
        self._wrong, self._todo = wrong, todo

    def inside(self) -> Iterable[Widget]:
        """See `Modal.inside`."""
        yield Paragraphs([self._wrong, ("", "plain"), (self._todo, "plain")])

    def hints(self) -> tuple[tuple[str, str], ...]:
        """See `Modal.hints`."""
        return (("enter", "close"),)
