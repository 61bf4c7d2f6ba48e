"""A SQLite database of many kinds of tables, and random work on it that leaves few kinds of page changes out."""

from __future__ import annotations

import contextlib
import random
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final

#: name → (declaration, the column that names a row)
TABLES: Final = {
    "plain": ("CREATE TABLE plain (id INTEGER PRIMARY KEY, a, b)", "id"),
    "counted": ("CREATE TABLE counted (id INTEGER PRIMARY KEY AUTOINCREMENT, a, b)", "id"),
    "named": ("CREATE TABLE named (id TEXT PRIMARY KEY, a, b)", "id"),
    "loose": ("CREATE TABLE loose (a, b)", "rowid"),
    "several": ("CREATE TABLE several (id, part REAL, a, b, PRIMARY KEY (id, part))", "id"),
    "packed": ("CREATE TABLE packed (id TEXT PRIMARY KEY, a, b) WITHOUT ROWID", "id"),
    "hidden": ("CREATE TABLE hidden (rowid, _rowid_, oid, a, b)", "oid"),
    "key_value_store": ("CREATE TABLE key_value_store (key TEXT PRIMARY KEY, a, b)", "key"),
}
INDICES: Final = ("CREATE INDEX by_a ON named (a)", "CREATE INDEX loose_by_b ON loose (b, a)")


def create(path: Path, rng: random.Random, *, wal: bool) -> sqlite3.Connection:
    """A new database with every table, of random page size, encoding and vacuum mode; a connection in autocommit."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"PRAGMA page_size={rng.choice((512, 1024, 4096, 65536))}")
    connection.execute(f"PRAGMA auto_vacuum={rng.choice((0, 0, 1, 2))}")
    connection.execute(f"PRAGMA encoding='{rng.choice(('UTF-8', 'UTF-8', 'UTF-16le'))}'")
    if wal:
        connection.execute("PRAGMA journal_mode=WAL")
    for declaration, _ in TABLES.values():
        connection.execute(declaration)
    for index in INDICES:
        connection.execute(index)
    connection.execute("BEGIN")
    for name in TABLES:
        insert(connection, rng, name, rng.randrange(200))
    connection.execute("COMMIT")
    return connection


def value(rng: random.Random) -> object:
    """Mostly small; now and then as long as several pages."""
    length = rng.choice((0, 3, 20, 20, 20, 200, 900, 5000, 40_000 if rng.random() < 0.2 else 60))
    kind = rng.randrange(6)
    if kind == 0:
        return rng.choice((None, 0, 0.0, -0.0, 1, 1.0, -(2**63), 2**63 - 1, rng.random()))
    if kind == 1:
        return rng.randbytes(length)
    return "".join(rng.choices("abcdef ü", k=length))


def key(rng: random.Random, name: str) -> object:
    """A key for a table, from so few that they meet again."""
    number = rng.randrange(400)
    if name == "key_value_store":
        return rng.choice(("memory:", "context:", "embedding:", "other:", "")) + str(number)
    if name in ("plain", "counted"):
        return rng.choice((number, number, None, -number, number << 40))
    return rng.choice((f"k{number}", f"k{number}", number, None, float(number), b"k%d" % number))


def insert(connection: sqlite3.Connection, rng: random.Random, name: str, count: int) -> None:
    """Rows by INSERT OR REPLACE and OR IGNORE; keys of WITHOUT ROWID tables are never NULL."""
    how = rng.choice(("REPLACE", "IGNORE"))
    for _ in range(count):
        one = key(rng, name)
        if name == "packed" and one is None:
            one = ""
        if name == "loose":
            row: tuple[object, ...] = (value(rng), value(rng))
        elif name == "several":
            row = (one, rng.choice((0.0, -0.0, 1, None, rng.random())), value(rng), value(rng))
        elif name == "hidden":
            row = (1, 2, rng.randrange(400), value(rng), value(rng))
        else:
            row = (one, value(rng), value(rng))
        connection.execute(f"INSERT OR {how} INTO {name} VALUES ({', '.join('?' * len(row))})", row)


def _update(connection: sqlite3.Connection, rng: random.Random, name: str) -> None:
    chosen = f"abs(random()) % {rng.choice((2, 10, 50))} = 0"
    column = rng.choice("ab")
    match rng.randrange(5):
        case 0:
            connection.execute(f"UPDATE {name} SET {column} = ? WHERE {chosen}", (value(rng),))
        case 1:
            # The same size: SQLite writes such rows over in place, overflow pages without their leaf.
            turned = (
                f"substr({column}, 1, length({column}) - 1) || CASE substr({column}, -1) WHEN 'x' THEN 'y' ELSE 'x' END"
            )
            connection.execute(f"UPDATE {name} SET {column} = {turned} WHERE typeof({column}) = 'text' AND {chosen}")
        case 2:
            connection.execute(f"UPDATE {name} SET {column} = {column} || ? WHERE {chosen}", (value(rng),))
        case 3:
            connection.execute(f"UPDATE {name} SET {column} = substr({column}, 1, 7) WHERE {chosen}")
        case 4:
            connection.execute(
                f"UPDATE OR REPLACE {name} SET {TABLES[name][1]} = ? WHERE {chosen}", (key(rng, name) or 7,)
            )


def _delete(connection: sqlite3.Connection, rng: random.Random, name: str) -> None:
    if name == "hidden" or rng.random() < 0.5:
        connection.execute(f"DELETE FROM {name} WHERE abs(random()) % {rng.choice((1, 2, 10, 50))} = 0")
    elif name != "packed":
        low = rng.randrange(300)
        connection.execute(f"DELETE FROM {name} WHERE rowid BETWEEN ? AND ?", (low, low + rng.randrange(100)))


def _move(connection: sqlite3.Connection, rng: random.Random, name: str) -> None:
    """Rows get other rowids, and freed ones are used again."""
    if name in ("loose", "named", "several", "key_value_store"):
        number = rng.randrange(1, 400)
        connection.execute(f"UPDATE OR REPLACE {name} SET rowid = ? WHERE rowid = ?", (number, rng.randrange(1, 200)))
        connection.execute(f"UPDATE OR IGNORE {name} SET rowid = -rowid WHERE abs(random()) % 20 = 0")


def _reshape(connection: sqlite3.Connection, rng: random.Random, name: str) -> None:
    """A change of the schema."""
    match rng.randrange(5):
        case 0:
            columns = len(connection.execute(f"PRAGMA table_info({name})").fetchall())
            if columns < 9:
                connection.execute(f"ALTER TABLE {name} ADD COLUMN extra{columns} DEFAULT 'was not there'")
        case 1:
            connection.execute(f"DROP TABLE {name}")
            connection.execute(TABLES[name][0])
            insert(connection, rng, name, rng.randrange(60))
        case 2:
            connection.execute(f"CREATE INDEX IF NOT EXISTS extra_{name} ON {name} (a, b)")
        case 3:
            connection.execute(f"DROP INDEX IF EXISTS extra_{name}")
        case 4:
            connection.execute("CREATE TABLE IF NOT EXISTS newcomer (id INTEGER PRIMARY KEY, v)")
            connection.execute("INSERT INTO newcomer (v) VALUES (?)", (value(rng),))


def _insert_few_or_many(connection: sqlite3.Connection, rng: random.Random, name: str) -> None:
    insert(connection, rng, name, rng.choice((1, 3, 10, 10, 300)))


_WORK: Final[tuple[Callable[[sqlite3.Connection, random.Random, str], None], ...]] = (
    _insert_few_or_many,
    _insert_few_or_many,
    _update,
    _update,
    _update,
    _delete,
    _move,
)


def step(connection: sqlite3.Connection, rng: random.Random) -> None:
    """One transaction of random work; sometimes a VACUUM or a change of the schema instead."""
    chance = rng.random()
    names = [name for name in TABLES if _width(connection, name) == _width_of_declaration(name)]
    if chance < 0.04:
        connection.execute("VACUUM")
    elif chance < 0.08:
        connection.execute("PRAGMA incremental_vacuum(10)")
    elif chance < 0.16:
        _reshape(connection, rng, rng.choice(list(TABLES)))
    else:
        connection.execute("BEGIN")
        for _ in range(rng.choice((1, 1, 2, 6))):
            # A key of a type that its column refuses undoes only that statement.
            with contextlib.suppress(sqlite3.IntegrityError):
                rng.choice(_WORK)(connection, rng, rng.choice(names))
        connection.execute("COMMIT" if rng.random() < 0.95 else "ROLLBACK")


def _width(connection: sqlite3.Connection, name: str) -> int:
    return len(connection.execute(f"PRAGMA table_info({name})").fetchall())


def _width_of_declaration(name: str) -> int:
    return {"loose": 2, "several": 4, "hidden": 5}.get(name, 3)
