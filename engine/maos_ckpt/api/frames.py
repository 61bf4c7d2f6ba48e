"""What an engine sends to a remote client that listens: a stream of length-prefixed MessagePack frames.

First comes a `Hello`, then `EventFrame`s in order with the newest `ProgressFrame` between them; a `Beat` where nothing
has come for a while, so that a broken connection is noticed. A frame is its length (four bytes, big-endian) and that
many bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from maos_ckpt.errors import UnavailableError
from maos_ckpt.events import EVENT_TYPES, Event, OperationProgressed, event_fields
from maos_ckpt.model import Progress

#: Raised where calls or frames change so that an older client would misread them.
PROTOCOL = 1
#: A frame is one event, whose lists and texts are bounded.
FRAME_BYTES_MAX = 4 << 20
_LENGTH_BYTES = 4


class Hello(msgspec.Struct, frozen=True, tag="hello"):
    """The stream begins. `engine` names this run of the engine; `missed` says that events which followed the cursor
    asked for are not kept any more, so that the state is to be read anew."""

    protocol: int
    engine: str
    cursor: int
    missed: bool


class EventFrame(msgspec.Struct, frozen=True, tag="event"):
    """Something happened. `cursor` is where to go on from after it; `fields` are those of the event type `name`."""

    cursor: int
    name: str
    fields: dict[str, Any]


class ProgressFrame(msgspec.Struct, frozen=True, tag="progress"):
    """A running operation moved on."""

    at_ms: int
    progress: Progress


class Beat(msgspec.Struct, frozen=True, tag="beat"):
    """Nothing happened, and the connection stands."""


Frame = Hello | EventFrame | ProgressFrame | Beat
_ENCODE = msgspec.msgpack.Encoder(enc_hook=str).encode
_DECODER: msgspec.msgpack.Decoder[Frame] = msgspec.msgpack.Decoder(Frame)


def encoded(frame: Frame) -> bytes:
    """A frame with its length."""
    body = _ENCODE(frame)
    return len(body).to_bytes(_LENGTH_BYTES, "big") + body


def event_frame(event: Event, cursor: int) -> Frame:
    """An event as a frame; progress has no place in the order, so it bears no cursor."""
    if isinstance(event, OperationProgressed):
        return ProgressFrame(event.at_ms, event.progress)
    return EventFrame(cursor, type(event).__name__, event_fields(event))


def event_of(frame: EventFrame | ProgressFrame) -> Event | None:
    """The event in a frame; None where a newer engine sent one that this version does not know."""
    if isinstance(frame, ProgressFrame):
        return OperationProgressed(frame.at_ms, frame.progress)
    cls = EVENT_TYPES.get(frame.name)
    if cls is None:
        return None
    try:
        return msgspec.convert(frame.fields, cls)
    except msgspec.ValidationError:
        return None


class Reader:
    """Frames out of the pieces in which a stream arrives."""

    def __init__(self) -> None:
        self._waiting = bytearray()

    def feed(self, piece: bytes) -> Iterator[Frame]:
        """The frames that are whole now.

        Raises:
            UnavailableError: this is no such stream.
        """
        self._waiting += piece
        while len(self._waiting) >= _LENGTH_BYTES:
            length = int.from_bytes(self._waiting[:_LENGTH_BYTES], "big")
            if length > FRAME_BYTES_MAX:
                raise UnavailableError("What answers there sends no events of an engine.", hint="Look at the address.")
            end = _LENGTH_BYTES + length
            if len(self._waiting) < end:
                return
            body = bytes(self._waiting[_LENGTH_BYTES:end])
            del self._waiting[:end]
            try:
                yield _DECODER.decode(body)
            except msgspec.DecodeError as error:
                raise UnavailableError(
                    "The engine's events cannot be read.", hint="Engine and console are to be of one version."
                ) from error
