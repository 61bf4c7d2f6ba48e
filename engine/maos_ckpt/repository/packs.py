"""Packs: one object that carries the chunks a save added (FORMAT.md, "Pack").

``MCKP`` version · payloads · compressed index · trailer. The name is the SHA-256 of the whole object.
"""

from __future__ import annotations

import hashlib
import os
import struct
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import msgspec

from maos_ckpt.backends.local import LocalBackend
from maos_ckpt.codec.compression import CHUNK_BYTES_MAX, Codec, compress, decompress
from maos_ckpt.errors import FormatError, IntegrityError
from maos_ckpt.fs import Filesystem, raise_storage_error
from maos_ckpt.tree.nodes import ID_BYTES

VERSION = 1
_HEADER = b"MCKP" + bytes([VERSION, 0, 0, 0])
_TRAILER = struct.Struct(">4sII32s")
_TRAILER_MAGIC = b"PKIX"
#: A delta names its base by this many first bytes of its id.
BASE_BYTES = 16
#: Index of a pack, before and after compression; a longer claim is refused unread.
_INDEX_BYTES_MAX = 256 << 20
#: Written bytes are pushed to the disk in portions of this size while the save goes on, so that the last fsync is
#: short.
_SYNC_PORTION_BYTES = 32 << 20
_OPEN_PACKS_MAX = 32


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


class PackWriter:
    """Appends payloads to a temporary file and seals it into a pack; used by one thread.

    Nothing exists under a pack's name before `seal` returns. `abandon` (or a crash) leaves a temporary file that the
    next holder of the lease sweeps away.
    """

    def __init__(self, backend: LocalBackend, fs: Filesystem) -> None:
        self._backend = backend
        self._fs = fs
        self._path: Path | None = None
        self._fd = -1
        self._syncing: threading.Thread | None = None
        self._sync_error: OSError | None = None
        self._hash = hashlib.sha256()
        self._offset = 0
        self._synced = 0
        self.chunks: list[Stored] = []

    def add(self, chunk: bytes, codec: int, raw: int, payload: bytes, base: bytes = b"") -> None:
        """Append one payload. Raises `StorageError` where the storage refuses."""
        if self._path is None:
            self._open()
        self.chunks.append(Stored(chunk, codec, raw, len(payload), self._offset, base[:BASE_BYTES]))
        self._write(payload)

    def _open(self) -> None:
        self._path = self._backend.temporary()
        try:
            self._fd = self._fs.create(self._path)
        except OSError as error:
            raise_storage_error(error, self._path)
        self._write(_HEADER)

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

    def seal(self) -> tuple[str, int] | None:
        """Make the pack durable under its name; its name and size in bytes, or None where no chunk was added."""
        if self._path is None:
            return None
        index = _Index(
            b"".join([one.id for one in self.chunks]),
            bytes([one.codec for one in self.chunks]),
            [one.raw for one in self.chunks],
            [one.stored for one in self.chunks],
            b"".join([one.base for one in self.chunks if one.codec == Codec.ZSTD_DELTA]),
        )
        plain = msgspec.msgpack.encode(index)
        packed = compress(Codec.ZSTD, 3, plain)
        self._write(packed)
        self._write(_TRAILER.pack(_TRAILER_MAGIC, len(packed), len(plain), hashlib.sha256(packed).digest()))
        self._wait_for_sync()
        name = pack_name(self._hash.digest())
        try:
            self._fs.sync(self._fd)
            self._fs.close(self._fd)
        except OSError as error:
            raise_storage_error(error, self._path)
        self._backend.publish(self._path, name)
        self._fs.unlink(self._path)
        self._path, self._fd = None, -1
        return name, self._offset

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
    """Reads payloads and indexes out of packs; keeps a bounded number of them open. Thread-safe."""

    def __init__(self, backend: LocalBackend) -> None:
        self._backend = backend
        self._open: OrderedDict[str, int] = OrderedDict()
        self._lock = threading.Lock()

    def payload(self, name: str, offset: int, length: int) -> bytes:
        """`length` bytes at `offset` of a pack.

        Raises:
            IntegrityError: the pack is missing or shorter.
        """
        if not 0 <= length <= CHUNK_BYTES_MAX:
            raise IntegrityError(f"A chunk in {name} claims {length} stored bytes.", object=name)
        # The lock keeps the descriptor from being evicted and closed while it is read from.
        with self._lock:
            fd = self._descriptor(name)
            try:
                data = os.pread(fd, length, offset)
            except OSError as error:
                raise_storage_error(error, self._backend.path(name))
        if len(data) != length:
            raise IntegrityError(f"The pack {name} is shorter than its index says.", object=name)
        return data

    def index(self, name: str) -> list[Stored]:
        """The chunks of a pack, from its own index.

        Raises:
            IntegrityError: the pack is missing or its index damaged.
            FormatError: a newer version wrote it.
        """
        with self._lock:
            fd = self._descriptor(name)
            try:
                size = os.fstat(fd).st_size
                header = os.pread(fd, len(_HEADER), 0)
                tail = os.pread(fd, _TRAILER.size, max(0, size - _TRAILER.size))
            except OSError as error:
                raise_storage_error(error, self._backend.path(name))
        if header[:4] == _HEADER[:4] and header[4:5] not in (b"", bytes([VERSION])):
            raise FormatError(f"The pack {name} is of version {header[4]}, which this program cannot read.")
        if header != _HEADER or len(tail) != _TRAILER.size:
            raise IntegrityError(f"The pack {name} is damaged.", object=name)
        magic, packed_length, plain_length, digest = _TRAILER.unpack(tail)
        start = size - _TRAILER.size - packed_length
        if magic != _TRAILER_MAGIC or max(packed_length, plain_length) > _INDEX_BYTES_MAX or start < len(_HEADER):
            raise IntegrityError(f"The pack {name} has a damaged end.", object=name)
        with self._lock:
            packed = os.pread(self._descriptor(name), packed_length, start)
        if hashlib.sha256(packed).digest() != digest:
            raise IntegrityError(f"The index of the pack {name} is damaged.", object=name)
        return _decode_index(name, packed, plain_length, start)

    def digest(self, name: str) -> tuple[bytes, int]:
        """SHA-256 of a whole pack as it lies on the disk, and its size in bytes."""
        path = self._backend.path(name)
        try:
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").digest(), os.fstat(file.fileno()).st_size
        except FileNotFoundError as error:
            raise IntegrityError(f"The pack {name} is missing.", object=name) from error
        except OSError as error:
            raise_storage_error(error, path)

    def forget(self, name: str) -> None:
        """Close a pack that is about to be deleted."""
        with self._lock:
            fd = self._open.pop(name, None)
            if fd is not None:
                os.close(fd)

    def close(self) -> None:
        """Close all packs."""
        with self._lock:
            while self._open:
                os.close(self._open.popitem()[1])

    def _descriptor(self, name: str) -> int:
        fd = self._open.get(name)
        if fd is not None:
            self._open.move_to_end(name)
            return fd
        path = self._backend.path(name)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError as error:
            raise IntegrityError(
                f"The pack {name} is missing.", hint="Run `maos-ckpt verify --all` to see what it held.", object=name
            ) from error
        except OSError as error:
            raise_storage_error(error, path)
        self._open[name] = fd
        if len(self._open) > _OPEN_PACKS_MAX:
            os.close(self._open.popitem(last=False)[1])
        return fd


def _decode_index(name: str, packed: bytes, plain_length: int, payload_end: int) -> list[Stored]:
    damaged = IntegrityError(f"The index of the pack {name} is damaged.", object=name)
    plain = decompress(Codec.ZSTD, packed, plain_length, raw_length_max=_INDEX_BYTES_MAX)
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
    offset, delta = len(_HEADER), 0
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
