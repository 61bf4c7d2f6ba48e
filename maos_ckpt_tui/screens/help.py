"""What can be done on the screen below, by which key, and what the signs mean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget

from maos_ckpt.cli.parser import PROGRAM
from maos_ckpt_tui.commands import APP, PLACES, Command, commands_for, shown_key
from maos_ckpt_tui.equivalents import EQUIVALENTS
from maos_ckpt_tui.keymap import all_bound
from maos_ckpt_tui.modals.base import Modal
from maos_ckpt_tui.safe_text import pad, wrap
from maos_ckpt_tui.widgets.lines import Line, Span, line_width
from maos_ckpt_tui.widgets.row_list import EDGES, RowList

_KEY_CELLS = 8
_NAME_CELLS = 14
_MOVE_CELLS = 11
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
#: Bindings of lists, and what they do.
_MOVES = (
    (("list.up", "list.down"), "one row"),
    (("list.first", "list.last"), "first, last row"),
    (("list.page_up", "list.page_down"), "one page"),
)


class HelpList(RowList):
    """The wrapped help text."""

    POINTED = False

    def __init__(self, place: str, keys: dict[str, str], moves: Mapping[str, tuple[str, ...]]) -> None:
        super().__init__(id="help")
        self._place, self._keys, self._moves = place, keys, moves
        self._lines: list[Line] = []
        self._wrapped_width = -1

    @property
    def row_count(self) -> int:
        """See `RowList.row_count`."""
        width = self._width - EDGES
        if width > 0 and width != self._wrapped_width:
            self._wrapped_width = width
            self._lines = [*self._section(self._place, width), *self._section(APP, width), *self._legend(self._moves)]
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
        lines = [head, *([(indent, "plain"), (part, "plain")] for part in rest)]
        words = [EQUIVALENTS[one].command for one in command.asks or () if EQUIVALENTS[one].command]
        same: Span = (f"  {PROGRAM} {words[0]}", "dim") if words else ("", "dim")
        # What does the same on the command line, where there is room for it.
        if words and line_width(lines[-1]) + line_width([same]) <= width:
            lines[-1].append(same)
        return lines

    @staticmethod
    def _legend(keys: Mapping[str, tuple[str, ...]]) -> list[Line]:
        lines: list[Line] = [[("Moving", "head")]]
        for names, text in _MOVES:
            pairs = zip(*(keys.get(name, ()) for name in names), strict=False)
            shown = [" ".join(shown_key(key) for key in pair) for pair in pairs]
            if shown:
                also = f" (also {', '.join(shown[1:])})" if shown[1:] else ""
                lines.append([(pad(f" {shown[0]}", _MOVE_CELLS), "key"), (f"{text}{also}", "plain")])
        lines.append([(pad(" tab", _MOVE_CELLS), "key"), ("next field in a dialog", "plain")])
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
        changed = self.console.looks.keys
        moves = {one.id: tuple(changed[one.id].split(",")) if one.id in changed else one.keys for one in all_bound()}
        yield HelpList(self._place, self._keys, moves)

    def hints(self) -> tuple[tuple[str, str], ...]:
        """See `Modal.hints`."""
        return (("↑↓", "scroll"), ("esc", "close"))
