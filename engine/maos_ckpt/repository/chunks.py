"""Chunks by name: reading them back verified, and storing new ones in a save.

`ChunkStore` reads; `ChunkWriter` is one save's session: it hashes, deduplicates, compresses and packs on a few threads
while the caller goes on reading the source. Every payload is decompressed and compared before it is kept.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from maos_ckpt.codec.compression import Codec, compress_delta, decompress
from maos_ckpt.codec.policy import CodecPolicy
from maos_ckpt.errors import IntegrityError
from maos_ckpt.repository.index import ChunkIndex
from maos_ckpt.repository.packs import PackReader, PackWriter, Stored
from maos_ckpt.tree.nodes import chunk_id

#: Decoded chunks kept in memory for reading, in bytes.
CACHE_BYTES_MAX = 24 << 20
#: Chunks that may be under way between the reader of a source and the pack; bounds the memory of a save.
IN_FLIGHT_MAX = 48
_WORKERS = 2
#: A delta below this share of the raw size is kept without a look at the alternative.
_DELTA_SHARE_SURE = 1 / 8
#: A larger one is kept below this share of the full form's size; beyond it a full chunk makes a better base.
_DELTA_SHARE_MAX = 0.7


class ChunkStore:
    """Verified reads: what comes back hashes to the name it was asked by. Thread-safe."""

    def __init__(self, index: ChunkIndex, reader: PackReader) -> None:
        self._index = index
        self._reader = reader
        self._cache: OrderedDict[bytes, bytes] = OrderedDict()
        self._cache_bytes = 0
        self._lock = threading.Lock()

    def get(self, chunk: bytes) -> bytes:
        """A chunk's plain bytes.

        Raises:
            IntegrityError: it is missing, or its bytes are not what its name says; `data["chunk"]` names it.
        """
        with self._lock:
            plain = self._cache.get(chunk)
            if plain is not None:
                self._cache.move_to_end(chunk)
                return plain
        plain = self.read(chunk)
        self._remember(chunk, plain)
        return plain

    def read(self, chunk: bytes) -> bytes:
        """As `get`, past the cache."""
        found = self._index.find(chunk)
        if found is None:
            raise IntegrityError(
                f"The chunk {chunk.hex()[:16]} is missing from the repository.",
                kept="Checkpoints that do not need it are untouched.",
                hint="Run `maos-ckpt verify --all --level full` to see which checkpoints it damages.",
                chunk=chunk.hex(),
            )
        plain = self.decode(*found)
        if chunk_id(plain) != chunk:
            raise IntegrityError(
                f"The chunk {chunk.hex()[:16]} in {found[0]} is not what its name says.",
                chunk=chunk.hex(),
                object=found[0],
            )
        return plain

    def decode(self, pack: str, stored: Stored) -> bytes:
        """The plain bytes of a stored chunk, not yet checked against its name."""
        payload = self._reader.payload(pack, stored.offset, stored.stored)
        base = None
        if stored.codec == Codec.ZSTD_DELTA:
            base = self.base(stored.base)
        try:
            return decompress(stored.codec, payload, stored.raw, base)
        except IntegrityError as error:
            error.data.setdefault("chunk", stored.id.hex())
            error.data.setdefault("object", pack)
            raise

    def base(self, prefix: bytes) -> bytes:
        """The plain bytes of a delta's base."""
        found = self._index.find_base(prefix)
        if found is None:
            raise IntegrityError(f"The base {prefix.hex()} of a stored delta is missing.", chunk=prefix.hex())
        return self.get(found[1].id)

    def _remember(self, chunk: bytes, plain: bytes) -> None:
        with self._lock:
            if chunk not in self._cache:
                self._cache[chunk] = plain
                self._cache_bytes += len(plain)
            while self._cache_bytes > CACHE_BYTES_MAX:
                self._cache_bytes -= len(self._cache.popitem(last=False)[1])


@dataclass(slots=True)
class WriteCounts:
    """What a session stored so far; bytes are payload bytes."""

    full_chunks: int = 0
    delta_chunks: int = 0
    raw_bytes: int = 0
    stored_bytes: int = 0
    known_chunks: int = 0


class ChunkWriter:
    """One save's session; `put` may be called from one thread at a time. Close it in any case."""

    def __init__(self, store: ChunkStore, index: ChunkIndex, pack: PackWriter, policy: CodecPolicy) -> None:
        self._store = store
        self._index = index
        self._pack = pack
        self._policy = policy
        self._claimed: set[bytes] = set()
        self._lock = threading.Lock()
        self._slots = threading.Semaphore(IN_FLIGHT_MAX)
        self._pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="chunk")
        self.counts = WriteCounts()

    def put(self, plain: bytes, label: str, predecessor: bytes | None = None) -> Future[bytes]:
        """Store a chunk unless it is there; the future gives its id.

        Args:
            label: the collection, for which the codec policy keeps its measurements.
            predecessor: the chunk of the same place in the tree before, as a candidate base for a delta.
        """
        self._slots.acquire()
        try:
            future = self._pool.submit(self._store_chunk, plain, label, predecessor)
        except BaseException:
            self._slots.release()
            raise
        future.add_done_callback(self._release)
        return future

    def _release(self, _future: Future[bytes]) -> None:
        self._slots.release()

    def _store_chunk(self, plain: bytes, label: str, predecessor: bytes | None) -> bytes:
        name = chunk_id(plain)
        with self._lock:
            if name in self._claimed:
                self.counts.known_chunks += 1
                return name
            known = self._index.has(name)
            if known:
                self.counts.known_chunks += 1
                return name
            self._claimed.add(name)
        delta = None if predecessor is None else self._delta(plain, predecessor)
        if delta is not None and len(delta[0]) <= len(plain) * _DELTA_SHARE_SURE:
            return self._keep(name, Codec.ZSTD_DELTA, plain, *delta)
        codec, level = self._policy.choose(label, len(plain))
        payload = self._policy.compress(label, codec, level, plain)
        if len(payload) >= len(plain):
            codec, payload = Codec.NONE, plain
        if delta is not None and len(delta[0]) <= len(payload) * _DELTA_SHARE_MAX:
            return self._keep(name, Codec.ZSTD_DELTA, plain, *delta)
        return self._keep(name, codec, plain, payload, b"")

    def _delta(self, plain: bytes, predecessor: bytes) -> tuple[bytes, bytes] | None:
        """`plain` against its predecessor, or the predecessor's own base: (payload, id of the base)."""
        found = self._index.find(predecessor)
        if found is not None and found[1].codec == Codec.ZSTD_DELTA:
            # A base is always stored in full, so that no chain grows longer than one step.
            found = self._index.find_base(found[1].base)
        if found is None:
            return None
        try:
            base = self._store.get(found[1].id)
        except IntegrityError:
            # A damaged predecessor must not fail a new save: the chunk is stored in full instead.
            return None
        return compress_delta(plain, base), found[1].id

    def _keep(self, name: bytes, codec: Codec, plain: bytes, payload: bytes, base: bytes) -> bytes:
        """Add a payload to the pack, after it has shown that it gives back what it was made of."""
        raw_base = self._store.get(base) if base else None
        if decompress(codec, payload, len(plain), raw_base) != plain:
            raise IntegrityError("A codec did not give back what it was given; nothing was stored.", codec=codec.name)
        self._pack.add(name, codec, len(plain), payload, base)
        with self._lock:
            if codec is Codec.ZSTD_DELTA:
                self.counts.delta_chunks += 1
            else:
                self.counts.full_chunks += 1
            self.counts.raw_bytes += len(plain)
            self.counts.stored_bytes += len(payload)
        self._pack.sync_portion()
        return name

    def close(self) -> None:
        """Wait for what is under way; afterwards nothing is added to the pack."""
        self._pool.shutdown(wait=True, cancel_futures=True)
