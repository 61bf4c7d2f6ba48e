"""Which pack holds which chunk: a local, expendable SQLite file that the packs themselves can rebuild.

It is brought up to date with the packs on every opening. A pack's rows leave the index before the pack leaves the
disk, so the index never says "stored already" of something that is being deleted.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from maos_ckpt.codec.compression import Codec
from maos_ckpt.errors import StorageError
from maos_ckpt.fs import raise_storage_error
from maos_ckpt.repository.packs import BASE_BYTES, Stored

_VERSION = 2
_BUSY_S = 10.0
#: How SQLite says that there is no space: for the file itself, and for the shared memory beside it.
_FULL = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
_SCHEMA = """
CREATE TABLE packs(number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, bytes INTEGER NOT NULL);
CREATE TABLE chunks(id BLOB NOT NULL, pack INTEGER NOT NULL, codec INTEGER NOT NULL, raw INTEGER NOT NULL,
  stored INTEGER NOT NULL, place INTEGER NOT NULL, base BLOB NOT NULL, PRIMARY KEY(id, pack)) WITHOUT ROWID;
CREATE INDEX chunks_by_pack ON chunks(pack);
CREATE TABLE damaged(id BLOB NOT NULL, pack INTEGER NOT NULL, PRIMARY KEY(id, pack)) WITHOUT ROWID;
"""


_IS_DAMAGED = "EXISTS(SELECT 1 FROM damaged WHERE damaged.id=chunks.id AND damaged.pack=chunks.pack)"


class ChunkIndex:
    """Lookups by chunk id; thread-safe. `path` None keeps it in memory, for repositories that cannot be written."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._connection = self._open()

    def _open(self) -> sqlite3.Connection:
        try:
            return self._connect()
        except sqlite3.DatabaseError:
            # A cache that cannot be read costs a rebuild, never an answer.
            pass
        try:
            self._discard()
            return self._connect()
        except (sqlite3.OperationalError, StorageError):
            # On a full disk not even a cache can be made; with the index in memory space can still be given back.
            self._path = None
            return self._connect()

    def _connect(self) -> sqlite3.Connection:
        target = ":memory:" if self._path is None else str(self._path)
        connection = sqlite3.connect(target, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=OFF")
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, _VERSION):
                raise sqlite3.DatabaseError("another version")
            if version == 0:
                connection.executescript(f"BEGIN IMMEDIATE;{_SCHEMA}PRAGMA user_version={_VERSION};COMMIT;")
        except sqlite3.OperationalError as error:
            if "already exists" not in str(error):
                connection.close()
                raise
            # Another process made the tables between our look and our attempt.
            connection.execute("ROLLBACK")
        except BaseException:
            connection.close()
            raise
        return connection

    def _discard(self) -> None:
        if self._path is not None:
            try:
                for suffix in ("", "-wal", "-shm"):
                    Path(f"{self._path}{suffix}").unlink(missing_ok=True)
            except OSError as error:
                raise_storage_error(error, self._path)

    def rebuild(self) -> None:
        """Start again from nothing; the next synchronisation fills it."""
        with self._lock:
            self._connection.close()
            self._discard()
            self._connection = self._connect()

    @contextlib.contextmanager
    def _use(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                yield self._connection
            except sqlite3.Error as error:
                raise StorageError(
                    f"The chunk index at {self._path or 'hand'} cannot be used: {error}.",
                    kept="Every checkpoint committed before is untouched.",
                    hint="Check the disk and try again; the index is rebuilt from the packs where it cannot be read.",
                    path=str(self._path),
                ) from error

    def _change(self, change: Callable[[sqlite3.Connection], None]) -> None:
        """Carry out a transaction; on a full disk in memory, so that a prune can still give space back."""
        with self._use():
            try:
                _in_transaction(self._connection, change)
            except sqlite3.OperationalError as error:
                if self._path is None or error.sqlite_errorcode & 0xFF not in _FULL:
                    raise
                self._move_into_memory()
                _in_transaction(self._connection, change)

    def _move_into_memory(self) -> None:
        memory = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self._connection.backup(memory)
        self._connection.close()
        self._connection = memory
        with contextlib.suppress(StorageError):
            # What it says is about to be out of date; the next opening makes a new one.
            self._discard()
        self._path = None

    def packs(self) -> dict[str, int]:
        """Indexed packs with their sizes in bytes."""
        with self._use() as connection:
            return dict(connection.execute("SELECT name, bytes FROM packs"))

    def add_pack(self, name: str, size: int, chunks: Iterable[Stored]) -> None:
        """Enter a durable pack."""
        listed = list(chunks)

        def add(connection: sqlite3.Connection) -> None:
            cursor = connection.execute("INSERT OR IGNORE INTO packs(name, bytes) VALUES(?, ?)", (name, size))
            if not cursor.rowcount:
                return
            pack = cursor.lastrowid
            connection.executemany(
                "INSERT OR IGNORE INTO chunks VALUES(?, ?, ?, ?, ?, ?, ?)",
                ((c.id, pack, c.codec, c.raw, c.stored, c.offset, c.base) for c in listed),
            )

        self._change(add)

    def remove_pack(self, name: str) -> None:
        """Forget a pack and everything in it."""

        def remove(connection: sqlite3.Connection) -> None:
            row = connection.execute("SELECT number FROM packs WHERE name=?", (name,)).fetchone()
            if row is not None:
                connection.execute("DELETE FROM chunks WHERE pack=?", row)
                connection.execute("DELETE FROM damaged WHERE pack=?", row)
                connection.execute("DELETE FROM packs WHERE number=?", row)

        self._change(remove)

    def has(self, chunk: bytes) -> bool:
        """Whether a chunk is stored and can be read, as far as is known: a save stores it anew otherwise.

        A delta that no checkpoint needs may outlive its base, which a prune took.
        """
        with self._use() as connection:
            query = f"SELECT base FROM chunks WHERE id=? AND NOT {_IS_DAMAGED}"
            bases = [row[0] for row in connection.execute(query, (chunk,))]
        return any(not base or self.find_base(base) is not None for base in bases)

    def mark_damaged(self, pack: str, chunks: Iterable[bytes], *, only: bool = False) -> None:
        """Note that these chunks of a pack cannot be read; with `only`, that all others can."""
        listed = list(chunks)

        def mark(connection: sqlite3.Connection) -> None:
            row = connection.execute("SELECT number FROM packs WHERE name=?", (pack,)).fetchone()
            if row is not None:
                if only:
                    connection.execute("DELETE FROM damaged WHERE pack=?", row)
                connection.executemany("INSERT OR IGNORE INTO damaged VALUES(?, ?)", ((c, row[0]) for c in listed))

        self._change(mark)

    def damaged(self, pack: str) -> set[bytes]:
        """Chunks of a pack that are known to be damaged."""
        with self._use() as connection:
            query = "SELECT id FROM damaged JOIN packs ON pack=number WHERE name=?"
            return {row[0] for row in connection.execute(query, (pack,))}

    def leaning_on(self, bases: Iterable[bytes]) -> dict[str, list[bytes]]:
        """Deltas whose base is one of these chunks, by pack; looks at every chunk once."""
        prefixes = {base[:BASE_BYTES] for base in bases}
        found: dict[str, list[bytes]] = {}
        with self._use() as connection:
            query = "SELECT name, id, base FROM chunks JOIN packs ON pack=number WHERE length(base)>0"
            for pack, chunk, base in connection.execute(query):
                if base in prefixes:
                    found.setdefault(pack, []).append(chunk)
        return found

    def find(self, chunk: bytes) -> tuple[str, Stored] | None:
        """The pack that holds a chunk, and where: of several one not known to be damaged, then the one stored in full,
        then one whose base is there, then the smallest, the newest."""
        found = self._rows("id=?", (chunk,))
        if len(found) > 1:
            return next((one for one in found if not one[1].base or self.find_base(one[1].base)), found[0])
        return found[0] if found else None

    def find_base(self, prefix: bytes) -> tuple[str, Stored] | None:
        """The chunk stored in full whose id begins with `prefix`."""
        low, high = prefix.ljust(32, b"\0"), prefix.ljust(32, b"\xff")
        assert len(prefix) == BASE_BYTES
        return self._find(f"id BETWEEN ? AND ? AND codec<>{int(Codec.ZSTD_DELTA)}", (low, high))

    def _find(self, condition: str, values: tuple[bytes, ...]) -> tuple[str, Stored] | None:
        return next(iter(self._rows(condition, values)), None)

    def _rows(self, condition: str, values: tuple[bytes, ...]) -> list[tuple[str, Stored]]:
        with self._use() as connection:
            rows = connection.execute(
                "SELECT name, id, codec, raw, stored, place, base FROM chunks JOIN packs ON pack=number "
                f"WHERE {condition} ORDER BY {_IS_DAMAGED}, length(base), stored, pack DESC",
                values,
            ).fetchall()
        return [(row[0], Stored(row[1], row[2], row[3], row[4], row[5], row[6])) for row in rows]

    def pack_chunks(self, name: str) -> list[Stored]:
        """All chunks of one pack, in the order they lie in it."""
        with self._use() as connection:
            rows = connection.execute(
                "SELECT id, codec, raw, stored, place, base FROM chunks JOIN packs ON pack=number "
                "WHERE name=? ORDER BY place",
                (name,),
            ).fetchall()
        return [Stored(row[0], row[1], row[2], row[3], row[4], row[5]) for row in rows]

    def totals(self) -> tuple[int, int]:
        """Plain bytes of the distinct chunks that are stored, and the bytes of all payloads."""
        with self._use() as connection:
            row = connection.execute(
                "SELECT total(raw), total(stored) FROM (SELECT max(raw) AS raw, sum(stored) AS stored FROM chunks "
                "GROUP BY id)"
            ).fetchone()
        return int(row[0]), int(row[1])

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()


def _in_transaction(connection: sqlite3.Connection, change: Callable[[sqlite3.Connection], None]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        change(connection)
        connection.execute("COMMIT")
    except BaseException:
        # SQLite itself has rolled back where the disk was full.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
