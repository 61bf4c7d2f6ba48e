"""A terminal driver that survives the loss of its terminal.

Textual's own one ends in a traceback, or spins on an empty stdin, when an SSH connection drops. This one notices the
hang-up, stops writing, and asks the application to leave in order, so that the engine can finish what it is doing.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
import threading
from collections.abc import Callable
from typing import IO, Any

from textual.app import App
from textual.drivers.linux_driver import LinuxDriver

from maos_ckpt_tui.ascii_glyphs import to_ascii

_POLL_INTERVAL_MS = 1000


class _ForgivingFile:
    """The terminal as a file whose writes are dropped once they fail: there is nobody left to read them."""

    def __init__(self, file: IO[str], lost: Callable[[], None], spelled: Callable[[str], str]) -> None:
        self._file = file
        self._spelled = spelled
        self._lost = lost
        self._gone = False

    def write(self, text: str) -> int:
        return self._attempt(lambda: self._file.write(self._spelled(text)))

    def flush(self) -> None:
        self._attempt(lambda: self._file.flush())

    def fileno(self) -> int:
        return self._file.fileno()

    def isatty(self) -> bool:
        return not self._gone and self._file.isatty()

    def _attempt(self, action: Callable[[], int | None]) -> int:
        if self._gone:
            return 0
        try:
            return action() or 0
        except (OSError, ValueError):
            self._gone = True
            self._discard()
            self._lost()
            return 0

    def _discard(self) -> None:
        # What the buffer still holds would fail again when Python flushes it at exit, and turn the exit code to 120.
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._file.fileno())
            os.close(nowhere)


class ConsoleDriver(LinuxDriver):
    """Linux driver; `app.exit` is called from the loop once the terminal is gone."""

    def __init__(self, app: App[Any], **options: Any) -> None:
        super().__init__(app, **options)
        self._app_loop = app._loop
        # Textual draws on stderr; where that is redirected (`2>err.log`), the screen is behind stdout alone.
        terminal = self._file if self._file.isatty() else sys.__stdout__ or self._file
        self._file: Any = _ForgivingFile(terminal, self._hung_up, to_ascii if getattr(app, "ascii", False) else str)
        self._watching = threading.Event()

    def start_application_mode(self) -> None:
        """See `Driver.start_application_mode`."""
        super().start_application_mode()  # type: ignore[no-untyped-call]
        self._watching.set()
        threading.Thread(target=self._watch, name="maos-ckpt-tty", daemon=True).start()

    def stop_application_mode(self) -> None:
        """See `Driver.stop_application_mode`."""
        self._watching.clear()
        super().stop_application_mode()

    def _watch(self) -> None:
        # POLLHUP is reported whatever is asked for, and waiting for it costs nothing.
        poll = select.poll()
        poll.register(self.fileno, 0)
        while self._watching.is_set():
            if poll.poll(_POLL_INTERVAL_MS):
                self._hung_up()
                return

    def _run_input_thread(self) -> None:
        try:
            self.run_input_thread()
        except OSError:
            self._hung_up()

    def _hung_up(self) -> None:
        loop = self._app._loop
        if loop is not None and not loop.is_closed() and self._watching.is_set():
            self._watching.clear()
            loop.call_soon_threadsafe(self._app.exit)
