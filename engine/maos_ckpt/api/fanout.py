"""Hands an engine's events to any number of streams, each of which may have been away for a while.

One listener of the engine fills a ring of encoded events; a stream is no more than its place in that ring, so that
fifty slow ones take no more memory than one. Whoever falls behind the ring's oldest event is told that it missed some.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

from maos_ckpt.api.frames import PROTOCOL, Beat, Hello, encoded, event_frame
from maos_ckpt.client import EngineClient
from maos_ckpt.errors import ConflictError
from maos_ckpt.events import Event, OperationProgressed
from maos_ckpt.seams import SYSTEM, Seams

#: Events that a stream may be behind.
EVENTS_KEPT_MAX = 1000
#: Streams of one engine.
STREAMS_MAX = 256
#: Silence is broken this often.
BEAT_S = 5.0
#: Progress goes out at most this often.
PROGRESS_INTERVAL_S = 0.1
_BEAT = encoded(Beat())
_ENGINE_BYTES = 8


@dataclass(slots=True, eq=False)
class _Stream:
    loop: asyncio.AbstractEventLoop
    news: asyncio.Event
    place: int
    progress: int


class Fanout:
    """The events of one engine. Thread-safe; streams live in whichever event loop asks for them."""

    def __init__(self, client: EngineClient, seams: Seams = SYSTEM) -> None:
        self._client = client
        #: Names this run, so that a place in the ring of another one counts for nothing.
        self.engine = seams.random.token(_ENGINE_BYTES).hex()
        self._lock = threading.Lock()
        self._ring: deque[bytes] = deque(maxlen=EVENTS_KEPT_MAX)
        self._end = 0
        self._progress = b""
        self._progressed = 0
        self._streams: set[_Stream] = set()
        self._leave: Callable[[], None] | None = None
        self._closed = False

    @property
    def streams(self) -> int:
        """How many follow."""
        with self._lock:
            return len(self._streams)

    def open(self) -> None:
        """Begin to listen; safe to call again."""
        with self._lock:
            if self._leave is None and not self._closed:
                self._leave = self._client.subscribe(self._hear)

    def close(self) -> None:
        """Let every stream end after what has been heard."""
        with self._lock:
            self._closed = True
            leave, self._leave = self._leave, None
            streams = list(self._streams)
        if leave is not None:
            leave()
        self._wake(streams)

    def _hear(self, event: Event) -> None:
        with self._lock:
            if isinstance(event, OperationProgressed):
                self._progress = encoded(event_frame(event, 0))
                self._progressed += 1
            else:
                self._end += 1
                self._ring.append(encoded(event_frame(event, self._end)))
                # What happened is newer than the progress that led to it.
                self._progress = b""
            streams = list(self._streams)
        self._wake(streams)

    @staticmethod
    def _wake(streams: list[_Stream]) -> None:
        for one in streams:
            if not one.loop.is_closed():
                one.loop.call_soon_threadsafe(one.news.set)

    def _join(self, engine: str, cursor: int | None) -> tuple[_Stream, Hello]:
        with self._lock:
            if len(self._streams) >= STREAMS_MAX:
                raise ConflictError(
                    f"{STREAMS_MAX} clients listen to this engine already.",
                    kept="Nothing was changed.",
                    hint="Close one of them first.",
                )
            oldest = self._end - len(self._ring)
            known = cursor is not None and engine == self.engine and oldest <= cursor <= self._end
            place = cursor if known and cursor is not None else self._end
            stream = _Stream(asyncio.get_running_loop(), asyncio.Event(), place, 0)
            self._streams.add(stream)
            return stream, Hello(PROTOCOL, self.engine, place, cursor is not None and not known)

    def _take(self, stream: _Stream) -> tuple[list[bytes], bool]:
        """What a stream has not had yet, and whether it may end after it."""
        with self._lock:
            stream.news.clear()
            oldest = self._end - len(self._ring)
            found: list[bytes] = []
            if stream.place < oldest:
                found.append(encoded(Hello(PROTOCOL, self.engine, self._end, True)))
            else:
                found += list(self._ring)[stream.place - oldest :]
            stream.place = self._end
            if self._progress and stream.progress != self._progressed:
                found.append(self._progress)
            stream.progress = self._progressed
            return found, self._closed

    async def stream(self, engine: str = "", cursor: int | None = None) -> AsyncGenerator[bytes, None]:
        """Encoded frames from `cursor` of the run `engine` on, or from now on where that is None; ends at `close`.

        Raises:
            ConflictError: too many listen already.
        """
        self.open()
        stream, hello = self._join(engine, cursor)
        try:
            yield encoded(hello)
            while True:
                found, ends = self._take(stream)
                if found:
                    yield b"".join(found)
                if ends:
                    return
                try:
                    async with asyncio.timeout(BEAT_S):
                        await stream.news.wait()
                except TimeoutError:
                    yield _BEAT
                else:
                    # Progress comes in bursts; what happened meanwhile goes out together.
                    await asyncio.sleep(PROGRESS_INTERVAL_S if found == [self._progress] else 0)
        finally:
            with self._lock:
                self._streams.discard(stream)
