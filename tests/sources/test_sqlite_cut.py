"""`sqlite:PATH`: what is a collection beside the tables."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from maos_ckpt.errors import NotFoundError
from tests.lab.values import make_hard_database
from tests.sources.states import find, rows_of, sqlite_source


def test_counters_are_a_collection_and_the_first_of_two_entries_counts(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    with closing(sqlite3.connect(path)) as connection:
        for name in ("b", "a"):
            connection.execute(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY AUTOINCREMENT)")
            connection.execute(f"INSERT INTO {name} VALUES (41)")
        connection.execute(
            "INSERT INTO sqlite_sequence VALUES ('a', 7), (NULL, 1), (x'61', 2), (CAST(x'ff' AS TEXT), 3)"
        )
        connection.commit()
    with closing(sqlite_source(path).open_cut(tmp_path)) as cut:
        assert rows_of(cut, "database/sqlite_sequence") == [("a", 41), ("b", 41)]


def test_a_table_may_be_called_like_the_schema(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE schema (id INTEGER PRIMARY KEY, v)")
        connection.execute("INSERT INTO schema VALUES (1, 'row')")
        connection.commit()
    with closing(sqlite_source(path).open_cut(tmp_path)) as cut:
        assert rows_of(cut, "database/schema") == [(1, "row")]
        assert rows_of(cut, "database/schema_")[-1][0] == "table"


def test_a_collection_of_another_cut_is_not_found(tmp_path: Path) -> None:
    make_hard_database(tmp_path / "hard.db")
    with closing(sqlite3.connect(tmp_path / "t.db")) as connection:
        connection.execute("CREATE TABLE t (id)")
    with closing(sqlite_source(tmp_path / "hard.db").open_cut(tmp_path)) as other:
        stranger = find(other, "database/no_key")
    with (
        closing(sqlite_source(tmp_path / "t.db").open_cut(tmp_path)) as cut,
        pytest.raises(NotFoundError, match="no collection database/no_key"),
    ):
        list(cut.rows(stranger))


def test_the_memo_of_an_unchanged_file_asks_for_nothing_and_any_other_for_everything(tmp_path: Path) -> None:
    path = tmp_path / "hard.db"
    make_hard_database(path)
    with closing(sqlite_source(path).open_cut(tmp_path)) as cut:
        memo = cut.memo
    with closing(sqlite_source(path).open_cut(tmp_path)) as cut:
        assert all(cut.changed_ranges(one, memo) == [] for one in cut.descriptors())
        for other in (b"", b"garbage", memo[:-1], memo + b"x"):
            assert all(cut.changed_ranges(one, other) is None for one in cut.descriptors())
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM no_key")
        connection.commit()
    with closing(sqlite_source(path).open_cut(tmp_path)) as cut:
        assert all(cut.changed_ranges(one, memo) is None for one in cut.descriptors())
