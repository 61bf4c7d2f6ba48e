"""Creating what is missing from the schema that a checkpoint holds, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from maos_ckpt.errors import SourceError
from tests.lab.values import make_hard_database
from tests.sources.applying import apply, logical, make, rows
from tests.sources.changes import changes_between


def test_missing_tables_indices_views_and_triggers_are_created_from_the_schema(tmp_path: Path) -> None:
    wanted, live = tmp_path / "wanted.db", tmp_path / "live.db"
    make_hard_database(wanted)
    make(live, "CREATE TABLE untyped (id INTEGER PRIMARY KEY, v)", "INSERT INTO untyped VALUES (1, 'other')")
    changes = changes_between(live, wanted)
    apply(live, sorted(changes, key=lambda one: one.descriptor.kind != "schema"))
    was, now = logical(wanted), logical(live)
    assert now.pop("pragma") != was.pop("pragma")
    assert now == was
    assert rows(live, "PRAGMA integrity_check") == [("ok",)]
    assert rows(live, "SELECT count(*) FROM documents_index WHERE documents_index MATCH 'broker'") == [(1,)]


@pytest.mark.parametrize(
    "sql",
    [
        "DROP TABLE t",
        "ATTACH DATABASE '/etc/passwd' AS x",
        "CREATE TABLE other (a)",
        "CREATE TABLE bad AS SELECT * FROM t",
        "PRAGMA writable_schema = ON",
        "INSERT INTO t VALUES (99)",
        "CREATE TABLE bad (a) ; DROP TABLE t",
        "CREATE VIRTUAL TABLE bad USING fts5(",
        "nonsense",
        "",
    ],
)
def test_sql_of_a_checkpoint_that_does_not_create_what_it_says_is_refused(tmp_path: Path, sql: str) -> None:
    live = make(tmp_path / "live.db", "CREATE TABLE t (a)", "INSERT INTO t VALUES (1)")
    wanted = make(tmp_path / "wanted.db", "CREATE TABLE t (a)", "INSERT INTO t VALUES (1)", "CREATE TABLE bad (a)")
    (change,) = changes_between(live, wanted)
    before = live.read_bytes()
    with pytest.raises(SourceError, match="table bad does not create it"):
        apply(live, [replace(change, after=("bad", sql))])
    assert live.read_bytes() == before
