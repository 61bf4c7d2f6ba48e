"""The one-line filter below a list."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Input

from maos_ckpt_tui.safe_text import INPUT_PATTERN


class FilterLine(Input):
    """Hidden until opened; tells every keystroke, `enter` goes back to the list, `esc` clears."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "abandon", "Clear", show=False),
        Binding("enter,down", "keep", "Back to the list", show=False),
    ]

    class Typed(Message):
        """The filter text changed."""

        def __init__(self, needle: str) -> None:
            super().__init__()
            self.needle = needle

        def can_replace(self, message: Message) -> bool:
            """Only the last text matters."""
            return isinstance(message, FilterLine.Typed)

    class Closed(Message):
        """The list has the keys again."""

    def __init__(self, words: str = "filter: every word must occur · enter keeps it · esc clears it") -> None:
        super().__init__(
            placeholder=words,
            id="filter",
            restrict=INPUT_PATTERN,
        )
        self.compact = True
        self.display = False

    def open(self) -> None:
        """Show and take the keys."""
        self.display = True
        self.focus()

    def clear_filter(self) -> bool:
        """Empty and hide; False where there was no filter."""
        if not self.display:
            return False
        self.value = ""
        self.display = False
        self.post_message(self.Typed(""))
        self.post_message(self.Closed())
        return True

    def watch_value(self, value: str) -> None:
        """Tell the new text."""
        self.post_message(self.Typed(value))

    def action_abandon(self) -> None:
        """Clear and close."""
        self.clear_filter()

    def action_keep(self) -> None:
        """Back to the list, the filter stays."""
        if not self.value:
            self.display = False
        self.post_message(self.Closed())
