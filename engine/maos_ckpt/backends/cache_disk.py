"""diskcache with everything taken away that a cache of bytes does not need; the only module that imports it.

diskcache unpickles what it finds in its file (CVE-2025-69872), and reads and deletes files that a row names. Here keys
are text and values are bytes inside the SQLite file: a row that is anything else is refused, no other file is ever
opened or removed, and settings found in the file have to be those that diskcache itself writes.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

from diskcache import Cache as Cache
from diskcache import Disk, Timeout
from diskcache.core import DBNAME, DEFAULT_SETTINGS, METADATA, MODE_RAW, UNKNOWN

#: How long a call waits for another process before it goes on without the cache.
BUSY_S = 0.25
#: What a cache file with wrong bytes in it can raise, in SQLite, in diskcache or here.
BROKEN = (
    sqlite3.Error,
    sqlite3.Warning,
    OSError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
    Timeout,
)
#: All settings that matter, so that none is taken from the file.
_SETTINGS = {
    "eviction_policy": "least-recently-used",
    "cull_limit": 10,
    "statistics": 0,
    "tag_index": 1,
    # No file beside the database, however large a value is.
    "disk_min_file_size": 1 << 40,
    # A mapped file that another process cuts short kills its readers, and the write-ahead log's index is mapped, too.
    "sqlite_mmap_size": 0,
    "sqlite_journal_mode": "truncate",
    "sqlite_auto_vacuum": 1,
    "sqlite_cache_size": 512,
    # After a power cut the file may be broken: then it is made anew.
    "sqlite_synchronous": 0,
}


def is_busy(error: Exception, directory: Path) -> bool:
    """Whether the cache is well and only held by another process.

    diskcache reports every error at the start of a transaction as a time-out, so a file that is gone looks busy.
    """
    locked = isinstance(error, sqlite3.OperationalError) and "locked" in str(error)
    return (locked or isinstance(error, Timeout)) and (directory / DBNAME).is_file()


class RefusedRowError(ValueError):
    """A row that this program did not write."""


class BytesDisk(Disk):  # type: ignore[misc]
    """Text keys, values as bytes in the row; everything else is refused unread."""

    def put(self, key: object) -> tuple[str, bool]:
        """Key to columns."""
        if type(key) is not str:
            raise RefusedRowError("a key is text")
        return key, True

    def get(self, key: object, raw: object) -> str:
        """Columns to key."""
        if type(key) is not str or raw != 1:
            raise RefusedRowError("a stored key is not text")
        return key

    def store(self, value: object, read: bool, key: object = UNKNOWN) -> tuple[int, int, None, bytes]:
        """Value to columns."""
        if type(value) is not bytes or read:
            raise RefusedRowError("a value is bytes")
        return 0, MODE_RAW, None, value

    def fetch(self, mode: object, filename: object, value: object, read: bool) -> bytes:
        """Columns to value."""
        if mode != MODE_RAW or filename is not None or type(value) is not bytes or read:
            raise RefusedRowError("a stored value is not bytes")
        return value

    def remove(self, file_path: object) -> None:
        """A row that owns a file is none of ours."""
        raise RefusedRowError("a row names a file")


def open_cache(directory: Path, size_limit_bytes: int) -> Cache:
    """The cache in an existing directory.

    Raises:
        BROKEN: it cannot be used; now, if `is_busy` says so.
    """
    path = os.path.abspath(directory)
    if os.path.expandvars(os.path.expanduser(path)) != path:
        raise ValueError("diskcache would take this path for another one")
    with contextlib.suppress(FileExistsError):
        os.close(os.open(directory / DBNAME, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    _look(directory / DBNAME)
    return Cache(path, timeout=BUSY_S, disk=BytesDisk, size_limit=size_limit_bytes, **_SETTINGS)


def _look(path: Path) -> None:
    """Before diskcache does: it waits a minute for a locked file, and makes attributes and pragmas of all settings."""
    with contextlib.closing(sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        found = connection.execute("SELECT name FROM sqlite_master WHERE name='Settings'").fetchall()
        settings = dict(connection.execute("SELECT key, value FROM Settings")) if found else {}
        connection.execute("ROLLBACK")
    known = DEFAULT_SETTINGS | METADATA
    for key, value in settings.items():
        if key not in known or type(value) is not type(known[key]):
            raise RefusedRowError("a setting that diskcache does not write")
