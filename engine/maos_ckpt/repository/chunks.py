"""Chunks by name: reading them back verified."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator

from maos_ckpt.codec.compression import Codec, decompress
from maos_ckpt.codec.crypto import Sealer
from maos_ckpt.errors import IntegrityError, PermissionRefusedError, UnavailableError
from maos_ckpt.repository.ahead import ReadAhead
from maos_ckpt.repository.index import ChunkIndex
from maos_ckpt.repository.pack_reader import PackReader
from maos_ckpt.repository.packs import Stored

_LOG = logging.getLogger(__name__)
_MEND = "`maos-ckpt verify --all --repair` mends what another tier holds, and names what is lost."
#: Decoded chunks kept in memory for reading, in bytes.
CACHE_BYTES_MAX = 24 << 20


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
