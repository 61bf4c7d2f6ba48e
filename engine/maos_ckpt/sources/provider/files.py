"""Records on their way between two processes of one engine: private files below the repository's own folder.

A file is a sequence of frames: the length of a MessagePack array in four bytes (big-endian), and that array.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final, Self

import msgspec

from maos_ckpt.errors import SourceError

#: A record's key, its value and the form of that value.
Record = tuple[Any, Any, str]
RECORD_BYTES_MAX: Final = 1 << 30
_LENGTH: Final = 4
_encode = msgspec.msgpack.Encoder().encode


class FrameWriter:
    """Writes frames to a new file that only its owner may read; nothing is synced, for nothing of it lasts."""

    def __init__(self, path: Path) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._file: IO[bytes] = os.fdopen(descriptor, "wb", buffering=1 << 18)
        self.bytes = 0

    def add(self, frame: object) -> None:
        """One more frame.

        Raises:
            SourceError: too long for one.
        """
        self.put(_encode(frame))

    def put(self, body: bytes) -> None:
        """One more frame, encoded; raises as `add`."""
        if len(body) > RECORD_BYTES_MAX:
            raise SourceError(f"A record of {len(body):,} bytes is too large.", hint="Split it into several records.")
        self._file.write(len(body).to_bytes(_LENGTH, "big") + body)
        self.bytes += _LENGTH + len(body)

    def close(self) -> None:
        """End the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class FrameReader:
    """Reads frames, in order or by their places."""

    def __init__(self, path: Path, kind: Any) -> None:
        self._file = path.open("rb")
        self._decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(kind)

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        """(place, frame) from the beginning."""
        place = 0
        while True:
            self._file.seek(place)
            frame, end = self._next()
            if end == 0:
                return
            yield place, frame
            place += end

    def at(self, place: int) -> Any:
        """The frame at a place that iteration gave."""
        self._file.seek(place)
        return self._next()[0]

    def _next(self) -> tuple[Any, int]:
        head = self._file.read(_LENGTH)
        if not head:
            return None, 0
        length = int.from_bytes(head, "big")
        body = self._file.read(length)
        if len(head) < _LENGTH or len(body) < length:
            raise SourceError("A file of captured records is cut short.", kept="Nothing was changed.")
        return self._decoder.decode(body), _LENGTH + length

    def close(self) -> None:
        """Release the file; safe to call twice."""
        self._file.close()
