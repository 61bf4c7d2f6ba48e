"""The command log over any screen."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget

from maos_ckpt_tui.modals.base import Modal
from maos_ckpt_tui.safe_text import safe_text, wrap_command
from maos_ckpt_tui.widgets.command_list import CommandList
from maos_ckpt_tui.widgets.lines import Line, LineView, fit, paragraph
from maos_ckpt_tui.widgets.row_list import RowList

_LINES_MAX = 6
_REFRESH_S = 1.0


class CommandDetail(LineView):
    """The selected command in full, and what went wrong."""

    def __init__(self) -> None:
        super().__init__(id="command")
        self._line, self._told = "", ""

    def show(self, line: str, told: str) -> None:
        """Another command."""
        self._line, self._told = line, told
        self.changed()

    def build(self, width: int) -> list[Line]:
        """See `LineView.build`."""
        lines: list[Line] = [fit([(one, "strong")], width) for one in wrap_command(safe_text(self._line), width)]
        lines += paragraph(self._told, width, "bad") if self._told else []
        return [[], *lines[:_LINES_MAX]] if self._line else []


class CommandLogModal(Modal[bool]):
    """What was asked in this console, newest first; a line can be copied."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y,enter", "copy", "Copy", show=False),
        Binding("q,L", "cancel", "Close", show=False),
    ]
    AUTO_FOCUS = "#commands"
    DEFAULT_CLASSES = "large"

    def __init__(self) -> None:
        super().__init__("Command log: what was asked here, as command lines")
        self._version = -1

    def inside(self) -> Iterable[Widget]:
        """See `Modal.inside`."""
        log = self.console.command_log
        self._version = log.version
        yield CommandList(log.entries, self.console.now_ms())
        yield CommandDetail()

    def hints(self) -> tuple[tuple[str, str], ...]:
        """See `Modal.hints`."""
        return (("y", "copy the line"), ("↑↓", "move"), ("esc", "close"))

    def on_mount(self) -> None:
        """What is still running ends while one looks."""
        self.set_interval(_REFRESH_S, self._look)
        self._show_selected()

    def _look(self) -> None:
        log = self.console.command_log
        if self._version != log.version:
            self._version = log.version
            self.query_one(CommandList).show(log.entries, self.console.now_ms())
            self._show_selected()

    def on_row_list_moved(self, message: RowList.Moved) -> None:
        """The one under the cursor stands below in full."""
        self._show_selected()

    def _show_selected(self) -> None:
        one = self.query_one(CommandList).selected
        self.query_one(CommandDetail).show(one.line if one else "", one.told if one else "")

    def action_copy(self) -> None:
        """The line under the cursor."""
        if (one := self.query_one(CommandList).selected) is not None:
            self.console.copy(one.line)
            self.end(True)
