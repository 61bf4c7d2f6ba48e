"""Values and keys in JSON output, by the real program: nothing that differs in the database looks alike."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Cli

VALUES: list[tuple[str, Any]] = [
    ("NULL", None),
    ("'NULL'", "NULL"),
    ("5", 5),
    ("'5'", "5"),
    ("9007199254740993", 9007199254740993),
    ("0.5", 0.5),
    ("x'00ff'", {"$bytes": "AP8="}),
    ("'x''00ff'''", "x'00ff'"),
    ("CAST(x'ff' AS TEXT)", {"$text": "/w=="}),
    ("9e999", {"$real": "inf"}),
    ("'{\"a\": null}'", '{"a": null}'),
]


@pytest.fixture
def table(empty: Cli, tmp_path: Path) -> Cli:
    """A database with one row of each kind of value, saved twice: first as `'before'`, then as itself."""
    path = tmp_path / "empty" / "any.sqlite"
    empty.variables["MAOS_CKPT_SOURCES"] = f"sqlite:{path}"
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE t (k PRIMARY KEY, v)")
        connection.executemany("INSERT INTO t VALUES (?, 'before')", [(f"row {n}",) for n in range(len(VALUES))])
    empty.save()
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        for number, (literal, _) in enumerate(VALUES):
            connection.execute(f"UPDATE t SET v = {literal} WHERE k = 'row {number}'")
    empty.save()
    return empty


def test_diff_restore_records_and_history_give_typed_values(table: Cli) -> None:
    wanted = {f"row {number}": value for number, (_, value) in enumerate(VALUES)}
    forward = table.ok("diff", "latest~1", "latest", "--json").json["changes"]
    assert {one["key"]: one["fields"][0]["after"] for one in forward} == wanted
    assert {one["fields"][0]["before"] for one in forward} == {"before"}
    back = table.ok("restore", "latest~1", "--dry-run", "--json").json["plan"]["changes"]
    assert {one["key"]: one["fields"][0]["before"] for one in back} == wanted
    found = table.ok("records", "latest", "--record", "row *", "--json").lines
    assert {one["key"]: one["value"]["v"] for one in found} == wanted
    for number, (_, value) in enumerate(VALUES):
        versions = table.ok("history", f"row {number}", "--json").json["versions"]
        assert versions[-1]["fields"] == [{"path": "v", "before": "before", "after": value}]


def test_keys_of_different_types_are_told_apart_and_found_as_shown(table: Cli, tmp_path: Path) -> None:
    keys = {"5": 5, "'5'": "5", "'NULL'": "NULL", "x'00ff'": b"\x00\xff", "'x''00ff'''": "x'00ff'", "0.5": 0.5}
    with contextlib.closing(sqlite3.connect(tmp_path / "empty" / "any.sqlite")) as connection, connection:
        connection.executemany("INSERT INTO t VALUES (?, 'odd')", [(key,) for key in keys.values()])
    table.save()
    added = table.ok("diff", "latest~1", "latest", "--json").json["changes"]
    assert {one["key"] for one in added} == set(keys)
    for shown in keys:
        matched = table.ok("history", f"database/t/{shown}", "--json").json["matched"]
        assert f"database/t/{shown}" in matched
    # Of a whole path as shown, only that record is meant where its quotes say so.
    assert table.ok("history", "'5'", "--json").json["matched"] == ["database/t/'5'"]


def test_history_takes_a_glob_that_means_one_record_and_names_what_resembles_a_wrong_key(cli: Cli) -> None:
    cli.save()
    keys = [line["key"] for line in cli.ok("records", "latest", "--record", "agents/agents/*", "--json").lines]
    key = keys[0]
    path = f"agents/agents/{key}"
    for typed in (key, path, f"agents/agents/{key[:-2]}*", f"agents/*/*{key[3:]}"):
        assert cli.ok("history", typed, "--json").json["matched"] == [path]
    error = cli.fails(2, "history", "agents/agents/*")
    assert all(one.startswith("agents/agents/") for one in error["data"]["candidates"])
    missing = cli.fails(3, "history", key[:-1] + "~")
    assert path in missing["data"]["nearest"]
    assert missing["data"]["nearest"][0] in missing["hint"]
    assert cli.fails(3, "history", "zzzzzzzzzzzz~~~~")["data"]["nearest"] == []
    # A record that is long gone is found as well.
    cli.execute("PRAGMA foreign_keys = OFF")
    cli.execute("DELETE FROM agents WHERE id = ?", key)
    cli.save()
    found = cli.ok("history", f"agents/agents/{key[:-1]}*", "--json").json["versions"]
    assert [one["kind"] for one in found] == ["added", "removed"]
