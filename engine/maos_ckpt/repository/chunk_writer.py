"""Storing new chunks in a save: a `ChunkWriter` is its session, in this process or in one beside it."""

from __future__ import annotations

from typing import Protocol

import msgspec

from maos_ckpt.codec.compression import Codec, compress_delta, decompress
from maos_ckpt.codec.copying import copy_delta
from maos_ckpt.codec.policy import CodecPolicy, Measures
from maos_ckpt.errors import UNREADABLE, IntegrityError
from maos_ckpt.repository.chunks import ChunkStore
from maos_ckpt.repository.index import ChunkIndex
from maos_ckpt.repository.pack_writer import PackWriter
from maos_ckpt.repository.packs import SealedPack, Stored
from maos_ckpt.tree.sink import ChunkSink, Done, Pending

#: A delta below this share of the raw size is kept without a look at the alternative.
_DELTA_SHARE_SURE = 1 / 8
#: Smaller deltas are not looked at for whether their base has worn out.
_WORN_BYTES_MIN = 1024
#: A larger one is kept below this share of the full form's size; beyond it a full chunk makes a better base.
_DELTA_SHARE_MAX = 0.7


class Prepared(msgspec.Struct, array_like=True, frozen=True):
    """A chunk on its way to the writer that stores it: a delta of `raw` plain bytes on the chunk called `base`; with
    `raw` 0 it is stored already."""

    name: bytes
    raw: int
    payload: bytes
    base: bytes


class ChunkWriter(ChunkSink, Protocol):
    """One save's session: takes chunks, then seals them into one pack. Close it in any case."""

    def seal(self) -> SealedPack:
        """Make the new chunks durable and known; the pack they are in, or an empty one where no chunk was new."""
        ...

    def measures(self) -> Measures:
        """What the codec policy has learnt, for the next save."""
        ...

    def close(self) -> None:
        """Drop what was not sealed; safe to call at any time."""
        ...


class LocalChunkWriter:
    """Hashes, deduplicates, compresses and packs in the calling thread.

    Every payload is decompressed and compared before it is kept.
    """

    def __init__(self, store: ChunkStore, index: ChunkIndex, pack: PackWriter, policy: CodecPolicy) -> None:
        self._store = store
        self._index = index
        self._pack = pack
        self._policy = policy
        self._new: set[bytes] = set()

    def put(self, plain: bytes, label: str, predecessor: bytes | None = None) -> Pending:
        """See `ChunkSink.put`."""
        name = self._store.name(plain)
        if name not in self._new and not self._index.has(name):
            self._add(name, plain, label, None if predecessor is None else self._delta(plain, predecessor))
            self._new.add(name)
        return Done(name)

    def prepare(self, plain: bytes, predecessor: bytes) -> Prepared | None:
        """What another writer of this repository would store of a chunk, for its `keep`; None where it has to be asked
        itself, because no delta is surely the best."""
        name = self._store.name(plain)
        if self._index.has(name):
            return Prepared(name, 0, b"", b"")
        delta = self._delta(plain, predecessor)
        return Prepared(name, len(plain), *delta) if delta is not None and _is_sure(delta, plain) else None

    def keep(self, prepared: Prepared) -> None:
        """Store what another writer has prepared."""
        if prepared.raw and prepared.name not in self._new:
            self._keep(prepared.name, Codec.ZSTD_DELTA, prepared.raw, prepared.payload, prepared.base)
            self._new.add(prepared.name)

    def _add(self, name: bytes, plain: bytes, label: str, delta: tuple[bytes, bytes] | None) -> None:
        if delta is not None and _is_sure(delta, plain):
            self._keep(name, Codec.ZSTD_DELTA, len(plain), *delta)
            return
        codec, level = self._policy.choose(label, len(plain))
        payload = self._policy.compress(label, codec, level, plain)
        if len(payload) >= len(plain):
            codec, payload = Codec.NONE, plain
        if delta is not None and len(delta[0]) <= len(payload) * _DELTA_SHARE_MAX:
            self._keep(name, Codec.ZSTD_DELTA, len(plain), *delta)
        else:
            _require_back(codec, payload, plain)
            self._keep(name, codec, len(plain), payload, b"")

    def _delta(self, plain: bytes, predecessor: bytes) -> tuple[bytes, bytes] | None:
        """`plain` against its predecessor, or the predecessor's own base: (payload, id of the base).

        None where there is none, or where it is time for a new base.
        """
        before = base = self._index.find(predecessor)
        if before is not None and before[1].codec == Codec.ZSTD_DELTA:
            # A base is always stored in full, so that no chain grows longer than one step.
            base = self._index.find_base(before[1].base)
        if before is None or base is None:
            return None
        try:
            raw_base = self._store.get(base[1].id)
            hasty = self._policy.settings.hasty
            copied = copy_delta(plain, raw_base) if hasty else None
            proven = copied is not None and _gives_back(Codec.ZSTD_DELTA, copied, plain, raw_base)
            payload = copied if copied is not None and proven else compress_delta(plain, raw_base)
            # In haste nothing is measured: the next save sees to it.
            fresh = hasty or base[1].id == predecessor
            worn = not fresh and self._worn(plain, before[1], len(payload), base[1].stored)
        except UNREADABLE:
            # A damaged predecessor must not fail a new save: the chunk is stored in full instead.
            return None
        if worn:
            return None
        if not proven:
            _require_back(Codec.ZSTD_DELTA, payload, plain, raw_base)
        return payload, base[1].id

    def _worn(self, plain: bytes, predecessor: Stored, delta_bytes: int, base_bytes: int) -> bool:
        """Whether the deltas on this base have cost as much as a new base does.

        Every delta repeats what changed since the base. Where c bytes change each time, the delta of d bytes is about
        the (d/c)-th one, and together they took d * d / (2 * c): from the size of a base on, a new one is cheaper.
        """
        # What the delta has grown by cannot be more than what changed; mostly that says enough, without measuring it.
        growth_bytes = max(delta_bytes - predecessor.stored, 0)
        if delta_bytes < _WORN_BYTES_MIN or delta_bytes * delta_bytes < 2 * growth_bytes * base_bytes:
            return False
        step_bytes = len(compress_delta(plain, self._store.get(predecessor.id)))
        saves = step_bytes < delta_bytes * _DELTA_SHARE_MAX
        return saves and delta_bytes * delta_bytes >= 2 * step_bytes * base_bytes

    def _keep(self, name: bytes, codec: Codec, raw: int, payload: bytes, base: bytes) -> None:
        """Add a payload, which has shown that it gives back what it was made of, to the pack."""
        self._pack.add(name, codec, raw, payload, base)
        self._pack.sync_portion()

    def seal(self) -> SealedPack:
        """See `ChunkWriter.seal`."""
        sealed = self._pack.seal()
        if sealed.size:
            self._index.add_pack(sealed.name, sealed.size, self._pack.chunks)
            # It may be one that was known, and damaged, before.
            self._index.mark_damaged(sealed.name, (), only=True)
            self._store.open_anew(sealed.name)
        return sealed

    def measures(self) -> Measures:
        """See `ChunkWriter.measures`."""
        return self._policy.measures

    def close(self) -> None:
        """See `ChunkWriter.close`."""
        self._pack.abandon()


def _is_sure(delta: tuple[bytes, bytes], plain: bytes) -> bool:
    return len(delta[0]) <= len(plain) * _DELTA_SHARE_SURE


def _gives_back(codec: Codec, payload: bytes, plain: bytes, base: bytes | None = None) -> bool:
    try:
        return decompress(codec, payload, len(plain), base) == plain
    except IntegrityError:
        return False


def _require_back(codec: Codec, payload: bytes, plain: bytes, base: bytes | None = None) -> None:
    if not _gives_back(codec, payload, plain, base):
        raise IntegrityError("A codec did not give back what it was given; nothing was stored.", codec=codec.name)
