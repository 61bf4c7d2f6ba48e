"""Chunks by name: reading them back verified, and storing new ones in a save.

`ChunkStore` reads; a `ChunkWriter` is one save's session, in this process or in one beside it.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Protocol

from maos_ckpt.codec.compression import Codec, compress_delta, decompress
from maos_ckpt.codec.copying import copy_delta
from maos_ckpt.codec.crypto import Sealer
from maos_ckpt.codec.policy import CodecPolicy, Measures
from maos_ckpt.errors import UNREADABLE, IntegrityError, PermissionRefusedError, UnavailableError
from maos_ckpt.repository.ahead import ReadAhead
from maos_ckpt.repository.index import ChunkIndex
from maos_ckpt.repository.pack_reader import PackReader
from maos_ckpt.repository.pack_writer import PackWriter
from maos_ckpt.repository.packs import SealedPack, Stored
from maos_ckpt.tree.sink import ChunkSink, Done, Pending

_LOG = logging.getLogger(__name__)
_MEND = "`maos-ckpt verify --all --repair` mends what another tier holds, and names what is lost."
#: Decoded chunks kept in memory for reading, in bytes.
CACHE_BYTES_MAX = 24 << 20
#: A delta below this share of the raw size is kept without a look at the alternative.
_DELTA_SHARE_SURE = 1 / 8
#: Smaller deltas are not looked at for whether their base has worn out.
_WORN_BYTES_MIN = 1024
#: A larger one is kept below this share of the full form's size; beyond it a full chunk makes a better base.
_DELTA_SHARE_MAX = 0.7


class ChunkStore:
    """Verified reads: what comes back hashes to the name it was asked by. Thread-safe."""

    def __init__(self, index: ChunkIndex, reader: PackReader, refresh: Callable[[], None], sealer: Sealer) -> None:
        """`refresh` brings the index up to date with the packs that are there now."""
        self._index = index
        self._reader = reader
        self._refresh = refresh
        self.sealer = sealer
        self._cache: OrderedDict[bytes, bytes] = OrderedDict()
        self._cache_bytes = 0
        self._lock = threading.Lock()
        self._told: set[str] = set()
        self._ahead = ReadAhead(self._want)

    def name(self, plain: bytes) -> bytes:
        """A chunk's name, as this repository gives names."""
        return self.sealer.name(plain)

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
            self._refresh()
            found = self._index.find(chunk)
        if found is None:
            raise IntegrityError(
                f"The chunk {chunk.hex()[:16]} is missing from the repository.",
                kept="Checkpoints that do not need it are untouched.",
                hint="Run `maos-ckpt verify --all --level full` to see which checkpoints it damages.",
                chunk=chunk.hex(),
            )
        try:
            plain = self.decode(*found)
        except IntegrityError as error:
            # A prune beside this read may have carried the chunk over into another pack.
            self._refresh()
            moved = self._index.find(chunk)
            if moved is None or moved == found:
                if not self._reader.has_another(found[0]):
                    error.hint = error.hint or _MEND
                    raise
                return self._read_elsewhere(chunk, *found)
            found, plain = moved, self.decode(*moved)
        if self.name(plain) != chunk:
            return self._read_elsewhere(chunk, *found)
        if self._reader.is_far(found[0]):
            self._ahead.was_read(chunk, plain)
        return plain

    def _read_elsewhere(self, chunk: bytes, pack: str, stored: Stored) -> bytes:
        """A chunk that is damaged where it was read, from the remote copy if that holds its pack."""
        if self._reader.has_another(pack):
            with contextlib.suppress(IntegrityError, UnavailableError, PermissionRefusedError):
                plain = self.decode(pack, stored, remotely=True)
                if self.name(plain) == chunk:
                    if pack not in self._told:
                        self._told.add(pack)
                        _LOG.warning(
                            "%s is damaged here; what is needed of it is read in the remote copy. %s", pack, _MEND
                        )
                    return plain
        raise IntegrityError(
            f"The chunk {chunk.hex()[:16]} in {pack} is not what its name says.",
            kept="Checkpoints that do not need it are untouched.",
            hint=_MEND,
            chunk=chunk.hex(),
            object=pack,
        )

    @contextlib.contextmanager
    def scattered(self) -> Iterator[None]:
        """For the length of the block nothing is read ahead but what `expect` is told: its reads are here and there."""
        self._ahead.off += 1
        try:
            yield
        finally:
            self._ahead.off -= 1

    def expect(self, chunks: list[bytes]) -> None:
        """These will be asked for soon; begins to read those that are far."""
        if self._reader.reads_ahead:
            self._want(chunks)

    def _want(self, chunks: list[bytes]) -> None:
        """Begin to read chunks that will be asked for soon, with the bases of deltas among them."""
        with self._lock:
            places = [found for one in chunks if one not in self._cache and (found := self._index.find(one))]
            bases = {found[1].base for found in places if found[1].codec == Codec.ZSTD_DELTA}
            full = [found for one in bases if (found := self._index.find_base(one))]
            places += [found for found in full if found[1].id not in self._cache]
        self._reader.ahead((pack, stored.offset, stored.stored) for pack, stored in places)

    def decode(self, pack: str, stored: Stored, *, remotely: bool = False) -> bytes:
        """The plain bytes of a stored chunk, not yet checked against its name; see `PackReader.payload`."""
        base = None
        if stored.codec == Codec.ZSTD_DELTA:
            base = self.base(stored.base)
        try:
            payload = self._reader.payload(pack, stored, remotely=remotely)
            return decompress(stored.codec, payload, stored.raw, base)
        except IntegrityError as error:
            error.data.setdefault("chunk", stored.id.hex())
            error.data.setdefault("object", pack)
            raise

    def fault(self, pack: str, stored: Stored) -> IntegrityError | None:
        """What is wrong with a stored chunk, read past the cache; None where nothing is."""
        try:
            if self.name(self.decode(pack, stored)) != stored.id:
                raise IntegrityError("A chunk is not what its name says.", chunk=stored.id.hex(), object=pack)
        except IntegrityError as error:
            return error
        return None

    def open_anew(self, pack: str) -> None:
        """Read a pack from the file that has its name now."""
        self._reader.forget(pack)

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

    Every payload is decompressed and compared before it is kept. Several threads may put: deltas are made side by side,
    everything else in turn.
    """

    def __init__(self, store: ChunkStore, index: ChunkIndex, pack: PackWriter, policy: CodecPolicy) -> None:
        self._store = store
        self._index = index
        self._pack = pack
        self._policy = policy
        self._new: set[bytes] = set()
        self._lock = threading.Lock()

    def put(self, plain: bytes, label: str, predecessor: bytes | None = None) -> Pending:
        """See `ChunkSink.put`."""
        name = self._store.name(plain)
        if name not in self._new and not self._index.has(name):
            delta = None if predecessor is None else self._delta(plain, predecessor)
            with self._lock:
                if name not in self._new:
                    self._add(name, plain, label, delta)
                    self._new.add(name)
        return Done(name)

    def _add(self, name: bytes, plain: bytes, label: str, delta: tuple[bytes, bytes] | None) -> None:
        if delta is not None and len(delta[0]) <= len(plain) * _DELTA_SHARE_SURE:
            self._keep(name, Codec.ZSTD_DELTA, plain, *delta)
            return
        codec, level = self._policy.choose(label, len(plain))
        payload = self._policy.compress(label, codec, level, plain)
        if len(payload) >= len(plain):
            codec, payload = Codec.NONE, plain
        if delta is not None and len(delta[0]) <= len(payload) * _DELTA_SHARE_MAX:
            self._keep(name, Codec.ZSTD_DELTA, plain, *delta)
        else:
            _require_back(codec, payload, plain)
            self._keep(name, codec, plain, payload, b"")

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

    def _keep(self, name: bytes, codec: Codec, plain: bytes, payload: bytes, base: bytes) -> None:
        """Add a payload, which has shown that it gives back what it was made of, to the pack."""
        self._pack.add(name, codec, len(plain), payload, base)
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


def _gives_back(codec: Codec, payload: bytes, plain: bytes, base: bytes | None = None) -> bool:
    try:
        return decompress(codec, payload, len(plain), base) == plain
    except IntegrityError:
        return False


def _require_back(codec: Codec, payload: bytes, plain: bytes, base: bytes | None = None) -> None:
    if not _gives_back(codec, payload, plain, base):
        raise IntegrityError("A codec did not give back what it was given; nothing was stored.", codec=codec.name)
