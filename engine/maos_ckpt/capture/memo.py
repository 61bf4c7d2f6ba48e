"""What the last capture remembers for the next one: a local, expendable file.

With it an unchanged state is recognised without being read, and grown transcripts cost their new lines. It only counts
together with the checkpoint it was made for; without it everything is read in full.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec

from maos_ckpt.codec.measures import StoredMeasures
from maos_ckpt.codec.undecodable import UNDECODABLE
from maos_ckpt.repository.cache_place import keep
from maos_ckpt.repository.repository import Repository

_NAME = "memo.msgpack"
_BYTES_MAX = 256 << 20


class Memo(msgspec.Struct, frozen=True):
    """`checkpoint` is the one whose trees `sources` refer to; `token` the source's fingerprint just before its cut."""

    checkpoint: str
    token: bytes
    source: bytes
    measures: StoredMeasures = {}


def kept_directory(repository: Repository) -> Path:
    """Where sources leave what their memo names; expendable as well."""
    return repository.path / "cache"


def _path(repository: Repository) -> Path:
    return kept_directory(repository) / _NAME


def load_memo(repository: Repository) -> Memo | None:
    """The memo, or None where there is none that can be read."""
    with contextlib.suppress(OSError, *UNDECODABLE):
        path = _path(repository)
        if path.stat().st_size <= _BYTES_MAX:
            return msgspec.msgpack.decode(path.read_bytes(), type=Memo)
    return None


def store_memo(repository: Repository, memo: Memo) -> None:
    """Keep a memo; a failure only costs the next capture its short cut."""
    keep(repository.backend, _NAME, msgspec.msgpack.encode(memo))
