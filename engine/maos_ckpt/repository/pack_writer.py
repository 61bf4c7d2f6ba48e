"""Writing packs: payloads into a temporary file, which becomes a pack when it is sealed."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from pathlib import Path

from maos_ckpt.backends.local import LocalBackend
from maos_ckpt.codec.crypto import Kind, Sealer
from maos_ckpt.errors import IntegrityError
from maos_ckpt.fs import Filesystem, raise_storage_error
from maos_ckpt.repository.packs import BASE_BYTES, SealedPack, Stored, encode_index, pack_header

#: Written bytes are pushed to the disk in portions of this size while the save goes on, so that the last fsync is
#: short.
_SYNC_PORTION_BYTES = 32 << 20


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
        self._write(pack_header(self._sealer))

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

    def seal(self) -> SealedPack:
        """Make the pack durable under its name; an empty one where no chunk was added.

        Raises:
            StorageError: the storage refuses; nothing new has a name.
        """
        if self._path is None:
            return SealedPack()
        self._write(encode_index(self.chunks, self._hash.digest(), self._sealer))
        self._wait_for_sync()
        sealed = SealedPack(self._offset, self._hash.digest())
        try:
            self._fs.sync(self._fd)
            # A descriptor is closed once: its number may be another file's by then.
            fd, self._fd = self._fd, -1
            self._fs.close(fd)
        except OSError as error:
            raise_storage_error(error, self._path)
        new = self._backend.publish(self._path, sealed.name)
        if not new and not self._backend.holds(sealed.name, sealed.digest.hex()):
            # The same payloads give the same pack. Bytes there that are not what the name says are a damaged copy of
            # it, on which nothing may count.
            self._backend.publish(self._path, sealed.name, replace=True)
        self._backend.discard(self._path)
        self._path = None
        return sealed

    def abandon(self) -> None:
        """Drop the unfinished file; safe to call at any time."""
        if self._path is not None:
            if self._syncing is not None:
                self._syncing.join()
            if self._fd >= 0:
                with contextlib.suppress(OSError):
                    # What it could not write is given up in any case.
                    self._fs.close(self._fd)
            self._backend.discard(self._path)
            self._path, self._fd = None, -1
