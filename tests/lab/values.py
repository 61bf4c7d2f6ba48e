"""A SQLite file with every value, table form and name that a capture or a recovery gets wrong, and an exact dump."""

from __future__ import annotations

import math
import shutil
import sqlite3
import struct
from contextlib import closing
from pathlib import Path
from typing import Final

Value = tuple[str, bytes]
"""Storage class as typeof() names it, and the value's bytes (integers and reals as 8 bytes, big-endian)."""
Row = tuple[int | None, tuple[Value, ...]]
"""rowid (None where the table has none) and the values in column order, generated columns included."""

APPLICATION_ID: Final = 0x4D414F53
USER_VERSION: Final = 41

INTEGERS: Final = (
    0,
    1,
    -1,
    127,
    128,
    -128,
    -129,
    32_767,
    32_768,
    8_388_607,
    8_388_608,
    2**31 - 1,
    2**31,
    2**47 - 1,
    2**47,
    2**53 + 1,
    2**63 - 1,
    -(2**63),
)
REALS: Final = (
    0.0,
    -0.0,
    1.0,
    -1.5,
    0.1,
    math.inf,
    -math.inf,
    5e-324,
    -5e-324,
    2.2250738585072009e-308,
    1.7976931348623157e308,
    9007199254740993.0,
    1e100,
)
TEXTS: Final = (
    "",
    " ",
    "a",
    "123",
    "1e3",
    "-0.0",
    "NULL",
    "null",
    "nul\0inside",
    "\0",
    "tail\0",
    "line\nbreak\r\n",
    "tab\t",
    "'quote'",
    '"double"',
    "back\\slash",
    "\x1b]52;c;x\x07",
    "[/]",
    "[@click='app.quit']x[/]",
    "\u00e9",
    "e\u0301",
    "\u202eright to left",
    "\U0001f600 emoji",
    "\ufeffmark",
    "\uffff",
    "\U0010ffff",
    "Stra\u00dfe",
    "\u0130\u0131",
    "x" * 4_061,
    "y" * 70_001,
)
RAW_TEXTS: Final = (  # stored as TEXT, none of them valid UTF-8
    b"\xff",
    b"ok then \xfe\xff",
    b"\xed\xa0\x80",
    b"\xed\xb0\x80",
    b"\xc0\x80",
    b"\xf4\x90\x80\x80",
    b"cut \xe2\x82",
    b"\x80\0\x80",
)
BLOBS: Final = (b"", b"\0", b"\xff\xfe", b"a text in a blob", bytes(range(256)), b"\0" * 5_000, bytes(range(256)) * 300)

_SCHEMA: Final = (
    "CREATE TABLE untyped (id INTEGER PRIMARY KEY, v)",
    "CREATE TABLE affinities (i INTEGER, r REAL, t TEXT, n NUMERIC, b BLOB, d DATETIME DEFAULT CURRENT_TIMESTAMP)",
    "CREATE TABLE strict_kinds (id INTEGER PRIMARY KEY, i INT, r REAL, t TEXT, b BLOB, a ANY) STRICT",
    "CREATE TABLE no_rowid (a TEXT, b INTEGER, v, PRIMARY KEY (b DESC, a)) WITHOUT ROWID",
    "CREATE TABLE no_rowid_blob_key (k BLOB PRIMARY KEY, v) WITHOUT ROWID",
    "CREATE TABLE composite (first TEXT, second INTEGER, v, PRIMARY KEY (first, second))",
    "CREATE TABLE no_key (a, b)",
    "CREATE TABLE null_key (k TEXT PRIMARY KEY, v)",
    "CREATE TABLE nocase_key (k TEXT PRIMARY KEY COLLATE NOCASE, v)",
    "CREATE TABLE descending_key (k INTEGER PRIMARY KEY DESC, v)",  # by an old bug, not an alias of the rowid
    "CREATE TABLE odd_rowids (v)",
    "CREATE TABLE shadowed_rowid (rowid TEXT, oid TEXT, v)",
    "CREATE TABLE computed (a INTEGER, b INTEGER, total INTEGER GENERATED ALWAYS AS (a + b) VIRTUAL,"
    " kept TEXT AS (a || ':' || b) STORED, c TEXT)",
    "CREATE TABLE counted (id INTEGER PRIMARY KEY AUTOINCREMENT, v TEXT UNIQUE)",
    "CREATE TABLE parent (id TEXT PRIMARY KEY, up TEXT REFERENCES parent(id) DEFERRABLE INITIALLY DEFERRED)",
    "CREATE TABLE child (id INTEGER PRIMARY KEY, of TEXT REFERENCES parent(id) ON DELETE CASCADE,"
    " n INT CHECK (n < 10))",
    "CREATE TABLE audit (id INTEGER PRIMARY KEY, what TEXT)",
    'CREATE TABLE "order" ("select" TEXT PRIMARY KEY, "group by" INT, "a""quote" TEXT,'
    ' "it\'s" TEXT, "\u00fcn\u00ef" TEXT)',
    'CREATE TABLE " spaced name " (" " INT, "a.b" TEXT, "x]y" TEXT, "%s?" TEXT)',
    'CREATE TABLE "ta\'ble""s \u2192 \u8868" (v)',
    "CREATE TABLE many_columns (" + ", ".join(f"c{n}" for n in range(120)) + ")",
    "CREATE TABLE empty_table (id INTEGER PRIMARY KEY, v)",
    "CREATE INDEX untyped_v ON untyped (v)",
    "CREATE INDEX lower_k ON nocase_key (lower(k))",
    "CREATE INDEX some_only ON composite (v) WHERE v IS NOT NULL",
    "CREATE VIEW totals AS SELECT total, kept FROM computed",
    "CREATE TRIGGER counted_audit AFTER INSERT ON counted BEGIN"
    " INSERT INTO audit (what) VALUES ('insert ' || NEW.v); END",
    "CREATE TRIGGER counted_fence BEFORE UPDATE ON counted WHEN NEW.v = 'forbidden' BEGIN"
    " SELECT RAISE(ABORT, 'no'); END",
    "CREATE TRIGGER totals_insert INSTEAD OF INSERT ON totals BEGIN INSERT INTO audit (what) VALUES ('view'); END",
)
_FULL_TEXT: Final = (
    "CREATE VIRTUAL TABLE notes USING fts5(title, body)",
    "CREATE TABLE documents (id INTEGER PRIMARY KEY, title TEXT, body TEXT)",
    "CREATE VIRTUAL TABLE documents_index USING fts5(title, body, content='documents', content_rowid='id')",
    "CREATE TRIGGER documents_ai AFTER INSERT ON documents BEGIN"
    " INSERT INTO documents_index (rowid, title, body) VALUES (NEW.id, NEW.title, NEW.body); END",
)


def make_hard_database(path: Path | str, wal: bool = False) -> None:
    """Makes the file at `path`, which must not exist (FileExistsError). Its content is the same in both variants.

    With `wal` the file is in WAL mode and all rows are in `<path>-wal` only: a reader that copies the main file, or
    opens it `immutable`, finds no table.
    """
    path = Path(path)
    if path.exists():
        raise FileExistsError(f"{path} exists already")
    workshop = path.with_name(path.name + ".making") if wal else path
    with closing(sqlite3.connect(workshop, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        if wal:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute(f"PRAGMA user_version = {USER_VERSION}")
        connection.execute("BEGIN")
        for statement in (*_SCHEMA, *_FULL_TEXT):
            connection.execute(statement)
        _fill_values(connection)
        _fill_forms(connection)
        connection.execute("COMMIT")
        if wal:  # the last closer of a WAL folds it into the file, so what is kept is a copy from before that
            shutil.copyfile(workshop, path)
            shutil.copyfile(f"{workshop}-wal", f"{path}-wal")
    if wal:
        workshop.unlink()


def _fill_values(connection: sqlite3.Connection) -> None:
    for value in (None, *INTEGERS, *REALS, *TEXTS, *BLOBS):
        connection.execute("INSERT INTO untyped (v) VALUES (?)", (value,))
        connection.execute("INSERT INTO affinities (i, r, t, n, b) VALUES (?1, ?1, ?1, ?1, ?1)", (value,))
    for raw in RAW_TEXTS:
        connection.execute("INSERT INTO untyped (v) VALUES (CAST(? AS TEXT))", (raw,))
    connection.execute("UPDATE affinities SET d = '2025-09-01 06:00:00'")
    connection.executemany(
        "INSERT INTO strict_kinds (i, r, t, b, a) VALUES (?, ?, ?, ?, ?)",
        [(2**63 - 1, -0.0, "t", b"\0", "12"), (None, None, None, None, None), (0, 1.0, "", b"", 1.0)],
    )
    connection.execute("INSERT INTO many_columns (c0, c63, c64, c119) VALUES (0, x'63', 64.5, 'last')")


def _fill_forms(connection: sqlite3.Connection) -> None:
    def insert(statement: str, rows: list[tuple[object, ...]]) -> None:
        connection.executemany(f"INSERT INTO {statement} VALUES ({', '.join('?' * len(rows[0]))})", rows)

    insert("no_rowid (a, b, v)", [("x", 1, "first"), ("X", 1, None), ("", -(2**63), b"\0"), ("x\0y", 2**63 - 1, -0.0)])
    insert(
        "no_rowid_blob_key (k, v)",
        [(b"", 1), (b"\0", 2), ("text key", 3), (7, 4), (7.5, 5), (b"z" * 3_000, "z" * 9_000)],
    )
    insert("composite (first, second, v)", [("a", 1, "one"), ("a", 2, None), (None, 1, "null key"), (None, 1, "twice")])
    insert("no_key (a, b)", [("same", 1), ("same", 1), (None, None), ("same", 1)])
    insert("null_key (k, v)", [(None, 1), (None, 2), ("", 3), ("null", 4)])
    insert("nocase_key (k, v)", [("Agent", 1), ("BETA", 2), ("\u00c4", 3), ("\u00e4", 4)])
    insert("descending_key (k, v)", [(10, "ten"), (-3, "minus three"), (None, "null")])
    insert("odd_rowids (rowid, v)", [(-(2**63), "least"), (-1, "minus one"), (0, "zero"), (2**63 - 1, "greatest")])
    insert("shadowed_rowid (_rowid_, rowid, oid, v)", [(5, "not a rowid", "nor this", 1), (9, None, None, 2)])
    insert("computed (a, b, c)", [(1, 2, "x"), (None, 2, None), (2**62, 2**62 - 1, "")])
    insert("counted (id, v)", [(3, "three"), (7, "seven"), (900, "nine hundred")])
    connection.execute("DELETE FROM counted WHERE id = 900")  # the sequence stays ahead of the rows
    insert("parent (id, up)", [("leaf", "root"), ("root", None), ("self", "self"), ("dangling", "nobody")])
    connection.execute("UPDATE parent SET up = NULL WHERE id = 'dangling'")
    insert("child (id, of, n)", [(1, "root", 9), (2, "leaf", None), (3, None, -1)])
    insert('"order"', [("key", 1, "q", "s", "u"), ("", None, None, None, "\u00fc")])
    insert('" spaced name "', [(1, "dot", "bracket", "percent"), (None, None, None, None)])
    insert('"ta\'ble""s \u2192 \u8868"', [("x",), (None,)])
    insert("notes (title, body)", [("first", "the ledger entry blocks"), ("second", "nul\0inside"), ("", "\u00fcber")])
    connection.execute("DELETE FROM notes WHERE title = 'first'")
    insert(
        "documents (id, title, body)",
        [(1, "runbook", "restart the broker"), (40, None, "late settlement"), (41, "", "")],
    )


def dump_exact(path: Path | str, *, shadow_tables: bool = False) -> dict[str, list[Row]]:
    """Every table's rows, bit for bit, by table name, sorted by rowid or else by value; equal dumps are equal states.

    Virtual tables are read through themselves. Their shadow tables are left out unless asked for, as two equal indexes
    may be laid out differently. `sqlite_master` stands for the schema (without root pages), under `pragma` are
    application_id and user_version. Opens the file read-only. Raises sqlite3.Error when it cannot be read.
    """
    with closing(sqlite3.connect(f"{Path(path).resolve().as_uri()}?mode=ro", uri=True)) as connection:
        dump: dict[str, list[Row]] = {}
        connection.execute("BEGIN")  # one state for all tables, also beside a writer
        for _, name, kind, _, without_rowid, _ in connection.execute("PRAGMA main.table_list").fetchall():
            if (
                (kind == "table" and not name.startswith(("sqlite_schema", "sqlite_temp")))
                or kind == "virtual"
                or (kind == "shadow" and shadow_tables)
            ):
                dump[name] = _rows(connection, name, has_rowid=not without_rowid)
        dump["sqlite_master"] = _select(connection, None, ["type", "name", "tbl_name", "sql"], "sqlite_master")
        dump["pragma"] = [
            (None, (("integer", struct.pack(">q", connection.execute(f"PRAGMA {name}").fetchone()[0])),))
            for name in ("application_id", "user_version")
        ]
    return dump


def _rows(connection: sqlite3.Connection, table: str, *, has_rowid: bool) -> list[Row]:
    info = connection.execute(f"PRAGMA table_xinfo({_quoted(table)})").fetchall()
    columns = [str(column[1]) for column in info if column[6] != 1]  # 1: hidden columns of virtual tables
    taken = {column.lower() for column in columns}
    free = [alias for alias in ("rowid", "_rowid_", "oid") if alias not in taken]
    return _select(connection, free[0] if has_rowid and free else None, columns, table)


def _select(connection: sqlite3.Connection, rowid: str | None, columns: list[str], table: str) -> list[Row]:
    parts = [rowid or "NULL"]
    for column in map(_quoted, columns):
        # text leaves as the bytes it is made of: not all of it can be decoded
        parts += [
            f"typeof({column})",
            f"CASE typeof({column}) WHEN 'text' THEN CAST({column} AS BLOB) ELSE {column} END",
        ]
    rows: list[Row] = []
    for found in connection.execute(f"SELECT {', '.join(parts)} FROM {_quoted(table)}"):
        values = tuple((kind, _bytes(value)) for kind, value in zip(found[1::2], found[2::2], strict=True))
        rows.append((found[0], values))
    return sorted(rows, key=lambda row: (row[0] or 0, row[1]))


def _bytes(value: object) -> bytes:
    match value:
        case None:
            return b""
        case bytes():
            return value
        case int():
            return struct.pack(">q", value)
        case float():
            return struct.pack(">d", value)
    raise TypeError(f"SQLite gave a {type(value).__name__}")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
