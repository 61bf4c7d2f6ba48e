"""restore --to: a checkpoint, or a part of it, in another place, and the live state as it was."""

from __future__ import annotations

import contextlib
import json
import shlex
import sqlite3
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.cli.support import damage, save, state
from tests.lab.values import dump_exact


def sorted_dump(path: Path) -> dict[str, list[object]]:
    dump = dump_exact(path)
    # The order in which objects were created is none of the content.
    return {name: sorted(rows, key=repr) if name == "sqlite_master" else rows for name, rows in dump.items()}


@pytest.fixture
def spoilt(cli: Cli) -> tuple[str, dict[str, list[object]]]:
    """A checkpoint's id and its tables; the live state has gone on."""
    one, tables = save(cli), sorted_dump(cli.database)
    damage(cli)
    return one, tables


def test_a_new_database_has_exactly_schema_and_content(
    cli: Cli, spoilt: tuple[str, dict[str, list[object]]], tmp_path: Path
) -> None:
    one, tables = spoilt
    before, new = state(cli), tmp_path / "deep" / "new.db"
    dry = cli.ok("restore", one, "--to", f"sqlite:{new}", "--dry-run", "--json").json
    assert (dry["applied"], new.exists()) == (False, False)
    other = cli.fails(4, "restore", one, "--to", f"sqlite:{new}", "--plan", "0" * 64)
    assert "live" not in other["message"]
    shown = cli.ok("restore", one, "--to", f"sqlite:{new}", "--dry-run", "--limit", "0").out.splitlines()[-1]
    assert shown == f"to build exactly this: {dry['command']}"
    done = cli.ok(*shlex.split(dry["command"])[1:], "--json").json
    assert (done["applied"], done["verified"], done["safety_checkpoint"]) == (True, True, None)
    assert sorted_dump(new) == tables
    assert [path.name for path in new.parent.iterdir()] == ["new.db"]
    assert state(cli) == before
    assert cli.fails(4, "restore", one, "--to", f"sqlite:{new}")["kind"] == "conflict"
    assert sorted_dump(new) == tables


def test_a_part_of_it_is_only_that_part(cli: Cli, spoilt: tuple[str, dict[str, list[object]]], tmp_path: Path) -> None:
    one, tables = spoilt
    new = tmp_path / "part.db"
    new.touch()
    cli.ok("restore", one, "--component", "tasks", "--to", f"sqlite:{new}")
    found = sorted_dump(new)
    assert found["tasks"] == tables["tasks"]
    assert found["sqlite_master"] == tables["sqlite_master"]
    assert not any(found[name] for name in ("agents", "sessions", "messages"))
    assert cli.fails(3, "restore", one, "--component", "tusks", "--to", f"sqlite:{tmp_path / 'x.db'}")


def test_one_agent_can_be_put_elsewhere_and_a_single_field_cannot(
    cli: Cli, spoilt: tuple[str, dict[str, list[object]]], tmp_path: Path
) -> None:
    one, tables = spoilt
    new = tmp_path / "agent.db"
    with contextlib.closing(sqlite3.connect(cli.database)) as connection:
        (agent,) = connection.execute("SELECT from_agent FROM messages LIMIT 1").fetchone()
    words = ("restore", one, "--agent", agent, "--with-dependencies", "--to", f"sqlite:{new}")
    plan = cli.ok(*words, "--dry-run", "--json").json["plan"]
    cut = cli.ok(*words, "--dry-run", "--json", "--limit", "1").json["plan"]
    assert (len(plan["changes"]), plan["truncated"]) == (plan["summary"]["added"], False)
    assert (len(cut["changes"]), cut["truncated"], cut["digest"]) == (1, True, plan["digest"])
    assert cli.ok(*words, "--plan", plan["digest"], "--json").json["verified"]
    found = sorted_dump(new)
    assert 0 < len(found["agents"]) <= len(tables["agents"])
    assert 0 < len(found["messages"]) < len(tables["messages"])
    field = f"agents/agents/{agent}:name"
    assert "--record" in cli.fails(2, "restore", one, "--field", field, "--to", f"sqlite:{tmp_path / 'x.db'}")["hint"]


def test_a_whole_maos_can_be_looked_into_side_by_side(
    cli: Cli, spoilt: tuple[str, dict[str, list[object]]], tmp_path: Path
) -> None:
    one, tables = spoilt
    # The part that is recovered for real must be what was put elsewhere.
    before, place = state(cli), tmp_path / "beside"
    place.mkdir()
    out = cli.ok("restore", one, "--to", f"maos:{place}").out
    assert f"--source maos:{place}" in out
    assert state(cli) == before
    assert cli.ok("restore", one, "--yes", "--json").json["verified"]
    assert sorted_dump(place / "maos.db") == tables
    assert transcripts(place / "claude-home") == transcripts(cli.claude_home) != {}
    for name in (".maos/config.yaml", ".claude/agents"):
        there = [path for path in (cli.cwd / name,) if path.is_file()]
        assert [(place / name).read_bytes() for _ in there] == [path.read_bytes() for path in there]
    assert sorted(path.name for path in tmp_path.iterdir() if "unfinished" in path.name) == []
    assert cli.fails(4, "restore", one, "--to", f"maos:{place}")["kind"] == "conflict"


def transcripts(home: Path) -> dict[str, bytes]:
    return {str(path.relative_to(home)): path.read_bytes() for path in home.rglob("*.jsonl")}


def test_files_of_json_lines_hold_the_chosen_records(
    cli: Cli, spoilt: tuple[str, dict[str, list[object]]], tmp_path: Path
) -> None:
    one, tables = spoilt
    cli.ok("restore", one, "--component", "tasks", "--to", f"dir:{tmp_path / 'plain'}")
    files = sorted(str(path.relative_to(tmp_path / "plain")) for path in (tmp_path / "plain").rglob("*.jsonl"))
    assert files == ["tasks/tasks.jsonl"]
    lines = (tmp_path / "plain/tasks/tasks.jsonl").read_text().splitlines()
    assert len(lines) == len(tables["tasks"])
    assert {"component", "collection", "key", "value"} == set(json.loads(lines[0]))


def test_neither_the_live_place_nor_another_kind_is_written_to(cli: Cli, tmp_path: Path) -> None:
    one = save(cli)
    cli.database.unlink()
    assert cli.fails(4, "restore", one, "--to", f"sqlite:{cli.database}")["kind"] == "conflict"
    assert cli.fails(4, "restore", one, "--to", f"maos:{cli.cwd}")["kind"] == "conflict"
    assert not cli.database.exists()
    for to in ("redis://localhost", "sqlite:"):
        assert cli.fails(2, "restore", one, "--to", to)["kind"] == "usage"
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine")
    for kind in ("maos", "dir"):
        assert cli.fails(4, "restore", one, "--to", f"{kind}:{tmp_path / 'full'}")["kind"] == "conflict"
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["file"]
    for kind in ("sqlite", "maos"):
        refused = cli.fails(6, "restore", one, "--to", f"{kind}:/proc/nowhere")
        assert refused["message"].startswith("Nothing can be built at /proc/nowhere")
        assert "--to" in refused["hint"]


def test_a_database_without_maos_is_put_elsewhere_too(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "any.db"
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE t (a PRIMARY KEY, b) WITHOUT ROWID")
        connection.execute("INSERT INTO t VALUES ('x', 1.5), (x'00', NULL)")
    source = ("--source", f"sqlite:{path}", "--repo", str(tmp_path / "repository"))
    cli.ok("save", *source)
    assert cli.ok("restore", "latest", "--to", f"sqlite:{tmp_path / 'new.db'}", "--json", *source).json["verified"]
    assert sorted_dump(tmp_path / "new.db") == sorted_dump(path)
