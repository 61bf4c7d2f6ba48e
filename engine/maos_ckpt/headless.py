"""The engine without a screen, in the foreground: tells every event, ends on SIGTERM or SIGINT with the running save
finished."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from maos_ckpt.client import EngineClient, EventSink
from maos_ckpt.errors import ConflictError, PartialError
from maos_ckpt.events import Event, OperationProgressed

if TYPE_CHECKING:
    from maos_ckpt.api.doors import Doors

#: A running save or recovery gets this long to finish; the worker goes on by itself beyond it.
CLOSE_S = 120.0


def run(client: EngineClient, tell: EventSink, *, doors: Doors | None = None, seconds: float | None = None) -> None:
    """Run an engine until a signal, or for `seconds`.

    Args:
        client: not yet started.
        tell: gets every event but progress, from one thread of the engine's.
        doors: prepared first, opened once the engine runs, and closed before it ends.

    Raises:
        ConflictError: another engine runs on this repository.
        PartialError: the running operation did not finish within `CLOSE_S`.
    """
    with _stop_event() as stop, contextlib.ExitStack() as stack:
        if doors is not None:
            stack.callback(doors.close)
            doors.prepare()
        client.subscribe(_without_progress(tell))
        stack.callback(_close, client)
        client.start()
        status = client.status()
        if status.owner:
            raise ConflictError(
                f"Another engine runs on {status.repository}: {status.owner}.",
                kept="That one goes on; nothing was changed.",
                hint="End it first, or watch it with `maos-ckpt events --follow`.",
                owner=status.owner,
            )
        if doors is not None:
            # Closed before the engine, which a request may be asking.
            stack.callback(doors.close)
            doors.open(client)
        stop.wait(seconds)


def _close(client: EngineClient) -> None:
    if not client.close(CLOSE_S):
        raise PartialError(
            f"The running operation did not finish within {CLOSE_S:.0f} s; it goes on in a process of its own.",
            kept="Every committed checkpoint is untouched.",
            hint="`maos-ckpt status` tells when it is done.",
        )


def _without_progress(tell: EventSink) -> EventSink:
    def told(event: Event) -> None:
        if not isinstance(event, OperationProgressed):
            tell(event)

    return told


@contextlib.contextmanager
def _stop_event() -> Iterator[threading.Event]:
    """Set by SIGTERM, SIGINT or SIGHUP; a signal that this process was started to ignore stays ignored."""
    stop = threading.Event()
    before: list[tuple[signal.Signals, Callable[..., object] | int | None]] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        handler = signal.getsignal(number)
        if handler is not signal.SIG_IGN:
            before.append((number, handler))
            signal.signal(number, lambda *_: stop.set())
    try:
        yield stop
    finally:
        for number, handler in before:
            signal.signal(number, handler)
