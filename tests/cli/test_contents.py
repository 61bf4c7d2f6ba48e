"""Looking inside: diff, records, history and export."""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
from pathlib import Path

from tests.cli.conftest import HOSTILE, Cli
from tests.lab.mutate import mutate

RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def test_diff_lists_exactly_the_changed_records_and_fields(cli: Cli) -> None:
    cli.save()
    changed = mutate(cli.cwd, 0.1, seed=9)
    with contextlib.closing(sqlite3.connect(cli.database)) as connection:
        victim = connection.execute("SELECT id FROM tasks ORDER BY id").fetchone()[0]
    cli.execute("DELETE FROM tasks WHERE id = ?", victim)
    cli.execute("INSERT INTO agents(id, name, type, session_id, status) VALUES ('new-1', 'n', 't', 's', 'active')")
    result = cli.ok("diff", "latest", "live", "--json").json
    found = {(one["collection"], one["key"]): one for one in result["changes"]}
    assert found[("agents", "new-1")]["kind"] == "added"
    assert found[("tasks", victim)]["kind"] == "removed"
    for table in ("agents", "sessions", "messages"):
        keys = {key for collection, key in found if collection == table} - {"new-1"}
        assert keys == {str(key) for key in changed[table]}
    modified = [one for one in found.values() if one["kind"] == "modified"]
    assert all(one["fields"] for one in modified)
    turns = [f["path"] for one in modified if one["collection"] == "sessions" for f in one["fields"]]
    assert any(path.startswith("conversation_history[") for path in turns)
    counts = {kind: sum(one["kind"] == kind for one in found.values()) for kind in ("added", "modified", "removed")}
    assert result["summary"] == counts
    assert not result["truncated"]


def test_diff_between_checkpoints_equals_the_diff_against_live(cli: Cli) -> None:
    cli.save()
    mutate(cli.cwd, 0.1, seed=9)
    live = cli.ok("diff", "latest", "live", "--json").json
    cli.save()
    stored = cli.ok("diff", "latest~1", "latest", "--json").json
    assert stored["changes"] == live["changes"]
    back = cli.ok("diff", "latest", "latest~1", "--json").json
    assert back["summary"]["added"] == stored["summary"]["removed"]
    assert cli.ok("diff", "latest", "live", "--stat", "--json").json["summary"] == {
        "added": 0,
        "modified": 0,
        "removed": 0,
    }


def test_diff_counts_all_and_lists_what_was_asked_for(cli: Cli) -> None:
    cli.save()
    mutate(cli.cwd, 0.3, seed=2)
    stat = cli.ok("diff", "latest", "--stat", "--json").json
    assert "changes" not in stat
    some = cli.ok("diff", "latest", "--limit", "3", "--json").json
    assert len(some["changes"]) == 3
    assert some["truncated"]
    assert some["summary"] == stat["summary"]
    assert "more changes; --limit" in cli.ok("diff", "latest", "--limit", "3").out


def test_records_stream_as_json_lines_with_every_value(cli: Cli) -> None:
    cli.execute("UPDATE tasks SET description = ?, result = x'00ff' WHERE rowid = 1", HOSTILE)
    one = cli.save()
    lines = cli.ok("records", "latest", "--json").lines
    assert len(lines) == one["records"]
    assert all(set(line) == {"component", "collection", "key", "value"} for line in lines)
    tasks = [line["value"] for line in cli.ok("records", "latest", "--component", "tasks", "--json").lines]
    assert {line["component"] for line in lines} >= {"agents", "tasks", "memory", "queue", "system"}
    (odd,) = [task for task in tasks if task["description"] == HOSTILE]
    assert odd["result"] == {"$bytes": "AP8="}
    key = next(line["key"] for line in lines if line["collection"] == "agents")
    assert [
        line["key"] for line in cli.ok("records", "latest", "--record", f"agents/agents/{key}", "--json").lines
    ] == [key]
    assert len(cli.ok("records", "latest", "--limit", "2", "--json").lines) == 2
    assert cli.ok("records", "latest", "--record", "nothing-like-it").out == ""


def test_history_tells_how_one_record_changed(cli: Cli) -> None:
    first = cli.save()
    with contextlib.closing(sqlite3.connect(cli.database)) as connection:
        (key,) = connection.execute("SELECT id FROM agents ORDER BY id").fetchone()
    cli.execute("UPDATE agents SET status = 'lost' WHERE id = ?", key)
    second = cli.save()
    cli.save()
    cli.execute("PRAGMA foreign_keys = OFF")
    cli.execute("DELETE FROM agents WHERE id = ?", key)
    fourth = cli.save()
    versions = cli.ok("history", f"agents/agents/{key}", "--json").json["versions"]
    assert [(one["checkpoint"], one["kind"]) for one in versions] == [
        (first["id"], "added"),
        (second["id"], "modified"),
        (fourth["id"], "removed"),
    ]
    assert [f["path"] for f in versions[1]["fields"]] == ["status"]
    added, _, removed = ({f["path"]: f for f in one["fields"]} for one in versions)
    assert added.keys() == removed.keys() > {"name", "status", "metadata"}
    assert removed["status"] == {"path": "status", "before": "lost"}
    assert added["name"]["after"] == removed["name"]["before"]
    text = cli.ok("history", key).out
    assert text.startswith(f"3 versions of agents/agents/{key}\n")
    assert text.count(f"    name: {added['name']['after']}\n") == 2
    newest = cli.ok("history", key, "--limit", "1", "--json").json
    assert (newest["omitted"], newest["versions"]) == (2, versions[2:])


def test_export_gives_plain_files_that_hold_every_record(cli: Cli, tmp_path: Path) -> None:
    one = cli.save()
    target = tmp_path / "out" / "deep"
    files = cli.ok("export", "latest", "--to", str(target), "--json").json["files"]
    assert sum(f["records"] for f in files) == one["records"]
    for file in files:
        lines = Path(file["path"]).read_text(encoding="utf-8").splitlines()
        assert len(lines) == file["records"]
        assert all(json.loads(line)["collection"] == file["collection"] for line in lines)
        assert Path(file["path"]).stat().st_mode & 0o077 == 0
    about = json.loads((target / "checkpoint.json").read_text(encoding="utf-8"))
    assert about["checkpoint"] == one["id"]
    assert cli.fails(4, "export", "latest", "--to", str(target))["kind"] == "conflict"
    assert cli.fails(2, "export", "latest", "--to", str(target / "checkpoint.json"))


def test_export_of_hostile_table_names_stays_inside_its_directory(cli: Cli, tmp_path: Path) -> None:
    for name in ("../../escape", "a/b", ".", "..", "x" * 300, "NUL:\n\x1b", "Ä", "ä"):
        cli.execute('CREATE TABLE "{}" (k TEXT PRIMARY KEY)'.format(name.replace('"', '""')))
        cli.execute('INSERT INTO "{}" VALUES (?)'.format(name.replace('"', '""')), name)
    cli.save()
    target = tmp_path / "out"
    files = cli.ok("export", "latest", "--to", str(target), "--json").json["files"]
    assert len({file["path"] for file in files}) == len(files)
    assert all(target in Path(file["path"]).parents for file in files)
    assert not (tmp_path / "escape.jsonl").exists()
