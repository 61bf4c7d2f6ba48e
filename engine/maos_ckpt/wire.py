"""How an engine and its worker process speak: length-prefixed MessagePack frames of a closed set of types.

Engine → worker, on the worker's standard input: one `Request`, then only answers; the pipe staying open says that the
engine lives. Worker → engine, on its standard output: any number of `ProgressFrame` and `AskFrame`, each of the latter
answered by a `ResultFrame` or `ErrorFrame` before the next, then one `ResultFrame` or `ErrorFrame`.
A frame is its length (four bytes, big-endian) and that many bytes.
"""

from __future__ import annotations

from typing import IO, Any, Protocol

import msgspec

from maos_ckpt import errors
from maos_ckpt.codec.secret import Secret
from maos_ckpt.config import Config
from maos_ckpt.errors import CkptError
from maos_ckpt.model import Progress

#: No frame is larger; a result's lists are bounded by the limits that its request states.
FRAME_BYTES_MAX = 256 << 20
_LENGTH_BYTES = 4


class Unlocked(msgspec.Struct, frozen=True):
    """The master key of the repository with this id, and the id of the key slot that gave it, if one did."""

    repository: str
    master: Secret
    slot: str = ""


class Place(msgspec.Struct, frozen=True):
    """Where an operation works: the repository's path, the canonical source spec and the transcripts' home, and what
    opens the repository where it is encrypted. `host`: whoever asks has a part of the state, and is asked for it."""

    repository: str
    source: str
    claude_home: str
    config: Config
    key: Unlocked | None = None
    host: bool = False


class Request(msgspec.Struct, frozen=True):
    """One operation; `arguments` is of the type that the registry of operations names for it. `caller` is whom the API
    let in to ask for it, "" where nobody did."""

    operation: str
    place: Place
    arguments: msgspec.Raw
    caller: str = ""


class ProgressFrame(msgspec.Struct, frozen=True, tag="progress"):
    """The operation moved on."""

    progress: Progress


class AskFrame(msgspec.Struct, frozen=True, tag="ask"):
    """The worker needs something of the engine's own process: a method of `HostSession`, and a path where it takes one,
    or "recovery" for a recovery's hold."""

    method: str
    argument: str = ""


class ResultFrame(msgspec.Struct, frozen=True, tag="result"):
    """The operation is done; `result` is of the type that the registry names for it."""

    result: msgspec.Raw


class ErrorFrame(msgspec.Struct, frozen=True, tag="error"):
    """The operation failed; the four fields of `CkptError` with its kind."""

    kind: str
    message: str
    kept: str
    hint: str
    data: dict[str, Any]


Frame = ProgressFrame | AskFrame | ResultFrame | ErrorFrame


def _revealed(value: object) -> object:
    return value.reveal() if isinstance(value, Secret) else str(value)


def _master(wanted: type, value: object) -> object:
    if wanted is not Secret or not isinstance(value, bytes):
        raise ValueError("not a key")
    return Secret("master", value)


encode = msgspec.msgpack.Encoder(enc_hook=str).encode
#: For requests alone: everything else shows a secret as its text, which does not give it away.
encode_request = msgspec.msgpack.Encoder(enc_hook=_revealed).encode
decode_request = msgspec.msgpack.Decoder(Request, dec_hook=_master).decode
_FRAMES: msgspec.msgpack.Decoder[Frame] = msgspec.msgpack.Decoder(Frame)


def decode_frame(body: bytes) -> Frame:
    """The frame in a body that `read_frame` returned; raises `msgspec.DecodeError`."""
    return _FRAMES.decode(body)


class WireError(Exception):
    """The other side sent something that is no frame, or ended in the middle of one."""


def write_frame(stream: IO[bytes], message: object) -> None:
    """Send one frame."""
    body = encode_request(message) if isinstance(message, Request) else encode(message)
    if len(body) > FRAME_BYTES_MAX:
        raise WireError(f"a frame of {len(body)} bytes is too large")
    stream.write(len(body).to_bytes(_LENGTH_BYTES, "big") + body)
    stream.flush()


class Readable(Protocol):
    """Where frames come from."""

    def read(self, size: int, /) -> bytes:
        """At most so many bytes; none at the end."""
        ...


def read_frame(stream: Readable) -> bytes | None:
    """The body of the next frame; None at a clean end.

    Raises:
        WireError: cut short, or of an impossible length.
    """
    head = _read(stream, _LENGTH_BYTES)
    if not head:
        return None
    length = int.from_bytes(head, "big")
    if len(head) < _LENGTH_BYTES or length > FRAME_BYTES_MAX:
        raise WireError("not a frame")
    body = _read(stream, length)
    if len(body) < length:
        raise WireError("cut short")
    return body


def _read(stream: Readable, length: int) -> bytes:
    parts = []
    while length:
        part = stream.read(length)
        if not part:
            break
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def _kinds() -> dict[str, type[CkptError]]:
    found: dict[str, type[CkptError]] = {}
    waiting: list[type[CkptError]] = [CkptError]
    while waiting:
        cls = waiting.pop()
        # Subclasses that share a kind cross as the class that gave it.
        found.setdefault(cls.kind, cls)
        waiting += cls.__subclasses__()
    return found


#: Closed registry: every kind of error that may cross, from `errors` alone.
ERROR_KINDS = {kind: cls for kind, cls in _kinds().items() if cls.__module__ == errors.__name__}


def error_frame(error: CkptError) -> ErrorFrame:
    """An error as a frame."""
    return ErrorFrame(error.kind, error.message, error.kept, error.hint, error.data)


def as_error(frame: ErrorFrame) -> CkptError:
    """The error behind a frame; an unknown kind becomes the root class."""
    cls = ERROR_KINDS.get(frame.kind, CkptError)
    return cls(frame.message, kept=frame.kept, hint=frame.hint, **frame.data)
