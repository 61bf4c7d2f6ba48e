"""Building a database file where there is none."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from maos_ckpt.errors import ConflictError, SourceError
from maos_ckpt.model import Row
from maos_ckpt.seams import SYSTEM
from maos_ckpt.sources.change import Change
from maos_ckpt.sources.sqlite.create import schema_from_rows
from maos_ckpt.sources.sqlite.new_file import create_database
from maos_ckpt.sources.sqlite.schema import SchemaObject, read_schema
from tests.lab.build import build_state
from tests.lab.values import dump_exact, make_hard_database
from tests.sources.changes import changes_between, connect


def build(path: Path, wanted: Path) -> None:
    empty = path.with_name("empty.db")
    sqlite3.connect(empty).close()
    changes = [one for one in changes_between(empty, wanted) if one.descriptor.kind == "table"]
    empty.unlink(missing_ok=True)
    objects, pragmas = schema_from_rows(_schema_rows(wanted))
    create_database(path, SYSTEM, pragmas=pragmas, objects=objects, changes=changes)


def _schema_rows(path: Path) -> list[Row]:
    with closing(connect(path)) as connection:
        schema = read_schema(connection)
    rows: list[Row] = [(one.type, one.name, one.table, one.sql) for one in schema.objects]
    return rows + [("pragma", name, "", value) for name, value in schema.pragmas]


@pytest.mark.parametrize("wal", [False, True], ids=["rollback journal", "WAL"])
def test_a_lost_hard_database_is_built_again_bit_for_bit(tmp_path: Path, wal: bool) -> None:
    wanted, path = tmp_path / "wanted.db", tmp_path / "x.db"
    make_hard_database(wanted)
    with closing(sqlite3.connect(wanted)) as connection:
        connection.execute("PRAGMA page_size = 16384")
        connection.execute("VACUUM")
        connection.execute(f"PRAGMA journal_mode = {'wal' if wal else 'delete'}")
    build(path, wanted)
    assert [one.name for one in tmp_path.iterdir() if not one.name.startswith("wanted")] == ["x.db"]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA page_size").fetchone() == (16384,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal" if wal else "delete",)
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("SELECT rowid FROM documents_index('settlement')").fetchall() == [(40,)]
    was, now = dump_exact(wanted, shadow_tables=True), dump_exact(path, shadow_tables=True)
    was["sqlite_master"].sort()
    now["sqlite_master"].sort()
    assert now == was


def test_a_maos_of_some_size_is_built_again(tmp_path: Path) -> None:
    state = build_state(tmp_path / "work", tmp_path / "claude", 4 << 20, seed=3)
    build(tmp_path / "x.db", state.database)
    assert changes_between(tmp_path / "x.db", state.database) == []
    with closing(sqlite3.connect(tmp_path / "x.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.mark.parametrize("encoding", ["UTF-16le", "UTF-16be"])
def test_settings_of_the_file_are_honoured(tmp_path: Path, encoding: str) -> None:
    wanted = tmp_path / "wanted.db"
    settings = {"encoding": f"'{encoding}'", "auto_vacuum": "2", "user_version": "-5", "application_id": "77"}
    with closing(sqlite3.connect(wanted, isolation_level=None)) as connection:
        for name, value in settings.items():
            connection.execute(f"PRAGMA {name} = {value}")
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v)")
        connection.execute("INSERT INTO t VALUES (1, 'ü')")
    build(tmp_path / "x.db", wanted)
    with closing(sqlite3.connect(tmp_path / "x.db")) as connection:
        found = {name: str(connection.execute(f"PRAGMA {name}").fetchone()[0]) for name in settings}
    assert found == {name: value.strip("'") for name, value in settings.items()}


def test_a_file_that_is_there_is_never_replaced(tmp_path: Path) -> None:
    wanted, path = tmp_path / "wanted.db", tmp_path / "x.db"
    make_hard_database(wanted)
    path.write_bytes(b"precious")
    with pytest.raises(ConflictError, match="There is a file at"):
        build(path, wanted)

    def appear() -> None:
        path.write_bytes(b"precious")

    path.unlink()
    with pytest.raises(ConflictError, match="There is a file at"):
        create_database(path, SYSTEM, pragmas={}, objects=[], changes=[], mark=lambda connection: appear())
    assert path.read_bytes() == b"precious"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["wanted.db", "x.db"]


def test_a_journal_left_by_a_lost_database_is_moved_aside_and_does_no_harm(tmp_path: Path) -> None:
    wanted, path = tmp_path / "wanted.db", tmp_path / "x.db"
    make_hard_database(wanted, wal=True)
    (tmp_path / "x.db-wal").write_bytes((tmp_path / "wanted.db-wal").read_bytes())
    other = tmp_path / "other.db"
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE t (v)")
    build(path, other)
    assert dump_exact(path) == dump_exact(other)
    assert [one.name for one in tmp_path.glob("x.db.lost-*-wal")] != []


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    objects = [SchemaObject("table", "t", "t", "DROP TABLE t")]
    with pytest.raises(SourceError):
        create_database(tmp_path / "x.db", SYSTEM, pragmas={"page_size": "7"}, objects=objects, changes=list[Change]())
    assert list(tmp_path.iterdir()) == []
