"""Sets and maps of any size in bounded memory: the newest entries in memory, the others in a temporary database.

The database has no name in the file system: SQLite makes it for its owner alone and unlinks it at once, so that nothing
of it is left whatever happens. It is written only where it outgrows its page cache.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from types import TracebackType
from typing import Any, Final, Generic, TypeVar

from maos_ckpt.codec.values import decode_row, encode_row
from maos_ckpt.errors import StorageError

Key = TypeVar("Key")


class NoRoomError(StorageError):
    """Temporary files cannot be written."""


#: Entries of one set or map in memory.
FRONT_MAX: Final = 50_000
#: Entries read at a time.
BATCH_MAX: Final = 10_000
#: Page cache of one temporary database.
CACHE_KIB: Final = 8 << 10
#: What one temporary database may take on disk: 16 GiB.
PAGES_MAX: Final = 4 << 20


class Spill:
    """A temporary database. Use it in a `with` block, or `close` it."""

    def __init__(self, front_max: int = FRONT_MAX) -> None:
        self.front_max = front_max
        self._tables = 0
        self._connection = sqlite3.connect("", isolation_level=None)
        pragmas = ("journal_mode = OFF", "synchronous = OFF", "locking_mode = EXCLUSIVE", "temp_store = FILE")
        for pragma in (*pragmas, f"cache_size = -{CACHE_KIB}", f"max_page_count = {PAGES_MAX}"):
            self._connection.execute(f"PRAGMA {pragma}").fetchone()

    def create(self, columns: str) -> str:
        """Create a table with these columns and constraints; its name."""
        self._tables += 1
        name = f"spilled_{self._tables}"
        self.all(f"CREATE TABLE {name} ({columns})")
        return name

    def put(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        """Run a statement once for each row.

        Raises:
            NoRoomError: there is no room for it; so raise the other methods.
        """
        with self._told():
            self._connection.execute("BEGIN")
            try:
                self._connection.executemany(sql, rows)
            finally:
                # There is no journal to take anything back with; whoever fails here gives all of it up.
                self._connection.execute("COMMIT")

    def one(self, sql: str, values: Sequence[object] = ()) -> tuple[Any, ...] | None:
        """The first row of a query."""
        with self._told():
            found: tuple[Any, ...] | None = self._connection.execute(sql, values).fetchone()
            return found

    def all(self, sql: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query; it must have a limit."""
        with self._told():
            return self._connection.execute(sql, values).fetchall()

    def each(self, sql: str, values: Sequence[object] = ()) -> Iterator[tuple[Any, ...]]:
        """The rows of a query, one by one, of tables that are not written to meanwhile."""
        with self._told():
            yield from self._connection.execute(sql, values)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise NoRoomError(
                f"There is no room for temporary files: {error}.",
                kept="Nothing was changed.",
                hint="Free space in the directory for temporary files, or name another in TMPDIR, then try again.",
            ) from error

    def close(self) -> None:
        """Forget everything."""
        self._connection.close()

    def __enter__(self) -> Spill:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True)
class Form(Generic[Key]):
    """How keys are written to a temporary database; equal keys must be the same bytes."""

    encode: Callable[[Key], bytes]
    decode: Callable[[bytes], Key]


#: Rows of SQLite values.
ROWS: Final = Form(encode_row, decode_row)
#: Text; JSON may hold halves of surrogate pairs, which are no UTF-8.
TEXT: Final = Form(
    lambda text: str.encode(text, "utf-8", "surrogatepass"), lambda data: data.decode("utf-8", "surrogatepass")
)


class SpilledMap(Generic[Key]):
    """Keys and a value for each, which are bytes; the first value given for a key stays."""

    def __init__(self, spill: Spill, form: Form[Key]) -> None:
        self._spill = spill
        self._form = form
        self._front: dict[Key, bytes] = {}
        self._table = ""

    def add(self, key: Key, value: bytes = b"") -> None:
        """Put in a key that may be there."""
        if key not in self._front:
            self._front[key] = value
            if len(self._front) >= self._spill.front_max:
                self._put_away()

    def __contains__(self, key: Key) -> bool:
        if key in self._front:
            return True
        if not self._table:
            return False
        return self._spill.one(f"SELECT 1 FROM {self._table} WHERE key = ?", (self._form.encode(key),)) is not None

    def get(self, key: Key) -> bytes | None:
        """A key's value, None where it is not there."""
        row = None
        if self._table:
            row = self._spill.one(f"SELECT value FROM {self._table} WHERE key = ?", (self._form.encode(key),))
        return self._front.get(key) if row is None else row[0]

    def __bool__(self) -> bool:
        return bool(self._front or self._table)

    def items(self) -> Iterator[tuple[Key, bytes]]:
        """Keys and values in the order in which they came; nothing may come meanwhile."""
        if not self._table:
            yield from self._front.items()
            return
        self._put_away()
        for key, value in self._spill.each(f"SELECT key, value FROM {self._table} ORDER BY number"):
            yield self._form.decode(key), value

    def batches(self) -> Iterator[list[Key]]:
        """The keys, each batch sorted and behind the last one; nothing may come meanwhile."""
        if self._table:
            self._put_away()
            found = self._spill.each(f"SELECT key FROM {self._table} ORDER BY key")
            keys = map(self._form.decode, (key for (key,) in found))
        else:
            keys = map(self._form.decode, sorted(map(self._form.encode, self._front)))
        while batch := list(islice(keys, min(BATCH_MAX, self._spill.front_max))):
            yield batch

    def _put_away(self) -> None:
        if not self._table:
            self._table = self._spill.create("number INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, value BLOB")
        front, self._front = self._front, {}
        rows = ((self._form.encode(key), value) for key, value in front.items())
        self._spill.put(f"INSERT OR IGNORE INTO {self._table} (key, value) VALUES (?, ?)", rows)
