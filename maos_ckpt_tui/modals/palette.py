"""Everything by name: actions of the screen below, and checkpoints."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.fuzzy import Matcher
from textual.widget import Widget
from textual.widgets import Input

from maos_ckpt_tui.modals.base import Modal
from maos_ckpt_tui.modals.prompt import text_input
from maos_ckpt_tui.safe_text import pad, safe_text
from maos_ckpt_tui.widgets.lines import Line
from maos_ckpt_tui.widgets.row_list import RowList

_NAME_CELLS = 18
_KEY_CELLS = 6
_HITS_MAX = 50


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing to choose: an action of the screen below, or a checkpoint to open."""

    name: str
    key: str
    help: str
    action: str = ""
    checkpoint: str = ""


class EntryList(RowList):
    """The entries that match, best first."""

    def __init__(self, entries: list[Entry]) -> None:
        super().__init__(id="entries")
        self.can_focus = False
        self.all = entries
        self.shown = entries

    @property
    def row_count(self) -> int:
        """See `RowList.row_count`."""
        return len(self.shown)

    def match(self, text: str) -> None:
        """Keep what matches, best first."""
        if text:
            matcher = Matcher(text)
            scored = ((matcher.match(f"{one.name} {one.help}"), one) for one in self.all)
            ranked = sorted((pair for pair in scored if pair[0] > 0), key=lambda pair: -pair[0])
            self.shown = [one for _, one in ranked[:_HITS_MAX]]
        else:
            self.shown = self.all
        self.cursor = 0
        self.rows_changed()

    def placeholder(self, width: int) -> list[Line]:
        """See `RowList.placeholder`."""
        return [[("  Nothing is called that.", "dim")]]

    def row(self, index: int, width: int) -> Line:
        """See `RowList.row`."""
        one = self.shown[index]
        return [
            (pad(one.key, _KEY_CELLS), "key"),
            (pad(safe_text(one.name), _NAME_CELLS), "strong"),
            (f" {one.help}", "dim"),
        ]


class PaletteModal(Modal[Entry]):
    """Ends with the chosen entry, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "step(-1)", "Up", show=False),
        Binding("down", "step(1)", "Down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
    ]
    AUTO_FOCUS = "#text"
    DEFAULT_CLASSES = "large"

    def __init__(self, entries: list[Entry]) -> None:
        super().__init__("What do you want to do?")
        self._entries = entries

    def inside(self) -> Iterable[Widget]:
        """See `Modal.inside`."""
        yield text_input("type a part of its name", "text")
        yield EntryList(self._entries)

    def hints(self) -> tuple[tuple[str, str], ...]:
        """See `Modal.hints`."""
        return (("↑↓", "move"), ("enter", "do it"), ("esc", "back"))

    def on_input_changed(self, event: Input.Changed) -> None:
        """Match as one types."""
        event.stop()
        self.query_one(EntryList).match(event.value.strip())

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take the one under the cursor."""
        event.stop()
        entries = self.query_one(EntryList)
        if entries.shown:
            self.end(entries.shown[entries.cursor])

    def action_step(self, step: int) -> None:
        """One up or down."""
        self.query_one(EntryList).action_cursor(step)

    def action_page(self, step: int) -> None:
        """One page up or down."""
        self.query_one(EntryList).action_page(step)
