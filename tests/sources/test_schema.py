"""What a database says about itself, as typed values."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from maos_ckpt.errors import SourceError
from maos_ckpt.sources.sqlite.schema import Schema, Table, TableKind, quote, read_schema, unknown_collations
from tests.lab.schemas import FAMILIES, Family, create_schema
from tests.lab.values import make_hard_database


@pytest.fixture
def memory() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        yield connection


def table_of(connection: sqlite3.Connection, ddl: str) -> Table:
    connection.execute(ddl)
    tables = read_schema(connection).tables
    assert len(tables) == 1
    return tables[0]


@pytest.fixture(scope="module")
def hard(tmp_path_factory: pytest.TempPathFactory) -> Schema:
    path = tmp_path_factory.mktemp("hard") / "hard.db"
    make_hard_database(path)
    with closing(sqlite3.connect(path)) as connection:
        return read_schema(connection)


def test_only_a_true_integer_primary_key_is_the_rowid(memory: sqlite3.Connection) -> None:
    assert table_of(memory, "CREATE TABLE t (a INTEGER PRIMARY KEY, b)").rowid_column == "a"
    for ddl in (
        "CREATE TABLE t (a INTEGER PRIMARY KEY DESC, b)",
        "CREATE TABLE t (a INT PRIMARY KEY, b)",
        "CREATE TABLE t (a INTEGER, b, PRIMARY KEY (a, b))",
        "CREATE TABLE t (a INTEGER PRIMARY KEY, b) WITHOUT ROWID",
    ):
        memory.execute("DROP TABLE t")
        found = table_of(memory, ddl)
        assert found.rowid_column is None, ddl
        assert found.without_rowid == (found.hidden_rowid is None), ddl


def test_keys_come_in_the_order_of_the_key_and_columns_in_the_order_of_the_table(hard: Schema) -> None:
    table = hard.table("no_rowid")
    assert table is not None
    assert (table.keys, table.columns, table.without_rowid) == (("b", "a"), ("a", "b", "v"), True)


def test_generated_columns_are_not_among_the_stored_ones(hard: Schema) -> None:
    table = hard.table("computed")
    assert table is not None
    assert (table.columns, table.generated) == (("a", "b", "c"), ("total", "kept"))


def test_a_rowid_is_read_by_the_name_that_no_column_has_taken(memory: sqlite3.Connection) -> None:
    assert table_of(memory, "CREATE TABLE t (a)").keys == ("rowid",)
    memory.execute("DROP TABLE t")
    assert table_of(memory, "CREATE TABLE t (ROWID, a)").keys == ("_rowid_",)
    memory.execute("DROP TABLE t")
    assert table_of(memory, "CREATE TABLE t (rowid, _RowId_, a)").keys == ("oid",)
    memory.execute("DROP TABLE t")
    hidden = table_of(memory, "CREATE TABLE t (rowid, oid, _rowid_, position, a TEXT PRIMARY KEY)")
    assert (hidden.positional, hidden.keys) == (True, ("position_",))
    memory.execute("DROP TABLE t")
    named = table_of(memory, "CREATE TABLE t (rowid, oid, _rowid_, a TEXT NOT NULL PRIMARY KEY)")
    assert (named.positional, named.keys, named.hidden_rowid) == (False, ("a",), None)


def test_virtual_tables_hold_no_rows_and_their_shadow_tables_do(hard: Schema) -> None:
    kinds = {table.name: table.kind for table in hard.tables}
    assert kinds["notes"] is TableKind.VIRTUAL
    assert kinds["notes_data"] is TableKind.SHADOW
    notes = hard.table("notes")
    assert notes is not None
    assert notes.columns == ()


def test_objects_are_kept_by_their_sql_without_automatic_indices_and_without_our_fence(
    memory: sqlite3.Connection,
) -> None:
    memory.execute("CREATE TABLE t (a TEXT PRIMARY KEY, n INTEGER)")
    memory.execute("CREATE INDEX i ON t (n)")
    memory.execute("CREATE VIEW v AS SELECT a FROM t")
    memory.execute("CREATE TRIGGER ckpt_fence BEFORE UPDATE ON t BEGIN SELECT RAISE(IGNORE); END")
    memory.execute("CREATE TRIGGER theirs BEFORE UPDATE ON t BEGIN SELECT 1; END")
    memory.execute("CREATE TABLE counted (id INTEGER PRIMARY KEY AUTOINCREMENT)")
    memory.execute("ANALYZE")
    schema = read_schema(memory)
    assert [(one.type, one.name) for one in schema.objects] == [
        ("index", "i"),
        ("table", "counted"),
        ("table", "t"),
        ("trigger", "theirs"),
        ("view", "v"),
    ]
    assert schema.has_sequence
    assert [table.name for table in schema.tables] == ["counted", "t"]


def test_settings_of_the_file_are_part_of_the_schema(hard: Schema) -> None:
    found = dict(hard.pragmas)
    assert found["user_version"] == "41"
    assert (found["encoding"], found["page_size"], found["journal_mode"]) == ("UTF-8", "4096", "delete")


def test_foreign_keys_name_their_columns_and_what_a_deletion_does(hard: Schema) -> None:
    child, parent = hard.table("child"), hard.table("PARENT")
    assert child is not None
    assert parent is not None
    assert [(one.columns, one.parent, one.parent_columns, one.on_delete) for one in child.foreign_keys] == [
        (("of",), "parent", ("id",), "CASCADE")
    ]
    assert parent.foreign_keys[0].on_delete == "NO ACTION"


def test_unique_columns_that_may_be_null_are_no_keys(memory: sqlite3.Connection) -> None:
    ddl = "CREATE TABLE t (id TEXT PRIMARY KEY, a NOT NULL UNIQUE, b UNIQUE, c NOT NULL, d NOT NULL, UNIQUE (d, c))"
    assert table_of(memory, ddl).unique == (("a",), ("d", "c"))


@pytest.mark.parametrize(
    ("declared", "affinity"),
    [
        ("INT", "INTEGER"),
        ("CHARINT", "INTEGER"),
        ("FLOATING POINT", "INTEGER"),
        ("VARCHAR(9)", "TEXT"),
        ("", "BLOB"),
        ("BLOB", "BLOB"),
        ("DOUBLE", "REAL"),
        ("TIMESTAMP", "NUMERIC"),
        ("STRING", "NUMERIC"),
    ],
)
def test_affinities_follow_sqlites_rules(memory: sqlite3.Connection, declared: str, affinity: str) -> None:
    table = table_of(memory, f"CREATE TABLE t (a {declared})")
    assert table.affinity("a") == affinity
    memory.execute("INSERT INTO t VALUES ('12')")
    stored = {"INTEGER": "integer", "NUMERIC": "integer", "TEXT": "text", "BLOB": "text", "REAL": "real"}
    assert memory.execute("SELECT typeof(a) FROM t").fetchone()[0] == stored[affinity]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_of_maos_schemas_is_read(memory: sqlite3.Connection, family: Family) -> None:
    create_schema(memory, family)
    schema = read_schema(memory)
    checkpoints = schema.table("checkpoints")
    assert checkpoints is not None
    assert (checkpoints.keys, checkpoints.unique) == (("id",), (("name",),))
    assert (schema.table("orchestrations") is None) == (family == "0.3")


def test_any_name_can_be_quoted_but_one_with_a_nul(memory: sqlite3.Connection) -> None:
    for name in ('a"b', "a'b", "a]b", "", " ", "%s?", "drop", "\U0001f600"):
        memory.execute(f"CREATE TABLE {quote(name)} ({quote(name)} TEXT)")
        assert memory.execute(f"SELECT {quote(name)} FROM {quote(name)}").fetchall() == []
    with pytest.raises(SourceError, match="NUL"):
        quote("a\0b")


def test_collations_that_only_the_application_knows_are_found(tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.create_collation("folded", lambda a, b: (a > b) - (a < b))
        connection.execute("CREATE TABLE t (k TEXT COLLATE folded PRIMARY KEY, v COLLATE NOCASE UNIQUE)")
    with closing(sqlite3.connect(path)) as connection:
        assert unknown_collations(connection, read_schema(connection).tables) == {"folded"}


def test_a_name_that_is_not_utf8_is_refused_in_one_sentence(memory: sqlite3.Connection) -> None:
    memory.execute("PRAGMA writable_schema=ON")
    memory.execute("CREATE TABLE t (a)")
    memory.execute("UPDATE sqlite_master SET name = CAST(x'ff' AS TEXT)")
    memory.text_factory = bytes
    with pytest.raises(SourceError, match="not valid UTF-8") as caught:
        read_schema(memory)
    assert caught.value.hint
    assert memory.text_factory is bytes
