"""Confirmation of what cannot be waved through: a reason, the typed short id, and Cancel as the default."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widget import Widget
from textual.widgets import Button, Input

from maos_ckpt.model import Checkpoint
from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.modals.base import Modal
from maos_ckpt_tui.modals.prompt import text_input
from maos_ckpt_tui.viewmodel import short
from maos_ckpt_tui.widgets.lines import Paragraphs, Span


class ButtonRow(Horizontal):
    """Cancel first, and focused first; the other one only once all is filled in."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "app.focus_previous", "Previous", show=False),
        Binding("right", "app.focus_next", "Next", show=False),
    ]

    def __init__(self, label: str) -> None:
        super().__init__(id="buttons")
        self._label = label

    def compose(self) -> ComposeResult:
        """Two buttons."""
        yield Button("Cancel", id="cancel", compact=True)
        yield Button(self._label, id="go", compact=True, disabled=True, variant="error")


class DangerModal(Modal[str]):
    """Ends with the reason (empty where none is asked for) once `word` has been typed, else with None."""

    def __init__(self, title: str, text: Sequence[Span], *, word: str, label: str, ask_reason: bool) -> None:
        super().__init__(title, "warn")
        self._text, self._word, self._label, self._ask_reason = text, word, label, ask_reason

    def inside(self) -> Iterable[Widget]:
        """See `Modal.inside`."""
        yield Paragraphs([*self._text, ("", "plain")])
        if self._ask_reason:
            yield Paragraphs([("Reason (goes into the journal):", "head")])
            yield text_input("why this is done", "reason")
        yield Paragraphs([(f"Type {self._word} to confirm:", "head")])
        yield text_input(self._word, "word")
        yield Paragraphs([("", "plain")], id="missing")
        yield ButtonRow(self._label)

    def hints(self) -> tuple[tuple[str, str], ...]:
        """See `Modal.hints`."""
        return (("tab", "next"), ("enter", "next, or press"), ("esc", "cancel"))

    @property
    def _reason(self) -> str:
        return self.query_one("#reason", Input).value.strip() if self._ask_reason else ""

    def _missing(self) -> str:
        if self._ask_reason and not self._reason:
            return "A reason is missing."
        typed = self.query_one("#word", Input).value.strip()
        return "" if typed == self._word else "The id is not typed yet." if not typed else "That is another id."

    def on_mount(self) -> None:
        """Say what is missing from the start."""
        self.query_one("#reason" if self._ask_reason else "#word", Input).focus()
        self._check()

    def on_input_changed(self, event: Input.Changed) -> None:
        """The button opens with the last thing that was missing."""
        event.stop()
        self._check()

    def _check(self) -> None:
        missing = self._missing()
        self.query_one("#missing", Paragraphs).show([(missing or "Ready.", "dim" if missing else "ok")])
        self.query_one("#go", Button).disabled = bool(missing)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter only moves on: to what is missing, at last to Cancel, which is the default."""
        event.stop()
        if self._ask_reason and not self._reason:
            self.query_one("#reason", Input).focus()
        elif self._missing():
            self.query_one("#word", Input).focus()
        else:
            self.query_one("#cancel", Button).focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Done, one way or the other."""
        event.stop()
        self.end(self._reason if event.button.id == "go" and not self._missing() else None)


def delete_modal(checkpoint: Checkpoint) -> DangerModal:
    """Confirmation of a deletion."""
    text = [
        (f"Checkpoint {checkpoint.id} of {fmt.utc(checkpoint.created_at_ms)} will be gone for ever.", "plain"),
        (f"It holds {fmt.plural(checkpoint.records, 'record')}, {fmt.size(checkpoint.logical_bytes)}. "
         "The live state and all other checkpoints stay as they are.", "dim"),
    ]  # fmt: skip
    word = short(checkpoint.id)
    return DangerModal(f"!! Delete checkpoint {word}?", text, word=word, label="Delete", ask_reason=False)
