"""The SQLite file of a home's memory of its remote copy: opened, made anew, and told apart from a disk that refuses."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from maos_ckpt.errors import StorageError

_VERSION = 3
_BUSY_S = 10.0
_SCHEMA = """
CREATE TABLE facts(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE objects(name TEXT PRIMARY KEY, bytes INTEGER NOT NULL, mark BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE doomed(name TEXT PRIMARY KEY, since_ms INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE expected(name TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE lost(name TEXT PRIMARY KEY) WITHOUT ROWID;
"""


def remembered_location(path: Path) -> str:
    """Where the remote copy lies that a memory in this file is of; "" where that cannot be told."""
    try:
        with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=_BUSY_S)) as connection:
            row = connection.execute("SELECT value FROM facts WHERE name='location'").fetchone()
    except sqlite3.Error:
        return ""
    return str(row[0]) if row else ""


def refused(why: str) -> StorageError:
    """The error where the file cannot be read or written."""
    return StorageError(
        f"What is known of the remote copy cannot be read or written: {why}.",
        kept="Every checkpoint committed before is untouched.",
        hint="Check the disk; the file cache/remote.sqlite may be deleted and is made anew.",
    )


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file is damaged, and not only busy or refused by the disk."""
    return isinstance(error, sqlite3.DatabaseError) and not isinstance(
        error, sqlite3.OperationalError | sqlite3.IntegrityError | sqlite3.ProgrammingError
    )


def settle_in(connection: sqlite3.Connection, location: str) -> None:
    """Drop what was remembered of another place."""
    known = connection.execute("SELECT value FROM facts WHERE name='location'").fetchone()
    if known is None or known[0] != location:
        for table in ("objects", "doomed", "expected", "lost", "facts"):
            connection.execute(f"DELETE FROM {table}")
        connection.execute("INSERT INTO facts VALUES('location', ?)", (location,))


def in_memory() -> sqlite3.Connection:
    """A memory without a file."""
    return _connect(":memory:")


def open_file(path: Path) -> sqlite3.Connection:
    """The file, made anew where it is damaged; raises `sqlite3.Error` and `OSError` where there can be none."""
    try:
        return _connect(str(path))
    except sqlite3.OperationalError:
        # Busy, or a disk that refuses. It may be what other processes go by, so it is left as it is.
        raise
    except sqlite3.DatabaseError:
        # A cache that cannot be read costs a listing, never an answer.
        discard(path)
        return _connect(str(path))


def discard(path: Path) -> None:
    """Remove the file with what belongs to it."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def _connect(target: str) -> sqlite3.Connection:
    connection = sqlite3.connect(target, timeout=_BUSY_S, check_same_thread=False)
    try:
        # What is doomed must survive in the order in which it was: a manifest before its packs.
        connection.execute("PRAGMA synchronous=NORMAL")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, _VERSION):
            raise sqlite3.DatabaseError("another version")
        if version == 0:
            connection.executescript(f"BEGIN IMMEDIATE;{_SCHEMA}PRAGMA user_version={_VERSION};COMMIT;")
    except BaseException:
        connection.close()
        raise
    return connection
