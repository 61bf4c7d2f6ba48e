"""What an unexpected error looks like: a short text and a log file, never a traceback on the operator's screen."""

from __future__ import annotations

import contextlib
import os
import tempfile
import traceback
from typing import ClassVar

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.driver import Driver

from maos_ckpt_tui import themes
from maos_ckpt_tui.modals.base import HintLine, ModalTitle
from maos_ckpt_tui.signals import hardened, leave_on_signals, stop_leaving_on_signals
from maos_ckpt_tui.widgets.lines import Paragraphs

_REPORT_CHARACTERS_MAX = 100_000


def write_report(error: BaseException) -> str:
    """The traceback in a private file; its path, or "" where none can be written."""
    with contextlib.suppress(OSError):
        handle, path = tempfile.mkstemp(prefix="maos-ckpt-console-", suffix=".log")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            text = "".join(traceback.format_exception(error))
            file.write(text[-_REPORT_CHARACTERS_MAX:])
        return path
    return ""


class PanicApp(App[bool]):
    """A screen of its own, since the console's is broken. Ends with True where the operator wants the console again."""

    CSS_PATH = "console.tcss"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r,enter", "again", "Open again", show=False),
        Binding("q,escape,ctrl+q", "leave", "Quit", show=False),
    ]

    def __init__(self, report: str, theme: str, *, ascii_alone: bool = False) -> None:
        super().__init__(ansi_color=True if theme == themes.ANSI else None)
        for one in themes.THEMES:
            self.register_theme(one)
        self.theme = theme
        self.ascii = ascii_alone
        self._report = report

    def get_driver_class(self) -> type[Driver]:
        """See `ConsoleApp.get_driver_class`."""
        return hardened(super().get_driver_class())

    def on_mount(self) -> None:
        """Signals end this screen as well."""
        leave_on_signals(self)

    def on_unmount(self) -> None:
        """Give the signals back."""
        stop_leaving_on_signals(self)

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """See `App.get_theme_variable_defaults`."""
        return themes.VARIABLE_DEFAULTS

    def compose(self) -> ComposeResult:
        """What happened, what is safe, what to do."""
        with VerticalScroll(id="panic"):
            yield ModalTitle("XX The console hit an error of its own", "bad")
            yield Paragraphs(
                [
                    (
                        "The screen is lost; the engine is not: it runs on, and every committed checkpoint is safe.",
                        "ok",
                    ),
                    ("", "plain"),
                    (f"Details: {self._report}" if self._report else "No log file could be written.", "plain"),
                    ("Please send that file with a report; it holds no state content beyond names.", "dim"),
                    ("", "plain"),
                ]
            )
            yield HintLine(("r", "open the console again"), ("q", "quit"))

    def action_again(self) -> None:
        """Back into the console."""
        self.exit(True)

    def action_leave(self) -> None:
        """Leave for good."""
        self.exit(False)
