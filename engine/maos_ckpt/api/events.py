"""Events as a stream (server-sent events) that goes on where it broke off, and the journal as a list.

An event's id says when it happened and what it is, so a client that comes back with `Last-Event-ID`, to this engine or
to the next one on the repository, is told from the journal what it missed. Where the journal no longer holds that
event, the stream begins with a `reset`: read the state anew. Progress has no id and is not told again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated

import anyio
import msgspec
from msgspec import Meta
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Send
from starlette.types import Scope as AsgiScope

from maos_ckpt.api.answers import json_answer
from maos_ckpt.api.broadcast import Broadcast, Listener
from maos_ckpt.api.codec import encode
from maos_ckpt.api.endpoint import Endpoint, Exchange
from maos_ckpt.api.event_shapes import (
    NAMES,
    PROGRESS,
    EventShape,
    entry_identity,
    event_shape,
    identity,
    identity_time,
    shape_of,
)
from maos_ckpt.errors import UsageError
from maos_ckpt.events import Event, OperationProgressed
from maos_ckpt.journal import Entry
from maos_ckpt.model.access import Scope

EVENT_STREAM = "text/event-stream"
#: How far back in the journal a stream is taken up again.
RESUMED_MAX = 5000
#: A line that says nothing keeps proxies from taking the stream for dead, and finds out that a client is gone.
HEARTBEAT_S = 15.0
_RETRY_MS = 1000
JOURNAL_MAX = 1000
_RESET = "reset"


class StreamAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Which events; all kinds where none is named. `lastEventId` does what the header of that name does."""

    types: Annotated[list[Annotated[str, Meta(min_length=1, max_length=50)]], Meta(max_length=50)] = []
    progress: Annotated[bool, Meta(description="Also tell how far what runs is.")] = False
    last_event_id: Annotated[str, Meta(max_length=40)] = ""


class JournalAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many events, the newest first."""

    limit: Annotated[int, Meta(ge=1, le=JOURNAL_MAX)] = 100


@dataclass(frozen=True, slots=True)
class JournalPage:
    """What happened, newest first."""

    events: tuple[EventShape, ...]


def message(shape: EventShape, event_id: str = "") -> bytes:
    """One message of a stream; its JSON is one line."""
    head = f"id: {event_id}\n" if event_id else ""
    return f"{head}event: {shape.event}\ndata: ".encode() + encode(shape.members) + b"\n\n"


def missed(entries_newest_first: Sequence[Entry], last_id: str, last_at_ms: int) -> tuple[list[Entry], bool]:
    """What happened behind an event, oldest first, and whether that event was found; where it was not, all that is not
    older than it was."""
    behind: list[Entry] = []
    for entry in entries_newest_first:
        if entry_identity(entry) == last_id:
            return behind[::-1], True
        behind.append(entry)
    return [one for one in reversed(behind) if isinstance(at := one[1].get("at_ms"), int) and at >= last_at_ms], False


class EventStream(StreamingResponse):
    """Tells one client of events until it goes, or does not keep up."""

    def __init__(self, exchange: Exchange, asked: StreamAsked, last_id: str, last_at_ms: int) -> None:
        self._broadcast: Broadcast = exchange.shared.broadcast
        self._exchange = exchange
        self._wanted = frozenset(asked.types)
        self._progress = asked.progress
        self._last = (last_id, last_at_ms)
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        super().__init__(self._messages(), HTTPStatus.OK, headers, EVENT_STREAM)
        self._listener: Listener | None = None

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """See the class."""
        if scope["method"] == "HEAD":
            await Response(None, HTTPStatus.OK, dict(self.headers), EVENT_STREAM)(scope, receive, send)
            return
        listener = self._listener = Listener()
        try:
            # Refused here, before the first byte, where too many listen.
            await self._exchange.call(self._broadcast.join, listener)
            await super().__call__(scope, receive, send)
        finally:
            with anyio.CancelScope(shield=True):
                await self._exchange.call(self._broadcast.part, listener)

    async def _messages(self) -> AsyncIterator[bytes]:
        assert self._listener is not None
        yield f"retry: {_RETRY_MS}\n\n".encode()
        told: set[str] = set()
        last_id, last_at_ms = self._last
        if last_id:
            entries = await self._exchange.call(self._exchange.client.recent_events, RESUMED_MAX)
            behind, found = missed(entries, last_id, last_at_ms)
            if not found:
                yield f"event: {_RESET}\ndata: {{}}\n\n".encode()
            for entry in behind:
                event_id, shape = entry_identity(entry), event_shape(*entry)
                # Listening began before the journal was read, so the newest may come both ways.
                told.add(event_id)
                if self._wants(shape):
                    yield message(shape, event_id)
        while True:
            events = await self._listener.next(HEARTBEAT_S)
            if not events:
                yield b": still here\n\n"
            for event in events:
                if line := self._line(event, told):
                    yield line
            if self._listener.overrun:
                # It comes back with the last id that it saw, and the journal tells it the rest.
                return

    def _line(self, event: Event, told: set[str]) -> bytes:
        shape = shape_of(event)
        if isinstance(event, OperationProgressed):
            return message(shape) if self._progress else b""
        event_id = identity(event.at_ms, shape)
        return message(shape, event_id) if event_id not in told and self._wants(shape) else b""

    def _wants(self, shape: EventShape) -> bool:
        return not self._wanted or shape.event in self._wanted


async def _stream(exchange: Exchange) -> Response:
    asked = exchange.asked(StreamAsked)
    last_id = exchange.request.headers.get("last-event-id", "") or asked.last_event_id
    last_at_ms = identity_time(last_id) if last_id else 0
    if last_at_ms is None:
        raise UsageError("Last-Event-ID is no id of an event.", hint="Give the `id` of the last event that was seen.")
    unknown = [one for one in asked.types if one not in NAMES | {PROGRESS}]
    if unknown:
        raise UsageError(f"There is no event {unknown[0]!r}.", hint=f"There are {', '.join(sorted(NAMES))}.")
    return EventStream(exchange, asked, last_id, last_at_ms)


async def _journal(exchange: Exchange) -> Response:
    asked = exchange.asked(JournalAsked)
    entries = await exchange.call(exchange.client.recent_events, asked.limit)
    return json_answer(exchange.request, JournalPage(tuple(event_shape(*one) for one in entries)))


ENDPOINTS = (
    Endpoint(
        "GET",
        "/events",
        Scope.READ,
        _stream,
        "what happens, as server-sent events",
        query=StreamAsked,
        media_type=EVENT_STREAM,
    ),
    Endpoint("GET", "/journal", Scope.READ, _journal, "what happened", query=JournalAsked, answer=JournalPage),
)
