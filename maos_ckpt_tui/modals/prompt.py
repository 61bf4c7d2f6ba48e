"""One line of text from the operator."""

from __future__ import annotations

from collections.abc import Iterable

from textual.widget import Widget
from textual.widgets import Input

from maos_ckpt_tui.modals.base import Modal
from maos_ckpt_tui.safe_text import INPUT_PATTERN
from maos_ckpt_tui.widgets.lines import Paragraphs

TEXT_CHARACTERS_MAX = 200


def text_input(label: str, id: str, value: str = "") -> Input:
    """A one-line input that takes printable text only; `value` is there already."""
    widget = Input(value, placeholder=label, id=id, restrict=INPUT_PATTERN, max_length=TEXT_CHARACTERS_MAX)
    widget.compact = True
    return widget


class PromptModal(Modal[str]):
    """Ends with the text (which may be empty), or None."""

    AUTO_FOCUS = "#text"

    def __init__(self, title: str, intro: str, label: str, done: str) -> None:
        super().__init__(title)
        self._intro, self._label, self._done = intro, label, done

    def inside(self) -> Iterable[Widget]:
        """See `Modal.inside`."""
        yield Paragraphs([(self._intro, "dim"), ("", "plain")])
        yield text_input(self._label, "text")

    def hints(self) -> tuple[tuple[str, str], ...]:
        """See `Modal.hints`."""
        return (("enter", self._done), ("esc", "back"))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Done."""
        event.stop()
        self.end(event.value.strip())
