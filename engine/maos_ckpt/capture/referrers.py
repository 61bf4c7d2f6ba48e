"""The derived tree of references, as a save stores it (FORMAT.md, "Referrers").

Which records refer to an agent is worked out in idle time (`recovery.referrers`), for a checkpoint that is there, and
left in a local file; the next save puts it into its pack and its manifest. Until then, and wherever the file is lost,
a save carries over what its parent has. So a save pays for what is stored, never for working it out.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec

from maos_ckpt.codec.undecodable import UNDECODABLE
from maos_ckpt.codec.values import decode_key, encode_key, encode_row
from maos_ckpt.errors import UNREADABLE, IntegrityError
from maos_ckpt.model import Checkpoint, Collection, Referrers
from maos_ckpt.repository.chunk_writer import ChunkWriter
from maos_ckpt.repository.manifests import ManifestCollection, ManifestReferrers, listed
from maos_ckpt.repository.repository import Repository
from maos_ckpt.tree.builder import Root, build
from maos_ckpt.tree.edit import Replacement, edit

#: How the derived tree is named where collections are; no source has such a component.
COMPONENT: Final = "derived"
NAME: Final = "referrers"
#: More references than this are not worked out: memory and the file are bounded by it.
REFERENCES_MAX: Final = 4_000_000
#: More changes than this are not edited in; the tree is built anew.
CHANGES_MAX: Final = 100_000
_BATCH: Final = 1000
_NO_VALUE: Final = encode_row(())
_FILE: Final = "referrers.sqlite"


def key_of(agent: str, path: str, key: bytes) -> bytes:
    """The key of one reference: agent, `component/collection` and the key of the record that refers to it."""
    return encode_key((agent, path)) + key


def range_of(agent: str) -> tuple[bytes, bytes]:
    """The keys of all references to an agent: `low <= key < high`."""
    low = encode_key((agent,))
    return low, low + b"\xff"


def record_of(key: bytes) -> tuple[str, bytes]:
    """`component/collection` and the key of the record that a reference's key names.

    Raises:
        IntegrityError: it is no such key.
    """
    parts = decode_key(key)
    if len(parts) < 3 or not isinstance(parts[0], str) or not isinstance(parts[1], str):
        raise IntegrityError("A reference in the derived tree cannot be read.")
    return parts[1], key[len(encode_key(parts[:2])) :]


class _Meta(msgspec.Struct, frozen=True):
    """What the file is about: `base` is the tree to be edited, empty for a new one; `of` what it is then true for."""

    checkpoint: str
    base: bytes
    of: list[ManifestCollection]
    descriptors: bytes


@dataclass(frozen=True, slots=True)
class Prepared:
    """References that wait to be stored. `checkpoint` is the one they were found in, and has to be there still."""

    path: Path
    checkpoint: str
    base: bytes
    of: list[ManifestCollection]
    descriptors: bytes

    def store(self, repository: Repository, writer: ChunkWriter, kept: Referrers | None) -> ManifestReferrers | None:
        """Store them through a save's writer; None where that cannot be, or they do not fit any more.

        Args:
            kept: what the parent has.
        """
        fits = not self.base or (kept is not None and kept.tree.root == self.base)
        if not fits or all(one.id != self.checkpoint for one in repository.checkpoints()):
            return None
        try:
            root = self._build(repository, writer)
        except (sqlite3.Error, *UNREADABLE):
            # Derived data is no reason to fail a save; it is worked out again.
            return None
        return ManifestReferrers(
            ManifestCollection(COMPONENT, NAME, root.id or b"", root.count, root.bytes), self.of, self.descriptors
        )

    def _build(self, repository: Repository, writer: ChunkWriter) -> Root:
        if not self.base:
            return build(self._batches(), writer, NAME, None)
        changes = [
            Replacement(key, key + b"\0", [key] if there else [], [_NO_VALUE] if there else [])
            for key, there in self._rows()
        ]
        return edit(self.base, changes, repository.chunks, writer, NAME)

    def _batches(self) -> Iterator[tuple[list[bytes], list[bytes]]]:
        rows = self._rows()
        while keys := [key for key, _ in islice(rows, _BATCH)]:
            yield keys, [_NO_VALUE] * len(keys)

    def _rows(self) -> Iterator[tuple[bytes, bool]]:
        """(key, whether it is there) in key order."""
        with contextlib.closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            yield from ((key, bool(there)) for key, there in connection.execute("SELECT * FROM reference ORDER BY key"))

    def drop(self) -> None:
        """Remove the file."""
        with contextlib.suppress(OSError):
            self.path.unlink()


def _path(repository: Repository) -> Path:
    return repository.path / "cache" / _FILE


def prepare(
    repository: Repository,
    checkpoint: Checkpoint,
    base: bytes,
    of: Iterable[Collection],
    rows: Iterable[tuple[bytes, bool]],
) -> bool:
    """Leave a checkpoint's references, or what changes in those of `base`, for the next save; whether that can be.

    Args:
        rows: (key, whether it is there).
    """
    path = _path(repository)
    temporary = repository.backend.temporary()
    try:
        with contextlib.closing(sqlite3.connect(temporary, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = OFF")
            connection.execute("CREATE TABLE reference (key BLOB PRIMARY KEY, there INT) WITHOUT ROWID")
            connection.execute("CREATE TABLE meta (data BLOB)")
            connection.execute("BEGIN")
            connection.executemany("INSERT OR REPLACE INTO reference VALUES (?, ?)", rows)
            meta = msgspec.msgpack.encode(
                _Meta(checkpoint.id, base, [listed(one) for one in of], checkpoint.descriptors)
            )
            connection.execute("INSERT INTO meta VALUES (?)", (meta,))
            connection.execute("COMMIT")
        temporary.replace(path)
    except (OSError, sqlite3.Error):
        temporary.unlink(missing_ok=True)
        return False
    return True


def prepared(repository: Repository) -> Prepared | None:
    """What waits to be stored, if anything does."""
    path = _path(repository)
    if not path.is_file():
        return None
    with contextlib.suppress(OSError, sqlite3.Error, TypeError, *UNDECODABLE):
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            row = connection.execute("SELECT data FROM meta").fetchone()
        meta = msgspec.msgpack.decode(row[0], type=_Meta)
        return Prepared(path, meta.checkpoint, meta.base, meta.of, meta.descriptors)
    return None
