"""What lies in the remote copy, as a home remembers it: `cache/remote.sqlite`, which a listing can replace."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from maos_ckpt.repository.remote_file import discard, in_memory, is_damage, open_file, refused, settle_in

_LOG = logging.getLogger(__name__)


class RemoteMemory:
    """What lies in the remote copy, as far as this home knows; thread-safe.

    Args:
        path: the file; None keeps it in memory.
        location: where the copy lies; what was remembered of another place is dropped.

    A damaged file is made anew. Where there can be none (a disk that is full or read-only) what is known is kept in
    memory: everything can be read then, and what is learnt is forgotten at the end. Nothing can be doomed.
    """

    def __init__(self, path: Path | None, location: str) -> None:
        self._lock = threading.RLock()
        self._path = path
        self._location = location
        #: Why the file cannot be used, or "".
        self.unusable = ""
        self._connection = self._connect(path)
        try:
            with self._connection:
                settle_in(self._connection, location)
        except sqlite3.Error as error:
            self._leave_file(error)

    def _connect(self, path: Path | None) -> sqlite3.Connection:
        try:
            return in_memory() if path is None else open_file(path)
        except (sqlite3.Error, OSError) as error:
            self._note(error)
            return in_memory()

    def _note(self, error: Exception) -> None:
        self.unusable = str(error)
        _LOG.warning(
            "%s cannot be used (%s): what lies in the remote copy is looked up anew, and nothing can be removed there.",
            self._path,
            error,
        )

    def _leave_file(self, error: sqlite3.Error) -> None:
        """Go on without what was known: it costs a listing."""
        self._connection.close()
        if self._path is None or not is_damage(error):
            self._note(error)
            self._connection = in_memory()
        else:
            with contextlib.suppress(OSError):
                discard(self._path)
            self._connection = self._connect(self._path)
        with self._connection:
            settle_in(self._connection, self._location)

    @contextlib.contextmanager
    def _using(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                with self._connection:
                    yield self._connection
            except sqlite3.Error as error:
                if is_damage(error) and self._path is not None:
                    self._leave_file(error)
                raise refused(str(error)) from error

    def _read(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows of a query; of an empty memory where the file turns out to be unreadable."""
        with self._lock:
            try:
                return self._connection.execute(query, values).fetchall()
            except sqlite3.Error as error:
                if self._path is None or self.unusable:
                    raise refused(str(error)) from error
                self._leave_file(error)
                return self._connection.execute(query, values).fetchall()

    def _refuse_to_doom(self) -> None:
        """What was to go there would come back from there, and nobody would know why."""
        if self.unusable:
            raise refused(self.unusable)

    @property
    def complete(self) -> bool:
        """Whether a whole listing was taken in and every change since went through here."""
        return self.fact("complete") == "yes"

    def fact(self, name: str) -> str:
        """A remembered word, or ""."""
        rows = self._read("SELECT value FROM facts WHERE name=?", name)
        return str(rows[0][0]) if rows else ""

    def set_fact(self, name: str, value: str) -> None:
        """Remember a word."""
        with self._using() as connection:
            connection.execute("INSERT OR REPLACE INTO facts VALUES(?, ?)", (name, value))

    def replace(self, objects: Iterable[tuple[str, int]], *, missed: bool = False) -> None:
        """Take in a whole listing: names and sizes in bytes. Doomed objects are left out; marks are kept.

        Where the file refuses it, it is known in memory from then on: what lies there can be read all the same.

        Args:
            missed: nobody else removes anything there, so that packs which are not listed any more are lost.
        """
        listed = list(objects)
        try:
            with self._lock, self._connection:
                self._replace(listed, missed=missed)
        except sqlite3.Error as error:
            if self._path is None or self.unusable:
                raise refused(str(error)) from error
            self._leave_file(error)
            with self._using():
                self._replace(listed, missed=missed)

    def _replace(self, objects: list[tuple[str, int]], *, missed: bool) -> None:
        connection = self._connection
        connection.execute("CREATE TEMP TABLE IF NOT EXISTS listed(name TEXT PRIMARY KEY, bytes INTEGER NOT NULL)")
        connection.execute("DELETE FROM listed")
        connection.executemany("INSERT INTO listed VALUES(?, ?)", objects)
        connection.execute("DELETE FROM doomed WHERE name NOT IN (SELECT name FROM listed)")
        connection.execute("DELETE FROM listed WHERE name IN (SELECT name FROM doomed)")
        connection.execute("DELETE FROM lost WHERE name IN (SELECT name FROM listed)")
        if missed:
            connection.execute(
                "INSERT OR IGNORE INTO lost SELECT name FROM objects "
                "WHERE name > 'packs/' AND name < 'packs0' AND name NOT IN (SELECT name FROM listed)"
            )
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
            for table in ("expected", "lost"):
                connection.execute(f"DELETE FROM {table} WHERE name=?", (name,))
            connection.execute(
                "INSERT OR REPLACE INTO objects SELECT ?, ?, ? WHERE NOT EXISTS (SELECT 1 FROM doomed WHERE name=?)",
                (name, size, mark, name),
            )

    def remove(self, names: Iterable[str]) -> None:
        """Objects are gone, or needed again and to be sent anew."""
        with self._using() as connection:
            for name in names:
                for table in ("objects", "doomed", "expected", "lost"):
                    connection.execute(f"DELETE FROM {table} WHERE name=?", (name,))

    def lose(self, names: Iterable[str]) -> None:
        """Objects that should lie there are not there; until they do again, the copy is not whole."""
        with self._using() as connection:
            for name in names:
                connection.execute("DELETE FROM objects WHERE name=?", (name,))
                connection.execute("INSERT OR IGNORE INTO lost VALUES(?)", (name,))

    def lost(self) -> set[str]:
        """Objects that were found missing, and have not been sent again since."""
        return {row[0] for row in self._read("SELECT name FROM lost")}

    def doom(self, names: Iterable[str], since_ms: int = 0) -> None:
        """Nothing may count on these objects any more, although they still lie there.

        `since_ms` is when that was announced to others, in wall time, 0 where it was not yet.
        """
        with self._using() as connection:
            for name in names:
                for table in ("objects", "lost"):
                    connection.execute(f"DELETE FROM {table} WHERE name=?", (name,))
                connection.execute("INSERT OR REPLACE INTO doomed VALUES(?, ?)", (name, since_ms))

    def doom_known(self, name: str) -> None:
        """As `doom`, if the object lies there or is just being sent; what was never sent is nobody's business.
        Where it is not known what lies there, it may.

        Raises:
            StorageError: it cannot be noted; the object must stay.
        """
        self._refuse_to_doom()
        with self._using() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO doomed SELECT ?, 0 WHERE EXISTS "
                "(SELECT 1 FROM objects WHERE name=? UNION ALL SELECT 1 FROM expected WHERE name=?) "
                "OR NOT EXISTS (SELECT 1 FROM facts WHERE name='complete' AND value='yes')",
                (name, name, name),
            )
            for table in ("objects", "lost"):
                connection.execute(f"DELETE FROM {table} WHERE name=?", (name,))

    def doomed(self, directory: str) -> dict[str, int]:
        """Doomed objects below a directory and since when others know it, in wall time; 0 where they do not."""
        query = "SELECT name, since_ms FROM doomed WHERE name > ? AND name < ?"
        return dict(self._read(query, f"{directory}/", f"{directory}0"))

    def below(self, directory: str) -> dict[str, int]:
        """Objects below a directory with their sizes in bytes, in order of their names."""
        query = "SELECT name, bytes FROM objects WHERE name > ? AND name < ? ORDER BY name"
        return dict(self._read(query, f"{directory}/", f"{directory}0"))

    def holds(self, name: str) -> bool:
        """Whether an object lies there."""
        return bool(self._read("SELECT 1 FROM objects WHERE name=?", name))

    def mark(self, name: str) -> bytes:
        """The mark given to `add`, or b""."""
        rows = self._read("SELECT mark FROM objects WHERE name=?", name)
        return bytes(rows[0][0]) if rows else b""

    def set_marks(self, names: Iterable[str], mark: bytes) -> None:
        """Mark objects."""
        with self._using() as connection:
            connection.executemany("UPDATE objects SET mark=? WHERE name=?", ((mark, name) for name in names))

    def unmarked(self, directory: str, mark: bytes) -> list[str]:
        """Names below a directory of objects without this mark, in order."""
        query = "SELECT name FROM objects WHERE name > ? AND name < ? AND mark<>? ORDER BY name"
        return [row[0] for row in self._read(query, f"{directory}/", f"{directory}0", mark)]

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()
