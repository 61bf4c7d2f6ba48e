"""Packs: one object that carries the chunks a save added (FORMAT.md, "Pack").

``MCKP`` version · payloads · compressed index · trailer. The name is the SHA-256 of the whole object.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import struct
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from maos_ckpt.backends.base import Backend
from maos_ckpt.backends.local import LocalBackend
from maos_ckpt.codec.compression import CHUNK_BYTES_MAX, Codec, compress, decompress
from maos_ckpt.codec.crypto import Kind, Sealer
from maos_ckpt.errors import FormatError, IntegrityError, MissingObjectError
from maos_ckpt.fs import Filesystem, raise_storage_error
from maos_ckpt.repository.remote import RemoteCopy
from maos_ckpt.repository.spans import Range, Span, SpanReader
from maos_ckpt.tree.nodes import ID_BYTES

VERSION = 1
_MAGIC = b"MCKP" + bytes([VERSION])
_HEADER_BYTES = 8
_TRAILER = struct.Struct(">4sII32s")
_TRAILER_MAGIC = b"PKIX"
#: A delta names its base by this many first bytes of its id.
BASE_BYTES = 16
#: Index of a pack, before and after compression; a longer claim is refused unread.
INDEX_BYTES_MAX = 256 << 20
#: Written bytes are pushed to the disk in portions of this size while the save goes on, so that the last fsync is
#: short.
_SYNC_PORTION_BYTES = 32 << 20
_OPEN_PACKS_MAX = 32
#: What is read of a pack's end at first; the index of a usual save fits.
_TAIL_BYTES = 32 << 10
#: A verification reads remote packs in blocks of this size, and keeps so many of them.
_BLOCK_BYTES = 4 << 20
_BLOCKS_MAX = 4


@dataclass(frozen=True, slots=True)
class Stored:
    """Where and how one chunk is stored: `offset` and `stored` locate its payload in its pack."""

    id: bytes
    codec: int
    raw: int
    stored: int
    offset: int
    base: bytes = b""


class _Index(msgspec.Struct, array_like=True, frozen=True):
    """A pack's index by columns; `bases` holds `BASE_BYTES` for every delta, in order."""

    ids: bytes
    codecs: bytes
    raws: list[int]
    sizes: list[int]
    bases: bytes


_decoder = msgspec.msgpack.Decoder(_Index)


def pack_name(digest: bytes) -> str:
    """The object name of a pack."""
    text = digest.hex()
    return f"packs/{text[:2]}/{text}"


def pack_digest(name: str) -> bytes:
    """The SHA-256 that a pack's name states."""
    try:
        digest = bytes.fromhex(name.rpartition("/")[2])
    except ValueError:
        digest = b""
    if len(digest) != ID_BYTES:
        raise IntegrityError(f"{name} is not the name of a pack.", object=name)
    return digest


@dataclass(frozen=True, slots=True)
class SealedPack:
    """A pack that is durable: its size in bytes and its SHA-256; both are empty where there was nothing to store."""

    size: int = 0
    digest: bytes = b""

    @property
    def name(self) -> str:
        """Its object name."""
        return pack_name(self.digest)


class PackWriter:
    """Appends payloads to a temporary file and seals it into a pack; used by one thread.

    Nothing exists under a pack's name before `seal` returns. `abandon` (or a crash) leaves a temporary file that the
    next holder of the lease sweeps away.
    """

    def __init__(self, backend: LocalBackend, fs: Filesystem, sealer: Sealer) -> None:
        self._backend = backend
        self._fs = fs
        self._sealer = sealer
        self._path: Path | None = None
        self._fd = -1
        self._syncing: threading.Thread | None = None
        self._sync_error: OSError | None = None
        self._hash = hashlib.sha256()
        self._offset = 0
        self._synced = 0
        self.chunks: list[Stored] = []

    def add(self, chunk: bytes, codec: int, raw: int, payload: bytes, base: bytes = b"") -> None:
        """Append one payload of its codec, sealed where the repository is encrypted.

        Raises:
            StorageError: the storage refuses.
            IntegrityError: sealing did not give back what it was given.
        """
        sealed = self._sealer.seal(Kind.CHUNK, chunk, payload)
        if self._sealer.open(Kind.CHUNK, chunk, sealed) != payload:
            raise IntegrityError("The encryption did not give back what it was given; nothing was stored.")
        if self._path is None:
            self._open()
        self.chunks.append(Stored(chunk, codec, raw, len(sealed), self._offset, base[:BASE_BYTES]))
        self._write(sealed)

    def _open(self) -> None:
        self._path = self._backend.temporary()
        try:
            self._fd = self._fs.create(self._path)
        except OSError as error:
            raise_storage_error(error, self._path)
        self._write(_header(self._sealer))

    def _write(self, data: bytes) -> None:
        assert self._path is not None
        try:
            self._fs.write(self._fd, data)
        except OSError as error:
            raise_storage_error(error, self._path)
        self._hash.update(data)
        self._offset += len(data)

    def sync_portion(self) -> None:
        """Push what was written so far to the disk, if it is enough to be worth it, while the caller goes on.

        Raises:
            StorageError: an earlier portion could not be made durable.
        """
        if self._offset - self._synced < _SYNC_PORTION_BYTES or self._path is None:
            return
        self._wait_for_sync()
        self._synced = self._offset
        self._syncing = threading.Thread(target=self._sync, args=(self._fd,), name="pack-sync", daemon=True)
        self._syncing.start()

    def _sync(self, fd: int) -> None:
        try:
            self._fs.sync(fd)
        except OSError as error:
            self._sync_error = error

    def _wait_for_sync(self) -> None:
        if self._syncing is not None:
            self._syncing.join()
            self._syncing = None
        if self._sync_error is not None:
            # The file is given up: after a failed fsync a second one may succeed although bytes are lost.
            raise_storage_error(self._sync_error, self._path or "")

    def seal(self, *, replace: bool = False) -> SealedPack:
        """Make the pack durable under its name, with `replace` also over other bytes; an empty one where no chunk was
        added."""
        if self._path is None:
            return SealedPack()
        index = _Index(
            b"".join([one.id for one in self.chunks]),
            bytes([one.codec for one in self.chunks]),
            [one.raw for one in self.chunks],
            [one.stored for one in self.chunks],
            b"".join([one.base for one in self.chunks if one.codec == Codec.ZSTD_DELTA]),
        )
        plain = msgspec.msgpack.encode(index)
        packed = _seal_index(self._sealer, self._hash.digest(), compress(Codec.ZSTD, 3, plain))
        self._write(packed)
        self._write(_TRAILER.pack(_TRAILER_MAGIC, len(packed), len(plain), hashlib.sha256(packed).digest()))
        self._wait_for_sync()
        sealed = SealedPack(self._offset, self._hash.digest())
        try:
            self._fs.sync(self._fd)
            # A descriptor is closed once: its number may be another file's by then.
            fd, self._fd = self._fd, -1
            self._fs.close(fd)
        except OSError as error:
            raise_storage_error(error, self._path)
        self._backend.publish(self._path, sealed.name, replace=replace)
        self._fs.unlink(self._path)
        self._path = None
        return sealed

    def abandon(self) -> None:
        """Drop the unfinished file; safe to call at any time."""
        if self._path is not None:
            if self._syncing is not None:
                self._syncing.join()
            if self._fd >= 0:
                self._fs.close(self._fd)
            self._fs.unlink(self._path)
            self._path, self._fd = None, -1


class PackReader:
    """Reads payloads and indexes out of packs: of local files, a bounded number of which is kept open, and else of the
    remote copy. Thread-safe."""

    def __init__(self, backend: LocalBackend, sealer: Sealer, remote: RemoteCopy | None = None) -> None:
        self._backend = backend
        self._sealer = sealer
        self._remote = remote
        self._open: OrderedDict[str, int] = OrderedDict()
        self._lock = threading.Lock()
        self._remote_first = False
        self._past_cache = False
        self._local_only = False
        self._blocks: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        #: Stored bytes read so far, by tier.
        self.bytes_read = {"local": 0, "s3": 0}
        self._spans = None if remote is None else SpanReader(self._read_span)

    @contextlib.contextmanager
    def verifying(self, *, remote_first: bool = False, local_only: bool = False) -> Iterator[None]:
        """Read past the cache for the length of the block.

        Args:
            remote_first: what the remote copy holds, or should hold, is read there.
            local_only: what only the remote copy holds is not read: `IntegrityError` with `data["far"]`.
        """
        self._remote_first, self._past_cache, self._local_only = remote_first, True, local_only
        try:
            yield
        finally:
            self._remote_first = self._past_cache = self._local_only = False
            self._blocks.clear()

    def is_far(self, name: str) -> bool:
        """Whether a pack lies in the remote copy alone."""
        if self._remote is None:
            return False
        with self._lock:
            try:
                return self._descriptor(name) is None
            except IntegrityError:
                return False

    def ahead(self, ranges: Iterable[Range]) -> None:
        """These (pack, offset, length) will be asked for as payloads soon; begins to read those that are far."""
        assert self._spans is not None
        assert self._remote is not None
        if self._past_cache:
            return
        wanted = list(ranges)
        far = {name for name in {one[0] for one in wanted} if self.is_far(name)}
        holds = self._remote.holds_range
        self._spans.ahead(one for one in wanted if one[0] in far and not holds(*one))

    def _read_span(self, span: Span) -> bytes:
        assert self._remote is not None
        data = self._remote.uncached.read_range(span.name, span.offset, span.length)
        for name, offset, length in span.ranges:
            self._remote.keep_range(name, offset, data[offset - span.offset : offset - span.offset + length])
        return data

    def payload(self, name: str, stored: Stored) -> bytes:
        """A chunk's payload of its codec, as it was given to `PackWriter.add`.

        Raises:
            IntegrityError: the pack is missing or shorter, or the payload does not open with this repository's key.
        """
        if not 0 <= stored.stored <= CHUNK_BYTES_MAX + self._sealer.payload_bytes:
            raise IntegrityError(f"A chunk in {name} claims {stored.stored} stored bytes.", object=name)
        return self._sealer.open(Kind.CHUNK, stored.id, self._read(name, stored.offset, stored.stored))

    def _read(self, name: str, offset: int, length: int) -> bytes:
        # The lock keeps the descriptor from being evicted and closed while it is read from.
        with self._lock:
            fd = None if self._is_read_remotely(name) else self._descriptor(name)
            if fd is not None:
                self.bytes_read["local"] += length
                try:
                    data = os.pread(fd, length, offset)
                except OSError as error:
                    raise_storage_error(error, self._backend.path(name))
        if fd is None:
            assert self._spans is not None
            assert self._remote is not None
            if self._local_only:
                raise IntegrityError(f"The pack {name} lies in the remote copy alone.", object=name, far=name)
            # A verification reads what lies there now, nothing that was read before.
            found = None if self._past_cache else self._spans.take(name, offset, length)
            data = self._remote_range(self._remote, name, offset, length) if found is None else found
        if len(data) != length:
            raise IntegrityError(f"The pack {name} is shorter than its index says.", object=name)
        return data

    def _is_read_remotely(self, name: str) -> bool:
        """Whether a pack is to be read in the remote copy, wherever else it lies; what waits to be sent is not."""
        if not self._remote_first or self._remote is None:
            return False
        return self._remote.memory.holds(name) or name in self._remote.memory.lost()

    def _remote_range(self, remote: RemoteCopy, name: str, offset: int, length: int) -> bytes:
        if not self._past_cache:
            self.bytes_read["s3"] += length
            return remote.backend.read_range(name, offset, length)
        # Chunk by chunk is how a verification reads, and a request for each would be most of its time.
        first, after = offset // _BLOCK_BYTES, -(-(offset + length) // _BLOCK_BYTES)
        data = b"".join([self._block(remote.uncached, name, number) for number in range(first, after)])
        return data[offset - first * _BLOCK_BYTES :][:length]

    def _block(self, source: Backend, name: str, number: int) -> bytes:
        """One block of a remote pack, of which the last few are kept; the last block of a pack is shorter."""
        with self._lock:
            block = self._blocks.get((name, number))
            if block is not None:
                self._blocks.move_to_end((name, number))
                return block
        size = source.size(name)
        if size is None:
            raise MissingObjectError(f"The pack {name} is missing from the remote copy.", object=name)
        start = number * _BLOCK_BYTES
        block = source.read_range(name, start, min(_BLOCK_BYTES, size - start)) if start < size else b""
        with self._lock:
            self.bytes_read["s3"] += len(block)
            self._blocks[name, number] = block
            while len(self._blocks) > _BLOCKS_MAX:
                self._blocks.popitem(last=False)
        return block

    def index(self, name: str, size: int) -> list[Stored]:
        """The chunks of a pack of `size` bytes, from its own index.

        Raises:
            IntegrityError: the pack is missing or its index damaged.
            FormatError: a newer version wrote it.
        """
        if size < _HEADER_BYTES + _TRAILER.size:
            raise IntegrityError(f"The pack {name} is damaged.", object=name)
        header = self._read(name, 0, _HEADER_BYTES)
        if header[:4] == _MAGIC[:4] and header[4:5] != bytes([VERSION]):
            raise FormatError(f"The pack {name} is of version {header[4]}, which this program cannot read.")
        if header != _header(self._sealer):
            if header in (_MAGIC + b"\0\0\0", _MAGIC + b"\1\0\0"):
                here, there = ("is not", "is") if self._sealer.pack_flags else ("is", "is not")
                raise IntegrityError(f"The pack {name} {here} encrypted, but this repository {there}.", object=name)
            raise IntegrityError(f"The pack {name} is damaged.", object=name)
        return parse_index(name, size, self.tail(name, size), self._sealer)

    def tail(self, name: str, size: int) -> bytes:
        """Index and trailer, as they end a pack of `size` bytes; the trailer's claims are checked, not the index."""
        length = min(size, _TAIL_BYTES)
        data = self._read(name, size - length, length)
        wanted = _tail_bytes(name, size, data)
        if wanted > length:
            data = self._read(name, size - wanted, wanted - length) + data
        return data[-wanted:]

    def forget(self, name: str) -> None:
        """Close a pack that is about to be deleted."""
        with self._lock:
            fd = self._open.pop(name, None)
            if fd is not None:
                os.close(fd)

    def close(self) -> None:
        """Close all packs."""
        if self._spans is not None:
            self._spans.close()
        with self._lock:
            while self._open:
                os.close(self._open.popitem()[1])

    def _descriptor(self, name: str) -> int | None:
        """An open local pack; None where only the remote copy has it."""
        fd = self._open.get(name)
        if fd is not None:
            self._open.move_to_end(name)
            return fd
        path = self._backend.path(name)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError as error:
            if self._remote is not None and self._remote.memory.holds(name):
                return None
            raise MissingObjectError(
                f"The pack {name} is missing.", hint="Run `maos-ckpt verify --all` to see what it held.", object=name
            ) from error
        except OSError as error:
            raise_storage_error(error, path)
        self._open[name] = fd
        if len(self._open) > _OPEN_PACKS_MAX:
            os.close(self._open.popitem(last=False)[1])
        return fd


def _tail_bytes(name: str, size: int, tail: bytes) -> int:
    """Length of index and trailer together, by what the trailer says."""
    if len(tail) < _TRAILER.size:
        raise IntegrityError(f"The pack {name} is damaged.", object=name)
    magic, packed_length, plain_length, _ = _TRAILER.unpack(tail[-_TRAILER.size :])
    start = size - _TRAILER.size - packed_length
    if magic != _TRAILER_MAGIC or max(packed_length, plain_length) > INDEX_BYTES_MAX or start < _HEADER_BYTES:
        raise IntegrityError(f"The pack {name} has a damaged end.", object=name)
    return int(packed_length) + _TRAILER.size


def parse_index(name: str, size: int, tail: bytes, sealer: Sealer) -> list[Stored]:
    """The chunks of a pack of `size` bytes from its index and trailer.

    Raises:
        IntegrityError: they are damaged, or do not open with this repository's key.
    """
    wanted = _tail_bytes(name, size, tail)
    if wanted != len(tail):
        raise IntegrityError(f"The pack {name} has a damaged end.", object=name)
    _, packed_length, plain_length, digest = _TRAILER.unpack(tail[-_TRAILER.size :])
    packed = tail[:packed_length]
    if hashlib.sha256(packed).digest() != digest:
        raise IntegrityError(f"The index of the pack {name} is damaged.", object=name)
    return _decode_index(name, _open_index(sealer, packed), plain_length, size - wanted)


def _header(sealer: Sealer) -> bytes:
    return _MAGIC + bytes([sealer.pack_flags, 0, 0])


def _seal_index(sealer: Sealer, before: bytes, packed: bytes) -> bytes:
    """The index's stored form; sealed, it belongs to the bytes before it, whose SHA-256 stands in front."""
    sealed = sealer.seal(Kind.PACK_INDEX, before, packed)
    return before + sealed if sealer.pack_flags else sealed


def _open_index(sealer: Sealer, stored: bytes) -> bytes:
    if not sealer.pack_flags:
        return stored
    return sealer.open(Kind.PACK_INDEX, stored[:ID_BYTES], stored[ID_BYTES:])


def _decode_index(name: str, packed: bytes, plain_length: int, payload_end: int) -> list[Stored]:
    damaged = IntegrityError(f"The index of the pack {name} is damaged.", object=name)
    plain = decompress(Codec.ZSTD, packed, plain_length, raw_length_max=INDEX_BYTES_MAX)
    try:
        index = _decoder.decode(plain)
    except msgspec.DecodeError as error:
        raise damaged from error
    number = len(index.codecs)
    deltas = index.codecs.count(Codec.ZSTD_DELTA)
    if len(index.ids) != number * ID_BYTES or {len(index.raws), len(index.sizes)} != {number}:
        raise damaged
    if len(index.bases) != deltas * BASE_BYTES or min(index.sizes, default=0) < 0:
        raise damaged
    chunks = []
    offset, delta = _HEADER_BYTES, 0
    for i in range(number):
        base = b""
        if index.codecs[i] == Codec.ZSTD_DELTA:
            base = index.bases[delta : delta + BASE_BYTES]
            delta += BASE_BYTES
        identifier = index.ids[i * ID_BYTES : (i + 1) * ID_BYTES]
        chunks.append(Stored(identifier, index.codecs[i], index.raws[i], index.sizes[i], offset, base))
        offset += index.sizes[i]
    if offset != payload_end:
        raise damaged
    return chunks
