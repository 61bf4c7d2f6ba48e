"""The command that continues an agent whose transcript is in place."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget

from maos_ckpt.model import ResumePoint
from maos_ckpt_tui.modals.base import Modal
from maos_ckpt_tui.safe_text import safe_text, wrap_command
from maos_ckpt_tui.widgets.lines import Line, LineView, paragraph

_NO_COMMAND = "Its directory has characters that no shell line can show; start claude there yourself."


class ResumeCommand(LineView):
    """A shell line, broken so that it stays right when it is selected and pasted."""

    def __init__(self, command: str) -> None:
        super().__init__()
        self._command = command

    def build(self, width: int) -> list[Line]:
        """See `LineView.build`."""
        if not self._command:
            return paragraph(_NO_COMMAND, width, "warn", "")
        return [[(part, "accent")] for part in wrap_command(safe_text(self._command), max(20, width))]


class ResumeModal(Modal[bool]):
    """Shows the command; `y` copies it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,space,q", "cancel", "Close", show=False),
        Binding("y", "copy", "Copy", show=False),
    ]

    def __init__(self, point: ResumePoint) -> None:
        super().__init__(f"The transcript of {safe_text(point.agent, 40)} is in place; to continue it:")
        self._command = point.command

    def inside(self) -> Iterable[Widget]:
        """See `Modal.inside`."""
        yield ResumeCommand(self._command)

    def hints(self) -> tuple[tuple[str, str], ...]:
        """See `Modal.hints`."""
        return (("y", "copy"), ("enter", "close")) if self._command else (("enter", "close"),)

    def action_copy(self) -> None:
        """To the clipboard."""
        if self._command:
            self.console.copy(self._command)
