"""Calling what somebody else wrote, within a time: plain functions in a thread, coroutines on the caller's own loop."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio


class Calls:
    """Begins calls; each has a thread of its own, since nobody can end one that hangs.

    `loop` is where coroutines run, if it runs; else each gets a loop of its own.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self.loop = loop

    def begin(self, name: str, function: Callable[[], Any], within_s: float) -> Future[Any]:
        """Call `function` in a thread, and wait there for what it returns where that is awaitable."""
        future: Future[Any] = Future()

        def run() -> None:
            try:
                result = function()
                if inspect.isawaitable(result):
                    result = self.wait(result, within_s)
            except Exception as error:  # noqa: BLE001 - handed to whoever waits
                future.set_exception(error)
            except BaseException as error:  # noqa: BLE001 - an exit or a cancellation ends the call, not who waits for it
                future.set_exception(ExitedError(reason(error)))
            else:
                future.set_result(result)

        threading.Thread(target=run, name=name, daemon=True).start()
        return future

    def wait(self, awaitable: Any, within_s: float) -> Any:
        """What an awaitable gives; to be called in a thread that `begin` has made.

        Raises:
            TimeoutError: it did not come within this time, and was cancelled.
        """

        # Loaded here: a save without providers does not pay for it.
        import asyncio

        async def awaited() -> Any:
            return await asyncio.wait_for(awaitable, within_s)

        if self.loop is None or not self.loop.is_running():
            return asyncio.run(awaited())
        future = asyncio.run_coroutine_threadsafe(awaited(), self.loop)
        try:
            # A loop that is itself held up cannot even cancel.
            return future.result(within_s * 2)
        except TimeoutError:
            future.cancel()
            raise


class ExitedError(Exception):
    """A call that wanted to end its thread or the program; says with what."""


def reason(error: BaseException) -> str:
    """An exception of somebody else's code in a few words; its text may hold anything."""
    if isinstance(error, ExitedError):
        return str(error)
    text = str(error).strip().split("\n")[0][:200]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
