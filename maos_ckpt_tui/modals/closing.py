"""The engine is closing: a running save finishes first, and the operator is told so. One that others use, too, is
asked about first."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget

from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.modals.base import Modal
from maos_ckpt_tui.modals.choice import Choice, ChoiceModal
from maos_ckpt_tui.widgets.lines import Paragraphs, Span

KEEP, STOP = "keep", "stop"
_CHOICES = (
    Choice(KEEP, "Leave it running", "q leaves this console; the engine goes on taking checkpoints.", "k"),
    Choice(
        STOP,
        "Stop the engine",
        "What runs finishes first. From then on nobody takes checkpoints until an engine is started again.",
        "s",
    ),
)


def stop_modal() -> ChoiceModal[str]:
    """Whether a shared engine is to be stopped."""
    intro = [("It serves every console and program that is attached to it, not only this one.", "plain")]
    return ChoiceModal("!! Stop the engine?", _CHOICES, intro, "warn")


class ClosingModal(Modal[bool]):
    """Leaves the screen with the application; a second `q` gives the terminal back while the work ends."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,ctrl+q,ctrl+c", "leave_now", "Leave", show=False)]

    def __init__(self, operation: str) -> None:
        super().__init__("Closing")
        self._operation = operation
        self._seconds = 0

    def inside(self) -> Iterable[Widget]:
        """See `Modal.inside`."""
        yield Paragraphs(self._text(), id="closing")

    def _text(self) -> list[Span]:
        what = f"The running {self._operation} finishes first" if self._operation else "The engine stops"
        return [
            (f".. {what}: {fmt.duration(float(self._seconds))}", "plain"),
            ("Every checkpoint that was committed is safe.", "dim"),
        ]

    def hints(self) -> tuple[tuple[str, str], ...]:
        """See `Modal.hints`."""
        return (("q", "give the terminal back at once"),)

    def on_mount(self) -> None:
        """Count the seconds."""
        self.set_interval(1.0, self._second)

    def _second(self) -> None:
        self._seconds += 1
        self.query_one("#closing", Paragraphs).show(self._text())

    def action_leave_now(self) -> None:
        """Leave the screen; `run_console` waits for the engine in plain text."""
        self.app.exit()
