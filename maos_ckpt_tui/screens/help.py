"""What can be done on the screen below, by which key, and what the signs mean."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget

from maos_ckpt_tui.commands import APP, PLACES, Command, commands_for
from maos_ckpt_tui.modals.base import Modal
from maos_ckpt_tui.safe_text import pad, wrap
from maos_ckpt_tui.widgets.lines import Line
from maos_ckpt_tui.widgets.row_list import EDGES, RowList

_KEY_CELLS = 8
_NAME_CELLS = 14
_SIGNS = (
    ("OK", "safe: the last checkpoint is recent"),
    ("!!", "stale, or something to look at"),
    ("XX", "failing or damaged: act now"),
    ("..", "running or starting"),
    ("▁▃█", "timeline: bytes stored (logarithmic) or size of the state"),
    ("· m s a", "scheduled, manual, safety, by the API"),
    ("* X :", "pinned, damaged, a time without checkpoints"),
    ("+ ~ -", "added, changed, removed"),
)
_MOVES = (
    ("↑↓ k j", "one row"),
    ("g G", "first, last row"),
    ("pgup", "one page (also pgdn, ^u, ^d)"),
    ("tab", "next field in a dialog"),
)


class HelpList(RowList):
    """The wrapped help text."""

    POINTED = False

    def __init__(self, place: str, keys: dict[str, str]) -> None:
        super().__init__(id="help")
        self._place, self._keys = place, keys
        self._lines: list[Line] = []
        self._wrapped_width = -1

    @property
    def row_count(self) -> int:
        """See `RowList.row_count`."""
        width = self._width - EDGES
        if width > 0 and width != self._wrapped_width:
            self._wrapped_width = width
            self._lines = [*self._section(self._place, width), *self._section(APP, width), *self._legend(width)]
        return len(self._lines)

    def _section(self, place: str, width: int) -> list[Line]:
        lines: list[Line] = [[(PLACES[place], "head")]]
        for command in commands_for(place):
            if command.id in self._keys:
                lines += self._command(command, self._keys[command.id], width)
        return [*lines, []]

    @staticmethod
    def _command(command: Command, key: str, width: int) -> list[Line]:
        first, *rest = wrap(command.help, max(10, width - _KEY_CELLS - _NAME_CELLS))
        indent = " " * (_KEY_CELLS + _NAME_CELLS)
        head: Line = [
            (pad(f" {key}", _KEY_CELLS), "key"),
            (pad(command.label, _NAME_CELLS), "strong"),
            (first, "plain"),
        ]
        return [head, *([(indent, "plain"), (part, "plain")] for part in rest)]

    @staticmethod
    def _legend(width: int) -> list[Line]:
        lines: list[Line] = [[("Moving", "head")]]
        lines += [[(pad(f" {key}", _KEY_CELLS), "key"), (text, "plain")] for key, text in _MOVES]
        lines += [[], [("Signs", "head")]]
        return lines + [[(pad(f" {sign}", _KEY_CELLS + 1), "accent"), (text, "plain")] for sign, text in _SIGNS]

    def row(self, index: int, width: int) -> Line:
        """See `RowList.row`."""
        return self._lines[index]


class HelpModal(Modal[bool]):
    """Contextual: only what can be done there, with the keys in force."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter,question_mark,q", "cancel", "Close", show=False)]
    AUTO_FOCUS = "#help"
    DEFAULT_CLASSES = "large"

    def __init__(self, place: str, keys: dict[str, str]) -> None:
        super().__init__(f"Help: {PLACES[place]}")
        self._place, self._keys = place, keys

    def inside(self) -> Iterable[Widget]:
        """See `Modal.inside`."""
        yield HelpList(self._place, self._keys)

    def hints(self) -> tuple[tuple[str, str], ...]:
        """See `Modal.hints`."""
        return (("↑↓", "scroll"), ("esc", "close"))
