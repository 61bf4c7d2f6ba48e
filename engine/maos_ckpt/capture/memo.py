"""What the last capture remembers for the next one: a local, expendable file.

With it an unchanged state is recognised without being read, and grown transcripts cost their new lines. It only counts
together with the checkpoint it was made for; without it everything is read in full.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec

from maos_ckpt.codec.compression import Codec
from maos_ckpt.codec.policy import Measure
from maos_ckpt.errors import CkptError
from maos_ckpt.repository.repository import Repository

_BYTES_MAX = 256 << 20


class Memo(msgspec.Struct, frozen=True):
    """`checkpoint` is the one whose trees `sources` refer to; `token` the source's fingerprint just before its cut."""

    checkpoint: str
    token: bytes
    source: bytes
    measures: dict[str, list[tuple[int, int, float, float]]] = {}


def _path(repository: Repository) -> Path:
    return repository.path / "cache" / "memo.msgpack"


def load_memo(repository: Repository) -> Memo | None:
    """The memo, or None where there is none that can be read."""
    with contextlib.suppress(OSError, msgspec.DecodeError):
        path = _path(repository)
        if path.stat().st_size <= _BYTES_MAX:
            return msgspec.msgpack.decode(path.read_bytes(), type=Memo)
    return None


def store_memo(repository: Repository, memo: Memo) -> None:
    """Keep a memo; a failure only costs the next capture its short cut."""
    temporary = repository.backend.temporary()
    with contextlib.suppress(OSError, CkptError):
        fd = repository.seams.fs.create(temporary)
        try:
            repository.seams.fs.write(fd, msgspec.msgpack.encode(memo))
        finally:
            repository.seams.fs.close(fd)
        temporary.replace(_path(repository))


def pack_measures(
    measures: dict[str, dict[tuple[Codec, int], Measure]],
) -> dict[str, list[tuple[int, int, float, float]]]:
    """A codec policy's measurements as the memo keeps them."""
    return {
        label: [(int(codec), level, one.ratio, one.bytes_per_s) for (codec, level), one in by_candidate.items()]
        for label, by_candidate in measures.items()
    }


def unpack_measures(memo: Memo | None) -> dict[str, dict[tuple[Codec, int], Measure]]:
    """The measurements a memo holds; entries of unknown codecs are passed over."""
    known = {int(codec) for codec in Codec}
    return {
        label: {
            (Codec(codec), level): Measure(ratio, bytes_per_s)
            for codec, level, ratio, bytes_per_s in entries
            if codec in known and bytes_per_s > 0
        }
        for label, entries in (memo.measures if memo else {}).items()
    }
