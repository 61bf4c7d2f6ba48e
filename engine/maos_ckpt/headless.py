"""The engine without a screen, in the foreground: tells every event, serves the API behind its doors, reads its
configuration again on SIGHUP, and ends on SIGTERM or SIGINT with the running save finished."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from maos_ckpt.client import EngineClient, EventSink
from maos_ckpt.engine.duties import REASON_BUSY
from maos_ckpt.errors import CkptError, ConflictError, PartialError
from maos_ckpt.events import CheckpointCreated, Event, OperationFailed, OperationProgressed, TicksMissed
from maos_ckpt.model import EngineStatus
from maos_ckpt.scheduler import REASON_LATE, REASON_SLEPT
from maos_ckpt.seams import SYSTEM, Clock
from maos_ckpt.systemd import Manager

if TYPE_CHECKING:
    from maos_ckpt.api.doors import Doors

_LOG = logging.getLogger(__name__)
#: A running save or recovery gets this long to finish; the worker goes on by itself beyond it.
CLOSE_S = 120.0
#: So many intervals and so many seconds may pass without a save, or progress of one, before the engine counts as hung.
PATIENCE_INTERVALS = 3
PATIENCE_S = 60.0
#: Nothing but a signal is waited for; this is how long at a time.
_WAIT_S_MAX = 3600.0
_HEARD_BYTES_MAX = 4096


def run(
    client: EngineClient,
    tell: EventSink,
    *,
    doors: Doors | None = None,
    reload: Callable[[], None] | None = None,
    seconds: float | None = None,
    clock: Clock = SYSTEM.clock,
) -> None:
    """Run an engine until a signal, or for `seconds`.

    Args:
        client: not yet started.
        tell: gets every event but progress, from one thread of the engine's.
        doors: prepared first, opened once the engine runs, and closed before it ends.
        reload: reads the configuration again; called on SIGHUP. Without it SIGHUP ends the engine.

    Raises:
        ConflictError: another engine runs on this repository.
        PartialError: the running operation did not finish within `CLOSE_S`.
    """
    manager = Manager.of_this_process()
    with _Signals(reload is not None).caught() as signals, contextlib.ExitStack() as stack:
        if doors is not None:
            stack.callback(doors.close)
            doors.prepare()
        pulse = Pulse(clock)
        client.subscribe(_without_progress(tell))
        client.subscribe(pulse)
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
            doors.open(client, signals.ask_to_stop)
        stack.callback(manager.stopping, "finishing what runs")
        manager.ready(_in_words(status))
        deadline_s = None if seconds is None else clock.monotonic_s() + seconds
        while not signals.stop_asked(_wait_s(deadline_s, manager.stroke_s, clock)):
            if deadline_s is not None and clock.monotonic_s() >= deadline_s:
                break
            if signals.reload_asked() and reload is not None:
                _reload(reload, manager, clock)
                manager.ready(_in_words(client.status()))
            if manager.stroke_s:
                _stroke(manager, client, pulse, doors)


class Pulse:
    """Whether the engine gets on with its checkpoints: a listener that is told of everything.

    A save that fails is no hang, since a restart would not help it; neither is one that waits for another process.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last_s = clock.monotonic_s()

    def __call__(self, event: Event) -> None:
        """Take notice of an event."""
        moves = isinstance(event, CheckpointCreated | OperationProgressed | OperationFailed)
        # A save that still runs must show progress of its own.
        waits = isinstance(event, TicksMissed) and event.reason in (REASON_BUSY, REASON_SLEPT, REASON_LATE)
        if moves or waits:
            self._last_s = self._clock.monotonic_s()

    def beats(self, interval_s: float) -> bool:
        """Whether there was a save, or progress of one, lately enough for a schedule of this interval."""
        return self._clock.monotonic_s() - self._last_s <= PATIENCE_INTERVALS * interval_s + PATIENCE_S


def _wait_s(deadline_s: float | None, stroke_s: float, clock: Clock) -> float:
    left_s = _WAIT_S_MAX if deadline_s is None else max(deadline_s - clock.monotonic_s(), 0.0)
    return min(left_s, stroke_s or _WAIT_S_MAX)


def _stroke(manager: Manager, client: EngineClient, pulse: Pulse, doors: Doors | None) -> None:
    """Tell the manager that all is well, where it is; else it will end this process and start another."""
    status = client.status()
    if not pulse.beats(status.interval_s):
        _LOG.error("no checkpoint was taken, and none is under way, although it is time")
    elif doors is not None and not doors.alive:
        _LOG.error("the API is no longer served")
    else:
        manager.alive(_in_words(status))


def _in_words(status: EngineStatus) -> str:
    if status.last_error:
        return f"{status.checkpoints} checkpoints; the last operation failed: {status.last_error}"
    newest = status.last_success
    return f"{status.checkpoints} checkpoints" + (f", the last one {newest.id}" if newest else "")


def _reload(reload: Callable[[], None], manager: Manager, clock: Clock) -> None:
    manager.reloading(clock.monotonic_s())
    try:
        reload()
    except CkptError as error:
        _LOG.error("the configuration stays as it was: %s", error)


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


class _Signals:
    """SIGTERM and SIGINT end the engine; SIGHUP makes it read its configuration again where it can, or ends it where
    it says that the terminal is gone. A signal that this process was started to ignore stays ignored."""

    def __init__(self, reloads: bool) -> None:
        self._reloads = reloads
        self._on_terminal = _has_terminal()
        self._reload = False
        self._stop = False
        # A handler runs in the middle of whatever this thread does: a pipe has no lock that it may hold just then.
        self._heard, self._hearing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def ask_to_stop(self) -> None:
        """End the engine; from any thread."""
        self._stop = True
        self._wake()

    def stop_asked(self, wait_s: float) -> bool:
        """Whether to end; waits for something to be asked, so long at most."""
        if not self._stop and select.select([self._heard], [], [], wait_s)[0]:
            os.read(self._heard, _HEARD_BYTES_MAX)
        return self._stop

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._hearing, b"!")

    def reload_asked(self) -> bool:
        """Whether to read the configuration again; true once for each time it was asked."""
        asked, self._reload = self._reload, False
        return asked

    @contextlib.contextmanager
    def caught(self) -> Iterator[_Signals]:
        """Hear the signals for as long as the block runs."""
        before: list[tuple[signal.Signals, Callable[..., object] | int | None]] = []
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            handler = signal.getsignal(number)
            if handler is not signal.SIG_IGN:
                before.append((number, handler))
                signal.signal(number, self._hear)
        try:
            yield self
        finally:
            for number, handler in before:
                signal.signal(number, handler)
            os.close(self._heard)
            os.close(self._hearing)

    def _hear(self, number: int, frame: object) -> None:
        lost = self._on_terminal and not _has_terminal()
        if number == signal.SIGHUP and self._reloads and not lost:
            self._reload = True
        else:
            self._stop = True
        self._wake()


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True
