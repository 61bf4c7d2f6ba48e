"""SIGTERM and SIGHUP leave the screen in order, so that the terminal is restored and the engine can finish."""

from __future__ import annotations

import signal
import threading
from typing import Any

from textual.app import App
from textual.driver import Driver

_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


def leave_on_signals(app: App[Any]) -> None:
    """Handle the signals from now on; asyncio takes them only in the main thread, elsewhere this does nothing."""
    if threading.current_thread() is threading.main_thread() and app._loop is not None:
        for number in _SIGNALS:
            app._loop.add_signal_handler(number, app.exit)


def stop_leaving_on_signals(app: App[Any]) -> None:
    """Give the signals back."""
    if threading.current_thread() is threading.main_thread() and app._loop is not None:
        for number in _SIGNALS:
            app._loop.remove_signal_handler(number)


def hardened(driver: type[Driver]) -> type[Driver]:
    """What to use in place of a driver class: the one that survives the loss of the terminal, where there is one."""
    if driver.__name__ != "LinuxDriver":
        return driver
    from maos_ckpt_tui.driver import ConsoleDriver  # Imports termios, which only this case has for sure.

    return ConsoleDriver
