"""The remote copy of a repository: the same objects under the same names in another place, as this home knows them.

The home (the local repository) mirrors everything of it but the payloads of packs: manifests, marks and the chunk index
are small, so that everything but reading chunks works without asking the remote side. What lies there is remembered in
an expendable file, `cache/remote.sqlite`, that `refresh` makes anew from a listing.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from maos_ckpt.backends.base import Backend
from maos_ckpt.backends.breaker import CircuitBreaker
from maos_ckpt.backends.cached import CachedBackend
from maos_ckpt.codec.crypto import Sealer
from maos_ckpt.errors import StorageError

_VERSION = 2
_BUSY_S = 10.0
_SCHEMA = """
CREATE TABLE facts(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE objects(name TEXT PRIMARY KEY, bytes INTEGER NOT NULL, mark BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE doomed(name TEXT PRIMARY KEY, since_ms INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE expected(name TEXT PRIMARY KEY) WITHOUT ROWID;
"""
#: A fact of a home that writes to the remote copy: what is gone from there without its doing is lost, and it need not
#: look for what others did.
WRITER = "writer"
#: What a home remembers: everything that it copies or compares.
MIRRORED = ("manifests", "marks", "packs", "keys", "bundles")


@dataclass(frozen=True, slots=True)
class Timing:
    """How long things take between machines that share a remote copy; all homes of a system should have the same.

    Args:
        renew_s: a writer renews its lease when its last beat is older than this …
        time_to_live_s: … and others count it as gone when they have seen no new beat for this long.
        look_s: how often somebody who waits for an abandoned lease looks at it.
        grace_s: from the announcement that a pack goes to its deletion; longer than any save, and than a reader needs
            for what it has begun.
        audit_s: a writer compares what it remembers of the copy with a listing at least this often.
    """

    renew_s: float = 20.0
    time_to_live_s: float = 90.0
    look_s: float = 5.0
    grace_s: float = 3600.0
    audit_s: float = 86_400.0


class RemoteMemory:
    """What lies in the remote copy, as far as this home knows; thread-safe.

    Args:
        path: the file; None keeps it in memory.
        location: where the copy lies; what was remembered of another place is dropped.
    """

    def __init__(self, path: Path | None, location: str) -> None:
        self._lock = threading.RLock()
        self._connection = _open(path)
        with self._using() as connection:
            known = connection.execute("SELECT value FROM facts WHERE name='location'").fetchone()
            if known is None or known[0] != location:
                connection.execute("DELETE FROM objects")
                connection.execute("DELETE FROM doomed")
                connection.execute("DELETE FROM expected")
                connection.execute("DELETE FROM facts")
                connection.execute("INSERT INTO facts VALUES('location', ?)", (location,))

    @contextlib.contextmanager
    def _using(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                with self._connection:
                    yield self._connection
            except sqlite3.Error as error:
                raise StorageError(
                    f"What is known of the remote copy cannot be read or written: {error}.",
                    kept="Every checkpoint committed before is untouched.",
                    hint="Check the disk; the file cache/remote.sqlite may be deleted and is made anew.",
                ) from error

    @property
    def complete(self) -> bool:
        """Whether a whole listing was taken in and every change since went through here."""
        return self.fact("complete") == "yes"

    def fact(self, name: str) -> str:
        """A remembered word, or ""."""
        with self._using() as connection:
            row = connection.execute("SELECT value FROM facts WHERE name=?", (name,)).fetchone()
        return "" if row is None else str(row[0])

    def set_fact(self, name: str, value: str) -> None:
        """Remember a word."""
        with self._using() as connection:
            connection.execute("INSERT OR REPLACE INTO facts VALUES(?, ?)", (name, value))

    def replace(self, objects: Iterable[tuple[str, int]]) -> None:
        """Take in a whole listing: names and sizes in bytes. Doomed objects are left out; marks are kept."""
        with self._using() as connection:
            connection.execute("CREATE TEMP TABLE IF NOT EXISTS listed(name TEXT PRIMARY KEY, bytes INTEGER NOT NULL)")
            connection.execute("DELETE FROM listed")
            connection.executemany("INSERT INTO listed VALUES(?, ?)", objects)
            connection.execute("DELETE FROM doomed WHERE name NOT IN (SELECT name FROM listed)")
            connection.execute("DELETE FROM listed WHERE name IN (SELECT name FROM doomed)")
            connection.execute("DELETE FROM objects WHERE name NOT IN (SELECT name FROM listed)")
            connection.execute(
                "INSERT INTO objects SELECT name, bytes, x'' FROM listed WHERE true "
                "ON CONFLICT(name) DO UPDATE SET bytes=excluded.bytes"
            )
            connection.execute("INSERT OR REPLACE INTO facts VALUES('complete', 'yes')")

    def expect(self, name: str) -> None:
        """An object is about to be sent. Whatever becomes of that, it may lie there from now on."""
        with self._using() as connection:
            connection.execute("INSERT OR IGNORE INTO expected VALUES(?)", (name,))

    def add(self, name: str, size: int, mark: bytes = b"") -> None:
        """An object lies there now; `mark` is what tells one version of it from the next. What is doomed stays so."""
        with self._using() as connection:
            connection.execute("DELETE FROM expected WHERE name=?", (name,))
            connection.execute(
                "INSERT OR REPLACE INTO objects SELECT ?, ?, ? WHERE NOT EXISTS (SELECT 1 FROM doomed WHERE name=?)",
                (name, size, mark, name),
            )

    def remove(self, names: Iterable[str]) -> None:
        """Objects are gone, or needed again and to be sent anew."""
        with self._using() as connection:
            for name in names:
                for table in ("objects", "doomed", "expected"):
                    connection.execute(f"DELETE FROM {table} WHERE name=?", (name,))

    def doom(self, names: Iterable[str], since_ms: int = 0) -> None:
        """Nothing may count on these objects any more, although they still lie there.

        `since_ms` is when that was announced to others, in wall time, 0 where it was not yet.
        """
        with self._using() as connection:
            for name in names:
                connection.execute("DELETE FROM objects WHERE name=?", (name,))
                connection.execute("INSERT OR REPLACE INTO doomed VALUES(?, ?)", (name, since_ms))

    def doom_known(self, name: str) -> None:
        """As `doom`, if the object lies there or is just being sent; what was never sent is nobody's business."""
        with self._using() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO doomed SELECT ?, 0 WHERE EXISTS "
                "(SELECT 1 FROM objects WHERE name=? UNION ALL SELECT 1 FROM expected WHERE name=?)",
                (name, name, name),
            )
            connection.execute("DELETE FROM objects WHERE name=?", (name,))

    def doomed(self, directory: str) -> dict[str, int]:
        """Doomed objects below a directory and since when others know it, in wall time; 0 where they do not."""
        with self._using() as connection:
            rows = connection.execute(
                "SELECT name, since_ms FROM doomed WHERE name > ? AND name < ?", (f"{directory}/", f"{directory}0")
            )
            return dict(rows.fetchall())

    def below(self, directory: str) -> dict[str, int]:
        """Objects below a directory with their sizes in bytes, in order of their names."""
        with self._using() as connection:
            rows = connection.execute(
                "SELECT name, bytes FROM objects WHERE name > ? AND name < ? ORDER BY name",
                (f"{directory}/", f"{directory}0"),
            )
            return dict(rows.fetchall())

    def holds(self, name: str) -> bool:
        """Whether an object lies there."""
        with self._using() as connection:
            return connection.execute("SELECT 1 FROM objects WHERE name=?", (name,)).fetchone() is not None

    def mark(self, name: str) -> bytes:
        """The mark given to `add`, or b""."""
        with self._using() as connection:
            row = connection.execute("SELECT mark FROM objects WHERE name=?", (name,)).fetchone()
        return b"" if row is None else bytes(row[0])

    def set_marks(self, names: Iterable[str], mark: bytes) -> None:
        """Mark objects."""
        with self._using() as connection:
            connection.executemany("UPDATE objects SET mark=? WHERE name=?", ((mark, name) for name in names))

    def unmarked(self, directory: str, mark: bytes) -> list[str]:
        """Names below a directory of objects without this mark, in order."""
        with self._using() as connection:
            rows = connection.execute(
                "SELECT name FROM objects WHERE name > ? AND name < ? AND mark<>? ORDER BY name",
                (f"{directory}/", f"{directory}0", mark),
            )
            return [row[0] for row in rows]

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()


def _open(path: Path | None) -> sqlite3.Connection:
    if path is not None:
        try:
            return _connect(str(path))
        except sqlite3.OperationalError:
            # Busy, or a disk that refuses. It may be what other processes go by, so it is left as it is.
            return _connect(":memory:")
        except sqlite3.DatabaseError:
            # A cache that cannot be read costs a listing, never an answer.
            with contextlib.suppress(OSError, sqlite3.DatabaseError):
                for suffix in ("", "-wal", "-shm", "-journal"):
                    Path(f"{path}{suffix}").unlink(missing_ok=True)
                return _connect(str(path))
    return _connect(":memory:")


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


class RemoteCopy:
    """A remote copy and what is known of it.

    Args:
        connect: gives the backend, called at the first use of the remote side and once; everything that needs only what
            is remembered works without it.
        location: where it lies, for people.
        memory: what is known of it.
        sealer: what seals the repository's objects, there as at home.
        timing: see `Timing`.
        breaker: what `connect` puts in front of the backend.
        try_out: finds out what the store does, for `make_writable`.
    """

    def __init__(
        self,
        connect: Callable[[], Backend],
        location: str,
        memory: RemoteMemory,
        sealer: Sealer,
        timing: Timing | None = None,
        breaker: CircuitBreaker | None = None,
        try_out: Callable[[Backend], None] = lambda _: None,
    ) -> None:
        self.location = location
        self.sealer = sealer
        self.memory = memory
        self.timing = timing or Timing()
        self.breaker = breaker
        self._try_out = try_out
        self._connect = connect
        self._connecting = threading.Lock()
        self._backend: Backend | None = None

    @property
    def connected(self) -> bool:
        """Whether the remote side has been used."""
        return self._backend is not None

    @property
    def backend(self) -> Backend:
        """The objects themselves."""
        with self._connecting:
            if self._backend is None:
                self._backend = self._connect()
            return self._backend

    def make_writable(self) -> None:
        """To be called before anything is created: what a store does with conditions is tried out at the first time.

        Who only reads is spared that, and needs no right to write.

        Raises:
            StorageError, ConflictError: the store cannot do what a repository needs (see `choose_create_mode`).
        """
        self._try_out(self.backend)

    @property
    def uncached(self) -> Backend:
        """The objects as they lie there, past every cache."""
        backend = self.backend
        return backend.inner if isinstance(backend, CachedBackend) else backend

    def holds_range(self, name: str, offset: int, length: int) -> bool:
        """Whether the cache has a range of a pack, as far as it can be told now."""
        backend = self.backend
        return isinstance(backend, CachedBackend) and backend.known_range(name, offset, length) is not None

    def keep_range(self, name: str, offset: int, data: bytes) -> None:
        """Let the cache have a range that was read past it, as a part of a longer one."""
        backend = self.backend
        if isinstance(backend, CachedBackend):
            backend.keep_range(name, offset, data)

    def listing(self) -> list[tuple[str, int]]:
        """All objects that a home mirrors or compares, with their sizes in bytes, as they lie there now.

        Manifests are listed before packs: a manifest that is listed had all its packs there already.
        """
        return [entry for directory in MIRRORED for entry in self.backend.entries(directory)]

    def refresh(self) -> None:
        """Make what is known of the remote copy true as of now.

        Raises:
            UnavailableError, PermissionRefusedError: see `Backend`; nothing was forgotten.
        """
        self.memory.replace(self.listing())

    def remove(self, names: list[str]) -> None:
        """Delete objects; they are forgotten first, so that nothing counts on them."""
        if names:
            self.memory.remove(names)
            self.backend.delete(*names)

    def close(self) -> None:
        """Close connections and files."""
        with self._connecting:
            if self._backend is not None:
                self._backend.close()
        self.memory.close()
