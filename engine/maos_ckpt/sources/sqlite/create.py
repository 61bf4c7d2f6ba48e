"""Tables, indices, views and triggers from the schema that a checkpoint holds.

The SQL of a checkpoint is hostile until SQLite has taken it for what it says it is: it runs under an authorizer that
lets it do nothing but create, and afterwards the database must hold an object of that type and name.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Final

from maos_ckpt.errors import ConflictError, SourceError
from maos_ckpt.model import Row
from maos_ckpt.sources.sqlite.schema import SchemaObject, quote

#: Settings of a file that can be changed when it holds tables already.
CHANGEABLE_PRAGMAS: Final = ("application_id", "user_version")
#: The `type` of a schema record that is a setting of the file.
PRAGMA_TYPE: Final = "pragma"

_VIRTUAL = "create virtual table"
_ALLOWED: Final = frozenset(
    (
        sqlite3.SQLITE_CREATE_TABLE,
        sqlite3.SQLITE_CREATE_INDEX,
        sqlite3.SQLITE_CREATE_TRIGGER,
        sqlite3.SQLITE_CREATE_VIEW,
        sqlite3.SQLITE_REINDEX,
        sqlite3.SQLITE_FUNCTION,
        sqlite3.SQLITE_READ,
        sqlite3.SQLITE_SELECT,
        sqlite3.SQLITE_RECURSIVE,
    )
)
_WRITES: Final = frozenset((sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE))
_SCHEMA_TABLES: Final = frozenset(("sqlite_master", "sqlite_schema", "sqlite_sequence"))
_DROP_ORDER: Final = ("trigger", "view", "index", "table")
_ELSEWHERE: Final = frozenset((sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH))


def schema_from_rows(rows: Iterable[Row]) -> tuple[list[SchemaObject], dict[str, str]]:
    """Objects and file settings from the records (type, name, tbl_name, sql) of a schema collection."""
    objects: list[SchemaObject] = []
    pragmas: dict[str, str] = {}
    for row in rows:
        kind, name, table, sql = map(str, row)
        if kind == PRAGMA_TYPE:
            pragmas[name] = sql
        else:
            objects.append(SchemaObject(kind, name, table, sql))
    return objects, pragmas


def create_objects(connection: sqlite3.Connection, objects: Sequence[SchemaObject]) -> None:
    """Create the tables among `objects` inside the open transaction; one that is there already, just so, is left.

    Raises:
        ConflictError: one of that name is there, and it is another one.
        SourceError: the SQL does not create what it is kept as.
    """
    tables = [one for one in objects if one.type == "table"]
    virtual = [one for one in tables if is_virtual(one.sql)]
    for one in tables:
        if one not in virtual:
            _create(connection, one)
    if virtual:
        _register(connection, virtual)


def finish_objects(connection: sqlite3.Connection, objects: Sequence[SchemaObject]) -> None:
    """Create indices, views and triggers, once the rows are there; errors as in `create_objects`."""
    for kind in ("index", "view", "trigger"):
        for one in objects:
            if one.type == kind:
                _create(connection, one)


def set_pragmas(connection: sqlite3.Connection, pragmas: Mapping[str, str]) -> tuple[str, ...]:
    """Set a checkpoint's file settings on a live database; the names of those that differ and can no longer be set."""
    kept = []
    for name, wanted in pragmas.items():
        if name in CHANGEABLE_PRAGMAS and is_integer(wanted):
            connection.execute(f"PRAGMA main.{name} = {int(wanted)}")
        elif name in ("auto_vacuum", "encoding", "page_size"):
            now = str(connection.execute(f"PRAGMA main.{name}").fetchone()[0])
            kept += [name] if now != wanted else []
    return tuple(kept)


def is_virtual(sql: str) -> bool:
    """Whether a table's SQL makes a virtual one."""
    return sql.lower().startswith(_VIRTUAL)


def drop_objects(connection: sqlite3.Connection, objects: Iterable[tuple[str, str]]) -> None:
    """Drop schema objects (type, name) inside the open transaction; one that is gone already is passed over.

    Raises:
        ConflictError: a table still holds rows.
    """
    # What belongs to a table goes with it: from the smallest thing up.
    for kind, name in sorted(objects, key=lambda one: _DROP_ORDER.index(one[0])):
        if kind == "table":
            _require_empty(connection, name)
        connection.execute(f"DROP {kind.upper()} IF EXISTS main.{quote(name)}")


def _require_empty(connection: sqlite3.Connection, table: str) -> None:
    sql = "SELECT 1 FROM main.sqlite_master WHERE type = 'table' AND name = ?"
    there = connection.execute(sql, (table,)).fetchone()
    if there and connection.execute(f"SELECT 1 FROM main.{quote(table)} LIMIT 1").fetchone():
        raise ConflictError(
            f"The table {table} holds records that the plan does not remove, so it cannot be dropped.",
            kept="The transaction was rolled back; nothing was changed.",
            hint="Make a new plan.",
        )


def is_integer(text: str) -> bool:
    """Whether a setting's text is a 32-bit integer."""
    return text.removeprefix("-").isdecimal() and len(text) < 12 and -(2**31) <= int(text) < 2**31


def _create(connection: sqlite3.Connection, one: SchemaObject) -> None:
    if _is_there(connection, one):
        return
    with _only_creating(connection):
        try:
            connection.execute(one.sql)
        except (sqlite3.Error, sqlite3.Warning) as error:
            # More than one statement, refused by the authorizer, not understood; else it is the database's trouble.
            code = getattr(error, "sqlite_errorcode", None)
            if code in (None, sqlite3.SQLITE_AUTH, sqlite3.SQLITE_ERROR):
                raise _not_creating(one) from error
            raise
    # Also what CREATE TABLE … AS SELECT has made of itself is something else.
    stored = _stored(connection, one)
    if stored is None or stored.lower().split() != one.sql.lower().split():
        raise _not_creating(one)


def _register(connection: sqlite3.Connection, objects: Sequence[SchemaObject]) -> None:
    """Enter virtual tables into the schema without running their modules, which may not be at hand here.

    Their rows are in the shadow tables, which are created and filled like any others.
    """
    for one in objects:
        _check_virtual(one)
    missing = [one for one in objects if not _is_there(connection, one)]
    connection.execute("PRAGMA writable_schema = ON")
    try:
        for one in missing:
            connection.execute(
                "INSERT INTO main.sqlite_master (type, name, tbl_name, rootpage, sql) VALUES ('table', ?, ?, 0, ?)",
                (one.name, one.name, one.sql),
            )
        version = int(connection.execute("PRAGMA main.schema_version").fetchone()[0])
        connection.execute(f"PRAGMA main.schema_version = {version + 1}")
    finally:
        # Also makes this connection read the schema anew.
        connection.execute("PRAGMA writable_schema = RESET")


def _check_virtual(one: SchemaObject) -> None:
    """Try the statement where it can do no harm; that its module is unknown is no fault of it."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as scratch:
        scratch.set_authorizer(lambda action, *_: sqlite3.SQLITE_DENY if action in _ELSEWHERE else sqlite3.SQLITE_OK)
        try:
            scratch.execute(one.sql)
        except (sqlite3.Error, sqlite3.Warning) as error:
            if not str(error).startswith("no such module"):
                raise _not_creating(one) from error
        else:
            if _stored(scratch, one) is None:
                raise _not_creating(one)


@contextmanager
def _only_creating(connection: sqlite3.Connection) -> Iterator[None]:
    def decide(action: int, first: str | None, second: str | None, database: str | None, source: str | None) -> int:
        if action in _ALLOWED or (action in _WRITES and first in _SCHEMA_TABLES):
            return sqlite3.SQLITE_OK
        return sqlite3.SQLITE_DENY

    connection.set_authorizer(decide)
    try:
        yield
    finally:
        connection.set_authorizer(None)


def _is_there(connection: sqlite3.Connection, one: SchemaObject) -> bool:
    found = _stored(connection, one)
    if found not in (None, one.sql):
        raise ConflictError(
            f"The live database already has a {one.type} {one.name}, and it is another one.",
            kept="The transaction was rolled back; nothing was changed.",
            hint="Make a new plan.",
        )
    return found is not None


def _stored(connection: sqlite3.Connection, one: SchemaObject) -> str | None:
    sql = "SELECT sql FROM main.sqlite_master WHERE type = ? AND name = ?"
    row = connection.execute(sql, (one.type, one.name)).fetchone()
    return None if row is None else str(row[0])


def _not_creating(one: SchemaObject) -> SourceError:
    return SourceError(
        f"The SQL that the checkpoint holds for the {one.type} {one.name} does not create it.",
        kept="The transaction was rolled back; nothing was changed.",
        hint="Run `maos-ckpt verify --all`; if that finds nothing, recover without this table.",
    )
