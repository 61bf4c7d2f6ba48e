"""One subscription to an engine's events, handed on to any number of asynchronous listeners.

Each listener has a bounded queue in its own event loop. One that does not keep up is let go rather than waited for: it
comes back with the id of the last event that it saw, and is told what it missed from the journal.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable

from maos_ckpt.client import EngineClient
from maos_ckpt.errors import UnavailableError
from maos_ckpt.events import Event, OperationProgressed

#: Events that wait for one listener.
QUEUED_MAX = 1000
LISTENERS_MAX = 128


class Listener:
    """One listener's queue. `put` may be called from any thread, the rest from its own event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Event] = deque()
        self._progress: OperationProgressed | None = None
        self._arrived = asyncio.Event()
        self.overrun = False

    def put(self, event: Event) -> None:
        """Queue an event; never blocks. Of progress only the newest waits."""
        try:
            self._loop.call_soon_threadsafe(self._put, event)
        except RuntimeError:
            # Its loop has ended, and it with it.
            self.overrun = True

    def _put(self, event: Event) -> None:
        if isinstance(event, OperationProgressed):
            self._progress = event
        elif len(self._waiting) >= QUEUED_MAX:
            self.overrun = True
        else:
            # What happened is newer than the progress that led to it.
            self._progress = None
            self._waiting.append(event)
        self._arrived.set()

    async def next(self, timeout_s: float) -> list[Event]:
        """What has arrived, in order; nothing where nothing does within `timeout_s`."""
        try:
            await asyncio.wait_for(self._arrived.wait(), timeout_s)
        except TimeoutError:
            return []
        self._arrived.clear()
        found = list(self._waiting)
        self._waiting.clear()
        if self._progress is not None:
            found.append(self._progress)
            self._progress = None
        return found


class Broadcast:
    """All listeners of one application; it listens to the engine itself as long as there is one."""

    def __init__(self, client: EngineClient) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._listeners: list[Listener] = []
        self._leave: Callable[[], None] | None = None

    def join(self, listener: Listener) -> None:
        """Begin to listen. Blocks where the engine is asked for its events.

        Raises:
            UnavailableError: too many listen already.
        """
        with self._lock:
            if len(self._listeners) >= LISTENERS_MAX:
                raise UnavailableError(
                    f"{LISTENERS_MAX} listeners follow this engine already.", hint="Close one of them first."
                )
            if self._leave is None:
                self._leave = self._client.subscribe(self._tell)
            self._listeners.append(listener)

    def part(self, listener: Listener) -> None:
        """End listening; safe to call twice. Blocks until the engine has let go of the last one."""
        leave = None
        with self._lock:
            if listener in self._listeners:
                self._listeners.remove(listener)
            if not self._listeners:
                leave, self._leave = self._leave, None
        if leave is not None:
            leave()

    def _tell(self, event: Event) -> None:
        with self._lock:
            listeners = list(self._listeners)
        for one in listeners:
            one.put(event)
