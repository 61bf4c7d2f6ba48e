"""Looking at a live SQLite file without a lock: header, identity, and a fingerprint that moves with every commit.

POSIX drops *all* of a process's record locks on a file as soon as it closes *any* descriptor of that file. SQLite's
locks are such locks, so one `open` and `close` of the database anywhere in this process lets another process write
inside our transaction. Every raw descriptor of a live database (and of its `-shm`, where the WAL locks are) therefore
comes from the registry here, is opened once for each (device, inode), and stays open until the file is deleted or,
where there are too many, until nothing else in this process has that file open.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from maos_ckpt.sources.sqlite import faults

HEADER_BYTES: Final = 100
MAGIC: Final = b"SQLite format 3\0"
#: Live files that one process is attached to at a time.
DESCRIPTORS_MAX: Final = 256
#: Begins every rollback journal that holds something, and ends one that names a super-journal.
JOURNAL_MAGIC: Final = b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"
#: The file's header byte 18 in WAL mode.
_WAL_VERSION = 2
_WAL_HEADER_BYTES = 32
#: The first copy of the wal-index header: it holds the last frame, a change counter and the salts of the log.
_SHM_HEADER_BYTES = 48

_descriptors: dict[tuple[int, int], int] = {}
_descriptors_guard = threading.Lock()


@dataclass(frozen=True, slots=True)
class Header:
    """What a capture needs of the 100 bytes at the start. `pages` is 0 where the header does not vouch for it."""

    wal: bool
    page_bytes: int
    pages: int
    counter: bytes


def live_descriptor(path: Path) -> int:
    """A descriptor for reading the live file at `path`, never to be closed by the caller.

    Raises:
        OSError: the file cannot be opened, or `DESCRIPTORS_MAX` others are in use.
    """
    found = os.stat(path)
    with _descriptors_guard:
        known = _descriptors.get((found.st_dev, found.st_ino))
        if known is not None:
            return known
        _forget(_is_deleted)
        if len(_descriptors) >= DESCRIPTORS_MAX:
            _forget(_is_idle)
        if len(_descriptors) >= DESCRIPTORS_MAX:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        # O_NONBLOCK: a pipe put in the file's place must not hang the capture.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        opened = os.fstat(fd)
        # Where the path was swapped since `stat` for a file that is known, two descriptors of it stay open: harmless.
        return _descriptors.setdefault((opened.st_dev, opened.st_ino), fd)


def _forget(unneeded: Callable[[int, int, int], bool]) -> None:
    for (device, inode), fd in list(_descriptors.items()):
        if unneeded(fd, device, inode):
            del _descriptors[device, inode]
            os.close(fd)


def _is_deleted(fd: int, device: int, inode: int) -> bool:
    # Nobody can open a deleted file any more, and keeping it open would keep its blocks on the disk.
    return os.fstat(fd).st_nlink == 0


def _is_idle(fd: int, device: int, inode: int) -> bool:
    # A file that has no other descriptor in this process has no SQLite connection, and so no locks that could drop.
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            other = os.stat(f"/proc/self/fd/{name}")
            if int(name) != fd and (other.st_dev, other.st_ino) == (device, inode):
                return False
    return True


def parse_header(data: bytes, path: Path) -> Header:
    """The header in `data`, the file's first `HEADER_BYTES`.

    Raises:
        SourceError: empty, or not a SQLite database.
    """
    if not data:
        raise faults.empty(path)
    if len(data) < HEADER_BYTES or not data.startswith(MAGIC):
        raise faults.not_a_database(path)
    page_bytes = int.from_bytes(data[16:18], "big")
    page_bytes = 65536 if page_bytes == 1 else page_bytes
    if page_bytes < 512 or page_bytes & (page_bytes - 1):
        raise faults.damaged(path, " in its header")
    counter = data[24:28]
    # Versions before 3.7.0 leave the page count alone but move the counter: then the two counters differ.
    pages = int.from_bytes(data[28:32], "big") if counter == data[92:96] else 0
    return Header(wal=data[18] == _WAL_VERSION, page_bytes=page_bytes, pages=pages, counter=counter)


def read_header(path: Path) -> Header:
    """The live file's header.

    Raises:
        SourceError: missing, not a regular file, empty, or not a SQLite database.
        PermissionRefusedError: not readable.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise faults.not_a_file(path)
        return parse_header(os.pread(live_descriptor(path), HEADER_BYTES, 0), path)
    except OSError as error:
        raise faults.os_fault(error, path) from error


def sidecar(path: Path, ending: str) -> Path:
    """The path of `-journal`, `-wal` or `-shm` beside a database."""
    return path.with_name(path.name + ending)


def identity(path: Path) -> tuple[int, ...] | None:
    """(device, inode, size, mtime in ns) of a file, or None where there is none.

    Raises:
        OSError: it cannot be asked.
    """
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def fingerprint(path: Path, *, frozen: bool = False) -> bytes:
    """Bytes that differ whenever the database's content does; takes no lock and costs some system calls.

    `frozen`: the caller holds a read lock, so that a journal in sight belongs to a transaction that has not touched the
    file. Without it such a journal means "cannot tell". b"" where one cannot tell.
    """
    try:
        header = os.pread(live_descriptor(path), HEADER_BYTES, 0)
        if len(header) < HEADER_BYTES:
            return b""
        parts: list[object] = [identity(path), header[18:20], header[24:28]]
        if header[18] == _WAL_VERSION:
            parts += [identity(sidecar(path, "-wal")), _log_header(path), _index_header(path)]
        elif not frozen and _journal_in_use(path):
            return b""
    except OSError:
        return b""
    return msgspec.msgpack.encode(parts)


def _journal_in_use(path: Path) -> bool:
    # Journals that are kept between transactions are emptied (TRUNCATE) or have their first bytes zeroed (PERSIST).
    try:
        with open(sidecar(path, "-journal"), "rb") as file:
            return file.read(len(JOURNAL_MAGIC)) == JOURNAL_MAGIC
    except FileNotFoundError:
        return False


def _log_header(path: Path) -> bytes | None:
    # SQLite holds no lock on the log itself: a descriptor of it may be closed.
    try:
        with open(sidecar(path, "-wal"), "rb") as file:
            return file.read(_WAL_HEADER_BYTES)
    except FileNotFoundError:
        return None


def _index_header(path: Path) -> bytes | None:
    # A log that restarts is overwritten in place: its size and, within one clock tick, its time stay. The index moves.
    try:
        fd = live_descriptor(sidecar(path, "-shm"))
    except FileNotFoundError:
        return None
    return os.pread(fd, _SHM_HEADER_BYTES, 0)
