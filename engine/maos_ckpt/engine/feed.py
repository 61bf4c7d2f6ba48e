"""Hands events to whoever listens, each in a thread of its own, so that a slow listener holds up nobody.

Of progress only the newest waits; other events queue up to a bound. Where a listener has not taken one for so long that
the bound is reached, the oldest droppable event makes room; a checkpoint, recovery or removal is never dropped.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable

from maos_ckpt.client import EventSink
from maos_ckpt.errors import ConflictError
from maos_ckpt.events import (
    CheckpointCreated,
    CheckpointsRemoved,
    Event,
    OperationProgressed,
    RecoveryCompleted,
    RecoveryResumed,
)
from maos_ckpt.seams import SYSTEM, Clock

_LOG = logging.getLogger(__name__)
#: Events that wait for one listener.
EVENTS_QUEUED_MAX = 1000
#: Listeners of one engine.
SUBSCRIBERS_MAX = 64
_CLOSE_S = 2.0
_KEPT = (CheckpointCreated, CheckpointsRemoved, RecoveryCompleted, RecoveryResumed)


class Subscriber:
    """One listener's queue and thread."""

    def __init__(self, sink: EventSink) -> None:
        self._sink = sink
        self._events: deque[Event] = deque()
        self._progress: OperationProgressed | None = None
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._deliver, name="events", daemon=True)
        self._thread.start()

    def put(self, event: Event) -> None:
        """Queue an event; never blocks."""
        with self._changed:
            if isinstance(event, OperationProgressed):
                self._progress = event
            else:
                # What happened is newer than the progress that led to it.
                self._progress = None
                if len(self._events) >= EVENTS_QUEUED_MAX:
                    self._make_room()
                self._events.append(event)
            self._changed.notify()

    def _make_room(self) -> None:
        for index, event in enumerate(self._events):
            if not isinstance(event, _KEPT):
                del self._events[index]
                return

    def end(self) -> None:
        """Deliver what waits, then end."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def join(self, timeout_s: float) -> None:
        """Wait for the end, unless this is the listener itself."""
        if threading.current_thread() is not self._thread:
            self._thread.join(max(timeout_s, 0.0))

    def _next(self) -> Event | None:
        with self._changed:
            while not self._events and self._progress is None and not self._closed:
                self._changed.wait()
            if self._events:
                return self._events.popleft()
            event, self._progress = self._progress, None
            return event

    def _deliver(self) -> None:
        while (event := self._next()) is not None:
            try:
                self._sink(event)
            except Exception:  # noqa: BLE001 - a listener's fault must not end the others' feed
                _LOG.exception("a listener failed on %s", type(event).__name__)


class Feed:
    """All listeners of an engine."""

    def __init__(self, clock: Clock = SYSTEM.clock) -> None:
        self._clock = clock
        self._subscribers: list[Subscriber] = []
        self._lock = threading.Lock()

    def subscribe(self, sink: EventSink) -> Callable[[], None]:
        """Begin to listen; returns the way out, which may be taken twice.

        Raises:
            ConflictError: too many listen already.
        """
        with self._lock:
            if len(self._subscribers) >= SUBSCRIBERS_MAX:
                raise ConflictError(
                    f"{SUBSCRIBERS_MAX} listeners follow this engine already.",
                    kept="Nothing was changed.",
                    hint="Close one of them first.",
                )
            subscriber = Subscriber(sink)
            self._subscribers.append(subscriber)

        def leave() -> None:
            with self._lock:
                if subscriber not in self._subscribers:
                    return
                self._subscribers.remove(subscriber)
            subscriber.end()
            subscriber.join(_CLOSE_S)

        return leave

    def publish(self, event: Event) -> None:
        """Hand an event to every listener."""
        with self._lock:
            subscribers = list(self._subscribers)
        for subscriber in subscribers:
            subscriber.put(event)

    def close(self) -> None:
        """Deliver what waits and let every listener go; all of them together get `_CLOSE_S` for it."""
        with self._lock:
            subscribers, self._subscribers = self._subscribers, []
        for subscriber in subscribers:
            subscriber.end()
        until_s = self._clock.monotonic_s() + _CLOSE_S
        for subscriber in subscribers:
            subscriber.join(until_s - self._clock.monotonic_s())
