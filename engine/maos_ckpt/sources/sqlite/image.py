"""A consistent private copy of a live SQLite database, taken so that its owner does not feel it.

Rollback-journal mode: a read transaction holds the SHARED lock, which keeps every writer from touching the file. The
raw file is copied in the kernel before it, and only put right under it (`ahead`); nothing is parsed. WAL mode: a read
transaction pins the snapshot without hindering writers, and SQLite's backup copies it page by page. `backup` is cut
into steps *inside* that transaction: outside of one it starts over at every foreign commit and may never end.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn
from urllib.parse import quote

from maos_ckpt.errors import SourceError
from maos_ckpt.fs import raise_storage_error
from maos_ckpt.seams import Seams
from maos_ckpt.sources.base import LOCK_STOP_S, LOCK_WAIT_S
from maos_ckpt.sources.memo import ImageMark
from maos_ckpt.sources.sqlite import cold, faults, kept_image, probe
from maos_ckpt.sources.sqlite.ahead import CopyAhead
from maos_ckpt.sources.sqlite.copying import PIECE_BYTES
from maos_ckpt.sources.sqlite.pages import PageFile

#: A read transaction in WAL mode stops nobody, but the log cannot be reset behind it: it ends after this long.
WAL_READ_STOP_S: Final = 30.0
#: Pauses between attempts at a lock: short at first, because writers hold it for milliseconds.
_PAUSES_S: Final = (0.002, 0.005, 0.01, 0.02, 0.05)
#: How often the journal mode may change, or the file be replaced, during one capture.
_RESTARTS_MAX: Final = 3
_HOT = (sqlite3.SQLITE_READONLY_ROLLBACK, sqlite3.SQLITE_READONLY_RECOVERY)
#: What a WAL database answers that cannot get its `-shm`.
_NO_INDEX = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY_CANTINIT, sqlite3.SQLITE_READONLY_DIRECTORY)


#: The kernel does not say which of two files a copy failed at; only the target can be full.
_TARGET_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


class _Moved(Exception):
    """The file or its journal mode changed between the look and the lock: look again."""


class _NeedsCopy(Exception):
    """The live file can only be opened by writing to it."""


@dataclass(frozen=True, slots=True)
class Image:
    """A private copy, for immutable reading.

    `fingerprint` is that of the copied state (b"" where it is not known),
    `frozen_s` the monotonic time at which the view began. `lock_s`: how long writers could be kept waiting; 0 in WAL
    mode, where a reader stops nobody.
    """

    path: Path
    journal_mode: str
    fingerprint: bytes
    frozen_s: float
    lock_s: float
    notes: tuple[str, ...]

    def open(self) -> sqlite3.Connection:
        """A new connection on the copy, for reading only."""
        return open_image(self.path)

    def pages(self) -> PageFile:
        """The copy by its pages; OSError or UnusualPagesError as `PageFile`."""
        return PageFile(self.path)

    def keep_in(self, directory: Path, seams: Seams) -> ImageMark | None:
        """Keep the copy, see `kept_image.take_over`; the last call but `close`."""
        return kept_image.take_over(self.path, directory, seams)

    def close(self) -> None:
        """Remove the copy; safe to call twice."""
        cold.discard(self.path)


def open_image(path: Path, factory: type[sqlite3.Connection] = sqlite3.Connection) -> sqlite3.Connection:
    """A connection that reads a file which nobody writes to."""
    connection = sqlite3.connect(
        _uri(path, "mode=ro&immutable=1"), uri=True, isolation_level=None, check_same_thread=False, factory=factory
    )
    # The schema is hostile: no function or virtual table may run because a view or an index mentions it.
    connection.execute("PRAGMA trusted_schema=OFF")
    connection.execute("PRAGMA cell_size_check=ON")
    # Pages read through a mapping would count as this process's memory, up to the whole file.
    connection.execute("PRAGMA mmap_size=0")
    return connection


def capture_image(path: Path, directory: Path, seams: Seams, while_frozen: Callable[[], None]) -> Image:
    """Copy the database at `path` to a private file in `directory`, and call `while_frozen` during the frozen moment.

    `while_frozen` must be quick, and may be called again where an attempt had to be given up.

    Raises:
        SourceError: missing, locked beyond `LOCK_WAIT_S`, not copied within `LOCK_STOP_S`, damaged, not a database.
        PermissionRefusedError: not readable.
        StorageError: no space for the copy.
    """
    target = directory / f"image-{seams.random.token(8).hex()}.db"
    capture = _Capture(path, target, seams, while_frozen)
    try:
        return capture.run()
    except BaseException:
        cold.discard(target)
        raise


def connect_live(path: Path) -> sqlite3.Connection:
    """A connection that only reads the live file and never waits; not the last one to close a WAL, because it cannot
    write.

    Raises:
        sqlite3.Error: it cannot be opened.
    """
    uri = _uri(path, "mode=ro")
    return sqlite3.connect(uri, uri=True, timeout=0, isolation_level=None, check_same_thread=False)


def _uri(path: Path, parameters: str) -> str:
    return f"file:{quote(os.fsencode(path))}?{parameters}"


class _Capture:
    def __init__(self, path: Path, target: Path, seams: Seams, while_frozen: Callable[[], None]) -> None:
        self._path = path
        self._target = target
        self._seams = seams
        self._clock = seams.clock
        self._while_frozen = while_frozen
        self._began_s = seams.clock.monotonic_s()
        self._frozen_s = self._began_s

    def run(self) -> Image:
        for _ in range(_RESTARTS_MAX):
            header = probe.read_header(self._path)
            try:
                if header.wal and not self._has_index():
                    return self._cold(wal=True)
                return self._wal() if header.wal else self._rollback()
            except _Moved:
                cold.discard(self._target)
            except _NeedsCopy:
                cold.discard(self._target)
                return self._cold(wal=header.wal)
            except sqlite3.Error as error:
                if faults.is_corrupt(error):
                    self._check_length(header, self._path.stat().st_size)
                raise faults.source_fault(error, self._path) from error
            except OSError as error:
                self._raise_os_error(error)
        raise faults.moved(self._path)

    def _has_index(self) -> bool:
        # Whoever has a WAL database open keeps a `-shm` beside it. Without one, our look would create it (and an empty
        # log) and leave them there, so a closed database is copied as it lies.
        return probe.identity(probe.sidecar(self._path, "-shm")) is not None

    def _rollback(self) -> Image:
        identity = _inode(self._path)
        ahead = CopyAhead(self._path, self._target, self._seams)
        ahead.begin()
        connection = connect_live(self._path)
        try:
            self._begin(connection)
            self._while_frozen()
            header = probe.read_header(self._path)
            if header.wal or _inode(self._path) != identity:
                raise _Moved
            fd = probe.live_descriptor(self._path)
            length = os.fstat(fd).st_size
            self._check_length(header, length)
            fingerprint = probe.fingerprint(self._path, frozen=True)
            ahead.finish(fd, length, fingerprint, self._check_clock)
            if _inode(self._path) != identity:
                raise _Moved
            connection.execute("COMMIT")
        finally:
            # Also ends the transaction where something failed; no raw descriptor is closed before this.
            connection.close()
        return self._image("delete", fingerprint, self._clock.monotonic_s() - self._frozen_s)

    def _wal(self) -> Image:
        identity = _inode(self._path)
        # Before the snapshot: a commit in between makes the fingerprint too old, which only costs a needless reading.
        fingerprint = probe.fingerprint(self._path)
        connection = connect_live(self._path)
        try:
            self._begin(connection)
            self._while_frozen()
            if not probe.read_header(self._path).wal or _inode(self._path) != identity:
                raise _Moved
            self._backup(connection)
            connection.execute("COMMIT")
        finally:
            connection.close()
        return self._image("wal", fingerprint, 0.0)

    def _cold(self, *, wal: bool) -> Image:
        fingerprint = probe.fingerprint(self._path)
        self._frozen_s = self._clock.monotonic_s()
        try:
            note = cold.copy_cold(self._path, self._target, self._seams, self._while_frozen)
        except OSError as error:
            self._raise_os_error(error)
        return self._image("wal" if wal else "delete", fingerprint, 0.0, (note,) if note else ())

    def _begin(self, connection: sqlite3.Connection) -> None:
        """Open the read transaction, waiting for other people's locks up to `LOCK_WAIT_S`."""
        attempt = 0
        hot = False
        while True:
            self._frozen_s = self._clock.monotonic_s()
            try:
                connection.execute("BEGIN")
                # Takes the lock without loading the schema: nothing is parsed while it is held.
                connection.execute("PRAGMA schema_version").fetchone()
                return
            except sqlite3.OperationalError as error:
                code = faults.code_of(error)
                if code in _NO_INDEX:
                    raise self._without_holders(error) from error
                hot = code in _HOT
                if hot and not self._seams.processes.holders(self._path, writing=True):
                    raise _NeedsCopy from error
                if not hot and not faults.is_busy(error):
                    raise
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            waited_s = self._clock.monotonic_s() - self._began_s
            if waited_s >= LOCK_WAIT_S:
                raise faults.locked(self._path, waited_s, self._seams.processes, interrupted=hot)
            self._clock.sleep(_PAUSES_S[min(attempt, len(_PAUSES_S) - 1)])
            attempt += 1

    def _without_holders(self, error: sqlite3.Error) -> Exception:
        # Without holders nobody can be writing, and the copy is checked to have stood still.
        return error if self._seams.processes.holders(self._path, writing=True) else _NeedsCopy()

    def _check_length(self, header: probe.Header, length: int) -> None:
        if header.pages and length < header.pages * header.page_bytes:
            raise faults.truncated(self._path, header.pages * header.page_bytes, length)
        # Behind its last page SQLite tolerates anything.
        if not header.pages and length % header.page_bytes:
            raise faults.damaged(self._path, " at its end: the last page is not whole")

    def _backup(self, connection: sqlite3.Connection) -> None:
        os.close(os.open(self._target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        page_bytes = probe.read_header(self._path).page_bytes
        image = sqlite3.connect(self._target, isolation_level=None)
        try:
            # The copy is thrown away after any failure: it needs neither a journal nor an fsync.
            image.execute("PRAGMA journal_mode=OFF").fetchone()
            image.execute("PRAGMA synchronous=OFF")
            steps = PIECE_BYTES // page_bytes
            connection.backup(image, pages=steps, progress=lambda *_: self._check_clock(WAL_READ_STOP_S), sleep=0.0)
        finally:
            image.close()

    def _check_clock(self, stop_s: float = LOCK_STOP_S) -> None:
        held_s = self._clock.monotonic_s() - self._frozen_s
        if held_s >= stop_s:
            raise SourceError(
                f"Copying {self._path} took longer than the {stop_s:.1f} s that its owner can be made to wait.",
                kept="The capture was given up; the source and every checkpoint committed before are untouched.",
                hint="Try again when the disk is less busy; for a database this large, WAL mode lets writers go on.",
                path=str(self._path),
                held_s=round(held_s, 3),
            )

    def _image(self, mode: str, fingerprint: bytes, lock_s: float, notes: tuple[str, ...] = ()) -> Image:
        return Image(self._target, mode, fingerprint, self._frozen_s, lock_s, notes)

    def _raise_os_error(self, error: OSError) -> NoReturn:
        ours = error.filename is not None and Path(os.fsdecode(error.filename)) == self._target
        if ours or error.errno in _TARGET_FULL:
            raise_storage_error(error, self._target)
        raise faults.os_fault(error, self._path) from error


def _inode(path: Path) -> tuple[int, ...] | None:
    found = probe.identity(path)
    return found[:2] if found else None
