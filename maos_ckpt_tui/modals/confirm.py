"""Confirmation of what cannot be waved through: a reason, the typed short id, and a button of its own."""

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
    """The deed first, which opens only once all is filled in, then Cancel."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "app.focus_previous", "Previous", show=False),
        Binding("right", "app.focus_next", "Next", show=False),
    ]

    def __init__(self, label: str) -> None:
        super().__init__(id="buttons")
        self._label = label

    def compose(self) -> ComposeResult:
        """Two buttons."""
        yield Button(self._label, id="go", compact=True, disabled=True, variant="error")
        yield Button("Cancel", id="cancel", compact=True)


class DangerModal(Modal[str]):
    """Ends with the reason (empty where none is asked for) once `word` has been typed, else with None.

    Enter only ever moves on to what is missing, and at last to the button, which then says what enter does; it takes a
    key of its own to press it.

    Args:
        reason: what the field for it holds at first; None asks for no reason.
        leads: the id, typed last, leads to the button at once: for what can be taken back.
    """

    def __init__(
        self,
        title: str,
        text: Sequence[Span],
        *,
        word: str,
        label: str,
        reason: str | None = None,
        leads: bool = False,
    ) -> None:
        super().__init__(title, "warn")
        self._leads = leads
        self._text, self._word, self._label, self._first_reason = text, word, label, reason

    def inside(self) -> Iterable[Widget]:
        """See `Modal.inside`."""
        yield Paragraphs([*self._text, ("", "plain")])
        if self._first_reason is not None:
            yield Paragraphs([("Reason (goes into the journal):", "head")])
            yield text_input("why this is done", "reason", self._first_reason)
        yield Paragraphs([(f"Type {self._word} to confirm:", "head")])
        yield text_input(self._word, "word")
        yield Paragraphs([("", "plain")], id="missing")
        yield ButtonRow(self._label)

    def hints(self) -> tuple[tuple[str, str], ...]:
        """See `Modal.hints`."""
        return (("tab", "next"), ("enter", "next, or press"), ("esc", "cancel"))

    @property
    def _reason(self) -> str:
        return "" if self._first_reason is None else self.query_one("#reason", Input).value.strip()

    @property
    def _lacks_reason(self) -> bool:
        return self._first_reason is not None and not self._reason

    def _missing(self) -> str:
        if self._lacks_reason:
            return "A reason is missing."
        typed = self.query_one("#word", Input).value.strip()
        return "" if typed == self._word else "The id is not typed yet." if not typed else "That is another id."

    def on_mount(self) -> None:
        """Begin with what is missing, and say so."""
        self.query_one("#reason" if self._lacks_reason else "#word", Input).focus()
        self._check()

    def on_input_changed(self, event: Input.Changed) -> None:
        """The button opens with the last thing that was missing."""
        event.stop()
        self._check()
        if self._leads and event.input.id == "word" and not self._missing():
            self.query_one("#go", Button).focus()

    def on_descendant_focus(self) -> None:
        """The button says what enter does while it has the focus."""
        self._check()

    def _check(self) -> None:
        missing, button = self._missing(), self.query_one("#go", Button)
        ready = f"Ready: enter goes to the button {self._label}." if not button.has_focus else "Ready."
        self.query_one("#missing", Paragraphs).show([(missing or ready, "dim" if missing else "ok")])
        button.disabled = bool(missing)
        button.label = f"{self._label}: press enter" if button.has_focus else self._label

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter only moves on: to what is missing, at last to the button."""
        event.stop()
        if self._lacks_reason:
            self.query_one("#reason", Input).focus()
        elif self._missing():
            self.query_one("#word", Input).focus()
        else:
            self.query_one("#go", Button).focus()

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
    return DangerModal(f"!! Delete checkpoint {word}?", text, word=word, label="Delete")
