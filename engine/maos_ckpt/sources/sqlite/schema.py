"""What a SQLite database says about itself, as typed values: tables with their keys, and everything else by its SQL.

The reading is done with `PRAGMA table_list` and its kin, never by taking CREATE statements apart: only SQLite knows all
of its own grammar. Names come from the database and are hostile: they reach SQL through `quote` alone.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from maos_ckpt.errors import SourceError

#: `PRAGMA table_list`, which names shadow tables and WITHOUT ROWID tables, exists from here on.
SQLITE_VERSION_MIN: Final = (3, 37, 0)
#: Triggers of this prefix are the recovery's own fence: never part of a state.
FENCE_PREFIX: Final = "ckpt_fence"
SEQUENCE_TABLE: Final = "sqlite_sequence"
#: Every name by which SQLite offers a rowid, unless a column has taken the name.
ROWID_NAMES: Final = ("rowid", "_rowid_", "oid")
#: More tables than this are refused: each costs several statements at every capture.
TABLES_MAX: Final = 10_000

_INTERNAL_PREFIX = "sqlite_"
_BUILT_IN_COLLATIONS = frozenset(("BINARY", "NOCASE", "RTRIM"))
_DATABASE_PRAGMAS = ("application_id", "auto_vacuum", "encoding", "page_size", "user_version")
_AFFINITY_WORDS = (
    ("INTEGER", ("INT",)),
    ("TEXT", ("CHAR", "CLOB", "TEXT")),
    ("BLOB", ("BLOB",)),
    ("REAL", ("REAL", "FLOA", "DOUB")),
)


class TableKind(StrEnum):
    """What `PRAGMA table_list` calls it; views are no tables here."""

    TABLE = "table"
    VIRTUAL = "virtual"
    SHADOW = "shadow"


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A reference to another table. `parent_columns` is empty where the declaration leaves the parent's key implied."""

    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]
    on_delete: str


@dataclass(frozen=True, slots=True)
class Table:
    """One table.

    `columns`: stored columns in declared order, generated ones left out; empty for a virtual table, whose rows are in
    its shadow tables. `affinities`: theirs, by SQLite's rules. `primary_key`: key columns in key order. `rowid_column`:
    the INTEGER PRIMARY KEY that *is* the rowid. `rowid_alias`: a name that reads the rowid where no column is it; None
    for WITHOUT ROWID and where columns have taken all three names. `unique`: column sets of further unique indices over
    plain columns, without NULLs.
    """

    name: str
    kind: TableKind
    without_rowid: bool
    columns: tuple[str, ...]
    affinities: tuple[str, ...]
    generated: tuple[str, ...]
    not_null: frozenset[str]
    primary_key: tuple[str, ...]
    rowid_column: str | None
    rowid_alias: str | None
    unique: tuple[tuple[str, ...], ...]
    foreign_keys: tuple[ForeignKey, ...]
    sql: str

    @property
    def positional(self) -> bool:
        """Whether rows have no name of their own: no key free of NULL, and columns hide every name of the rowid.

        Such rows are keyed by their position in rowid order, and the table can only be rewritten as a whole.
        """
        if self.without_rowid or self.rowid_column is not None or self.rowid_alias is not None:
            return False
        return not self.primary_key or not self.not_null.issuperset(self.primary_key)

    @property
    def position_name(self) -> str:
        """The key's name of a positional table: one that no column has."""
        name = "position"
        while name in self.columns:
            name += "_"
        return name

    @property
    def keys(self) -> tuple[str, ...]:
        """The names that identify a row: the primary key, else the rowid, else the position."""
        if self.positional:
            return (self.position_name,)
        if self.primary_key:
            return self.primary_key
        assert self.rowid_alias is not None
        return (self.rowid_alias,)

    def keys_rowid(self, keys: tuple[str, ...]) -> bool:
        """Whether these keys are the rowid itself."""
        return len(keys) == 1 and keys[0] in (self.rowid_column, self.rowid_alias)

    def affinity(self, column: str) -> str:
        """`INTEGER`, `TEXT`, `BLOB`, `REAL` or `NUMERIC`: what a stored column turns values into."""
        return self.affinities[self.columns.index(column)]

    @property
    def rowid_name(self) -> str | None:
        """A name that reads the rowid, whether a column or not; None where there is none."""
        return self.rowid_column or self.rowid_alias

    @property
    def hidden_rowid(self) -> str | None:
        """The name that reads a rowid which is not among the keys, or None."""
        return None if self.rowid_alias in self.keys else self.rowid_alias


@dataclass(frozen=True, slots=True)
class SchemaObject:
    """One entry of `sqlite_master` that has SQL: a table, index, trigger or view."""

    type: str
    name: str
    table: str
    sql: str


@dataclass(frozen=True, slots=True)
class Schema:
    """A database's schema. `pragmas`: settings that are stored in the file, as text, sorted by name."""

    tables: tuple[Table, ...]
    objects: tuple[SchemaObject, ...]
    pragmas: tuple[tuple[str, str], ...]
    has_sequence: bool

    def table(self, name: str) -> Table | None:
        """The table of that name, the way SQLite compares names (ASCII letters without case)."""
        wanted = fold(name)
        return next((one for one in self.tables if fold(one.name) == wanted), None)

    @property
    def encoding(self) -> str:
        """`UTF-8`, `UTF-16le` or `UTF-16be`."""
        return dict(self.pragmas)["encoding"]


def quote(name: str) -> str:
    """A name as an SQL identifier, whatever is in it.

    Raises:
        SourceError: the name holds a NUL character, which no SQL text can carry.
    """
    if "\0" in name:
        raise SourceError(
            "A name in the database schema holds a NUL character.",
            kept="Nothing was changed.",
            hint="Rename that table or column, then try again.",
        )
    return '"' + name.replace('"', '""') + '"'


def fold(name: str) -> str:
    """A name as SQLite compares it: ASCII letters in lower case, everything else as it is."""
    return "".join(chr(ord(one) + 32) if "A" <= one <= "Z" else one for one in name)


def read_schema(connection: sqlite3.Connection, *, journal_mode: str | None = None) -> Schema:
    """The schema behind an open connection, which may be inside a transaction.

    `journal_mode` is what the file's header says (`wal` or `delete`) where the connection reads a private copy and
    cannot know.

    Raises:
        SourceError: names that are not UTF-8, too many tables, or a SQLite library that is too old.
        sqlite3.Error: the database cannot be read.
    """
    if sqlite3.sqlite_version_info < SQLITE_VERSION_MIN:
        raise SourceError(
            f"This Python's SQLite library is {sqlite3.sqlite_version}, too old to read a schema.",
            hint="Use a Python with SQLite 3.37 or newer.",
        )
    rows = _texts(connection, "SELECT type, name, tbl_name, sql FROM main.sqlite_master")
    objects = [SchemaObject(*row) for row in rows if row[3] is not None and not _internal(row[1])]
    sql_by_name = {one.name: one.sql for one in objects if one.type == "table"}
    listed = [
        (name, kind, bool(without_rowid))
        for _, name, kind, _, without_rowid, _ in _texts(connection, "PRAGMA main.table_list")
        if name in sql_by_name and kind != "view"
    ]
    if len(listed) > TABLES_MAX:
        raise SourceError(f"The database has {len(listed)} tables; at most {TABLES_MAX} are supported.")
    tables = [_table(connection, name, TableKind(kind), wr, sql_by_name[name]) for name, kind, wr in sorted(listed)]
    return Schema(
        tables=tuple(tables),
        objects=tuple(sorted((o for o in objects if not _fence(o)), key=lambda one: (one.type, one.name))),
        pragmas=_pragmas(connection, journal_mode),
        has_sequence=any(row[0] == "table" and row[1] == SEQUENCE_TABLE for row in rows),
    )


def unknown_collations(connection: sqlite3.Connection, tables: tuple[Table, ...]) -> frozenset[str]:
    """Collations that indices use and only the application defines.

    SQLite refuses to open such an index until a collation of that name is registered. A reader may register any; a
    writer cannot keep the index in its order and must refuse.
    """
    used: set[str] = set()
    for table in tables:
        if table.kind is TableKind.VIRTUAL:
            continue
        for index in _texts(connection, f"PRAGMA main.index_list({quote(table.name)})"):
            columns = _texts(connection, f"PRAGMA main.index_xinfo({quote(index[1])})")
            used.update(str(column[4]) for column in columns if column[4] is not None)
    return frozenset(name for name in used if name not in _BUILT_IN_COLLATIONS and not _is_known(connection, name))


def _is_known(connection: sqlite3.Connection, collation: str) -> bool:
    # `PRAGMA collation_list` is no help: it also lists what a schema merely mentions.
    try:
        connection.execute(f"SELECT '' = '' COLLATE {quote(collation)}").fetchone()
    except sqlite3.OperationalError:
        return False
    return True


def _texts(connection: sqlite3.Connection, sql: str) -> list[tuple[Any, ...]]:
    """All rows, with names as text whatever the connection's `text_factory` makes of the rows of tables."""
    factory = connection.text_factory
    connection.text_factory = str
    try:
        return connection.execute(sql).fetchall()
    except sqlite3.OperationalError as error:
        # A decoding error is raised by the Python module itself and so carries no SQLite error code.
        if getattr(error, "sqlite_errorcode", None) is not None:
            raise
        raise SourceError(
            "The database schema holds a name that is not valid UTF-8.",
            kept="Nothing was changed.",
            hint="Rename that table or column, then try again.",
        ) from None
    finally:
        connection.text_factory = factory


def _table(connection: sqlite3.Connection, name: str, kind: TableKind, without_rowid: bool, sql: str) -> Table:
    if kind is TableKind.VIRTUAL:
        # Asking for its columns would run the module's code on hostile content; its rows are in the shadow tables.
        return Table(name, kind, without_rowid, (), (), (), frozenset(), (), None, None, (), (), sql)
    columns = _texts(connection, f"PRAGMA main.table_xinfo({quote(name)})")
    stored = tuple(str(column[1]) for column in columns if column[6] == 0)
    generated = tuple(str(column[1]) for column in columns if column[6] in (2, 3))
    ranked = sorted((int(str(column[5])), str(column[1])) for column in columns if column[5])
    primary_key = tuple(one for _, one in ranked)
    indices = _texts(connection, f"PRAGMA main.index_list({quote(name)})")
    # Only an INTEGER PRIMARY KEY needs no index of its own; `INTEGER PRIMARY KEY DESC` has one and is no rowid.
    is_rowid = not without_rowid and len(primary_key) == 1 and not any(index[3] == "pk" for index in indices)
    taken = {fold(one) for one in (*stored, *generated)}
    free = next((one for one in ROWID_NAMES if one not in taken), None)
    not_null = frozenset(
        str(column[1]) for column in columns if column[3] or (column[5] and (without_rowid or is_rowid))
    )
    return Table(
        name=name,
        kind=kind,
        without_rowid=without_rowid,
        columns=stored,
        affinities=tuple(_affinity(str(column[2])) for column in columns if column[6] == 0),
        generated=generated,
        not_null=not_null,
        primary_key=primary_key,
        rowid_column=primary_key[0] if is_rowid else None,
        rowid_alias=None if without_rowid or is_rowid else free,
        unique=_unique(connection, indices, not_null),
        foreign_keys=_foreign_keys(connection, name),
        sql=sql,
    )


def _unique(
    connection: sqlite3.Connection, indices: list[tuple[Any, ...]], not_null: frozenset[str]
) -> tuple[tuple[str, ...], ...]:
    found = []
    for _, index, is_unique, origin, partial in indices:
        if not is_unique or partial or origin == "pk":
            continue
        names = [row[2] for row in _texts(connection, f"PRAGMA main.index_info({quote(str(index))})")]
        if all(isinstance(one, str) and one in not_null for one in names):
            found.append(tuple(str(one) for one in names))
    return tuple(sorted(found))


def _foreign_keys(connection: sqlite3.Connection, name: str) -> tuple[ForeignKey, ...]:
    by_id: dict[int, list[tuple[Any, ...]]] = {}
    for row in _texts(connection, f"PRAGMA main.foreign_key_list({quote(name)})"):
        by_id.setdefault(row[0], []).append(row)
    return tuple(
        ForeignKey(
            columns=tuple(str(row[3]) for row in rows),
            parent=str(rows[0][2]),
            parent_columns=tuple(str(row[4]) for row in rows if row[4] is not None),
            on_delete=str(rows[0][6]),
        )
        for _, rows in sorted(by_id.items())
    )


def _pragmas(connection: sqlite3.Connection, journal_mode: str | None) -> tuple[tuple[str, str], ...]:
    values = {name: str(_texts(connection, f"PRAGMA main.{name}")[0][0]) for name in _DATABASE_PRAGMAS}
    found = journal_mode or str(_texts(connection, "PRAGMA main.journal_mode")[0][0])
    # Only WAL is a property of the file; the kinds of rollback journal are each connection's own choice.
    values["journal_mode"] = "wal" if found == "wal" else "delete"
    return tuple(sorted(values.items()))


def _affinity(declared: str) -> str:
    # The rules and their order: https://sqlite.org/datatype3.html, section 3.1.
    declared = declared.upper()
    for affinity, words in _AFFINITY_WORDS:
        if any(word in declared for word in words):
            return affinity
    return "NUMERIC" if declared else "BLOB"


def _internal(name: object) -> bool:
    return str(name).lower().startswith(_INTERNAL_PREFIX)


def _fence(one: SchemaObject) -> bool:
    return one.type == "trigger" and one.name.startswith(FENCE_PREFIX)
