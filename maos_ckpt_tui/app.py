"""The way in: `run_console` shows the console over any `EngineClient`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Sequence

from maos_ckpt.client import EngineClient
from maos_ckpt.config.types import Console
from maos_ckpt.errors import CkptError, ExitCode
from maos_ckpt_tui.console import ConsoleApp
from maos_ckpt_tui.leaving import CLOSE_TIMEOUT_S
from maos_ckpt_tui.looks import Looks, looks_of
from maos_ckpt_tui.themes import choose_theme

#: Leaving an engine that goes on takes no longer.
LEAVE_TIMEOUT_S = 2.0


def run_console(
    client: EngineClient, *, read_only: bool = False, looks: Looks | None = None, where: Sequence[str] = ()
) -> int:
    """Show the console until the operator leaves; starts and closes `client`.

    The terminal is restored in any case, by SIGTERM and SIGHUP too, and a running save finishes before this returns.
    The mouse is off unless asked for, so that the terminal's own selection works and nothing stays switched on when a
    connection drops.

    Args:
        looks: by default those that suit the terminal; NO_COLOR in the environment overrules the theme.
        where: options that make a command line mean this engine or repository.

    Returns:
        An exit code of `maos_ckpt.errors.ExitCode`.
    """
    if os.environ.get("NO_COLOR") == "":
        del os.environ["NO_COLOR"]  # An empty one counts as unset (no-color.org); Textual takes it as set.
    background = os.environ.get("COLORFGBG", "")
    looks = looks or looks_of(Console())
    chosen = choose_theme(looks.theme, no_color="NO_COLOR" in os.environ, background=background)
    start = True
    while True:
        app = ConsoleApp(client, read_only=read_only, theme=chosen, start=start, looks=looks, where=where)
        _run(app, looks.mouse)
        if app.not_closed is not None:
            _tell(f"maos-ckpt: {app.not_closed.message} {app.not_closed.hint}")
        if app.crash is None:
            return _finish(client, app.closed)
        start = False
        if not _panic(app.crash, chosen, looks.ascii):
            _finish(client, False)
            return ExitCode.INTERNAL


def _run(app: ConsoleApp, mouse: bool) -> None:
    with asyncio.Runner() as runner:
        runner.run(app.run_async(mouse=mouse))
        # The terminal is back. Leaving the runner waits for calls that are still in the client.
        if app.client.shared and app.crash is None:
            app.client.close(LEAVE_TIMEOUT_S)
        elif not app.closed and app.crash is None:
            _tell("maos-ckpt: finishing what runs; Ctrl+C ends at once, nothing committed is lost.")


def _panic(error: Exception, theme: str, ascii_alone: bool) -> bool:
    from maos_ckpt_tui.panic import PanicApp, write_report  # Only after a crash.

    return bool(PanicApp(write_report(error), theme, ascii_alone=ascii_alone).run(mouse=False))


def _finish(client: EngineClient, closed: bool) -> int:
    # The terminal may be gone: a second hang-up must not cut the engine's closing short.
    with contextlib.suppress(ValueError):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        if closed or client.close(CLOSE_TIMEOUT_S):
            return ExitCode.DONE
    except CkptError as error:
        _tell(f"maos-ckpt: {error.message} {error.hint}")
        return error.exit_code
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    _tell(f"maos-ckpt: the running operation did not end within {CLOSE_TIMEOUT_S:.0f} s; nothing committed is lost.")
    return ExitCode.PARTIAL


def _tell(sentence: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        print(sentence, file=sys.stderr, flush=True)  # noqa: T201 — the screen is gone, this is the plain terminal
