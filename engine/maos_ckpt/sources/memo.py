"""What a cut remembers for the next one: opaque to everybody else, and never trusted when it comes back.

A memo is MessagePack of `Memo`. It only ever saves work: one that cannot be read means a full reading.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from maos_ckpt.codec.undecodable import UNDECODABLE
from maos_ckpt.sources.base import MEMO_BYTES_MAX

#: Raised whenever a field changes its meaning.
VERSION: Final = 1
_PATH_BYTES_MAX = 4096
_DIGEST_BYTES = 32

_Natural = Annotated[int, msgspec.Meta(ge=0)]


class FileMark(msgspec.Struct, frozen=True, array_like=True):
    """How far an append-only file had been read.

    `offset` bytes hold `lines` whole lines whose SHA-256 is `digest`; what comes after them in a file of `size` bytes
    is a line without its end. Equal (`inode`, `size`, `mtime_ns`) means unchanged, without a look inside; `mtime_ns` is
    0 where the file was too fresh for that.
    """

    path: Annotated[bytes, msgspec.Meta(max_length=_PATH_BYTES_MAX)]
    inode: _Natural
    size: _Natural
    mtime_ns: int
    lines: _Natural
    offset: _Natural
    digest: Annotated[bytes, msgspec.Meta(min_length=_DIGEST_BYTES, max_length=_DIGEST_BYTES)]


class ImageMark(msgspec.Struct, frozen=True, array_like=True):
    """What a kept image must still be to count: see `sources.sqlite.kept_image`.

    `sample` is a CRC-32 over some of its pages.
    """

    name: Annotated[str, msgspec.Meta(pattern=r"^image-[0-9a-f]{32}\.db$")]
    boot: Annotated[bytes, msgspec.Meta(min_length=1, max_length=100)]
    device: _Natural
    inode: _Natural
    size: _Natural
    mtime_ns: int
    ctime_ns: int
    sample: _Natural


class Memo(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """`database`: the fingerprint of the captured file, b"" where unknown. `transcripts`: marks of *all* transcripts of
    the cut in path order, or None where they were not all read. `files`: SHA-256 over each collection of files.
    `image`: the kept image of the database, None where none was kept."""

    version: int = VERSION
    database: Annotated[bytes, msgspec.Meta(max_length=4096)] = b""
    transcripts: list[FileMark] | None = None
    files: dict[str, bytes] = {}
    image: ImageMark | None = None

    def encode(self) -> bytes:
        """At most `MEMO_BYTES_MAX`: what does not fit is left out, transcripts first."""
        for one in (self, msgspec.structs.replace(self, transcripts=None), Memo()):
            data = msgspec.msgpack.encode(one)
            if len(data) <= MEMO_BYTES_MAX:
                return data
        return b""

    @classmethod
    def decode(cls, data: bytes) -> Memo | None:
        """The memo behind `data`; None where it is not one of this version."""
        if len(data) > MEMO_BYTES_MAX:
            return None
        try:
            memo = _DECODER.decode(data)
        except UNDECODABLE:
            return None
        return memo if memo.version == VERSION else None


_DECODER = msgspec.msgpack.Decoder(Memo)
