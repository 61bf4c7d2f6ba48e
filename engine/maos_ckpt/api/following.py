"""Follows the events of a remote engine for as long as its client lives, over any number of broken connections."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from maos_ckpt.api.connection import BrokenError, Connection
from maos_ckpt.api.frames import PROTOCOL, EventFrame, Frame, Hello, ProgressFrame, Reader, event_of
from maos_ckpt.errors import CkptError, EngineUnreachableError, UsageError
from maos_ckpt.events import ConnectionLost, ConnectionRestored, Event
from maos_ckpt.seams import Clock

_LOG = logging.getLogger(__name__)
#: After a loss it is tried again at once, then after twice as long each time, up to the last.
RETRY_S_MIN = 0.1
RETRY_S_MAX = 5.0


class Following:
    """One client's stream of events; everything here runs in that client's event loop.

    Args:
        publish: gets every event of the engine, and `ConnectionLost` and `ConnectionRestored` between them; must not
            block.
    """

    def __init__(self, connection: Connection, publish: Callable[[Event], None], clock: Clock) -> None:
        self._connection = connection
        self._publish = publish
        self._clock = clock
        self._engine = ""
        self._cursor: int | None = None
        self._up = False
        self._lost = False
        self._sooner = asyncio.Event()

    @property
    def up(self) -> bool:
        """Whether the stream stands."""
        return self._up

    def try_now(self) -> None:
        """The engine has been reached in another way: do not wait any longer."""
        self._sooner.set()

    async def follow(self, first: asyncio.Future[None]) -> None:
        """Follow until cancelled. `first` is told how the first try went; where that failed, this ends.

        An engine that refuses later on (a token was revoked, say) is told as a lost connection, and tried again.
        """
        delay_s = RETRY_S_MIN
        while True:
            try:
                await self._once(first)
                error: CkptError = EngineUnreachableError("The engine closed the connection.")
            except BrokenError as broken:
                error = broken.error
            except CkptError as refused:
                error = refused
            if not first.done():
                first.set_exception(error)
                return
            if self._up:
                delay_s = RETRY_S_MIN
            self._down(error)
            self._sooner.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay_s):
                    await self._sooner.wait()
            delay_s = min(delay_s * 2, RETRY_S_MAX)

    async def _once(self, first: asyncio.Future[None]) -> None:
        query = {} if self._cursor is None else {"engine": self._engine, "cursor": str(self._cursor)}
        reader = Reader()
        async with self._connection.stream("/calls/events", query) as pieces:
            async for piece in pieces:
                for frame in reader.feed(piece):
                    self._take(frame)
                    if not first.done():
                        first.set_result(None)

    def _take(self, frame: Frame) -> None:
        if isinstance(frame, Hello):
            self._greeted(frame)
        elif isinstance(frame, EventFrame | ProgressFrame):
            if isinstance(frame, EventFrame):
                self._cursor = frame.cursor
            event = event_of(frame)
            if event is not None:
                self._publish(event)

    def _greeted(self, hello: Hello) -> None:
        if hello.protocol != PROTOCOL:
            raise UsageError(
                f"The engine speaks version {hello.protocol} of the protocol, this program version {PROTOCOL}.",
                kept="Nothing was changed.",
                hint="Use the same version of maos-ckpt on both sides.",
            )
        self._engine, self._cursor, self._up = hello.engine, hello.cursor, True
        if self._lost or hello.missed:
            self._lost = False
            self._publish(ConnectionRestored(self._clock.now_ms(), hello.missed))

    def _down(self, error: CkptError) -> None:
        self._up = False
        if not self._lost:
            self._lost = True
            _LOG.warning("the connection to %s is lost: %s", self._connection.address.text, error.message)
            self._publish(ConnectionLost(self._clock.now_ms(), error.message))
