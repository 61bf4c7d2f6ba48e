"""restore and undo as typed: the plan first, exactly that plan, verified, and taken back again."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path

from tests.cli.conftest import Cli
from tests.cli.support import damage, save, state
from tests.lab.mutate import mutate
from tests.lab.writers import LiveMaos


def test_a_whole_recovery_and_its_undo_bring_every_byte_back(cli: Cli) -> None:
    one = save(cli)
    wanted = state(cli)
    damage(cli)
    damaged = state(cli)
    dry = cli.ok("restore", one, "--dry-run", "--json").json
    assert (dry["applied"], dry["verified"], dry["safety_checkpoint"]) == (False, None, None)
    assert set(dry["plan"]) >= {"id", "digest", "summary", "changes", "findings"}
    assert state(cli) == damaged, "a dry run writes nothing"
    done = cli.ok("restore", one, "--yes", "--reason", "a test", "--plan", dry["plan"]["digest"], "--json").json
    assert (done["applied"], done["verified"]) == (True, True)
    assert done["plan"]["digest"] == dry["plan"]["digest"]
    assert done["plan"]["summary"] == dry["plan"]["summary"]
    assert isinstance(done["duration_s"], float)
    assert state(cli) == wanted
    assert cli.ok("diff", one, "live", "--json").json["changes"] == []
    safety = cli.ok("show", done["safety_checkpoint"], "--json").json["checkpoint"]
    assert safety["trigger"] == "safety"
    assert "a test" in safety["description"]
    undone = cli.ok("undo", "--yes", "--json").json
    assert (undone["applied"], undone["verified"]) == (True, True)
    assert state(cli) == damaged
    events = [event["event"] for event in cli.ok("events", "--json").lines]
    assert events.count("RecoveryCompleted") == 2
    again = cli.ok("undo", "--yes", "--json").json
    assert again["verified"]
    assert state(cli) == wanted


def test_a_plan_that_moved_is_refused_and_nothing_is_written(cli: Cli) -> None:
    one = save(cli)
    damage(cli)
    digest = cli.ok("restore", one, "--dry-run", "--json").json["plan"]["digest"]
    mutate(cli.cwd, 0.3, seed=8)
    moved = state(cli)
    error = cli.fails(4, "restore", one, "--yes", "--plan", digest)
    assert error["kind"] == "plan_moved"
    assert error["data"]["digest"] != digest
    assert state(cli) == moved
    assert cli.fails(4, "restore", one, "--yes", "--plan", "0" * 64)["kind"] == "plan_moved"


def test_one_component_is_recovered_and_the_rest_left_alone(cli: Cli) -> None:
    one = save(cli)
    wanted = state(cli)
    damage(cli)
    damaged = state(cli)
    done = cli.ok("restore", one, "--component", "tasks", "--yes", "--json").json
    assert done["verified"]
    assert set(done["plan"]["by_component"]) == {"tasks"}
    now = state(cli)
    assert now[0]["tasks"] == wanted[0]["tasks"]
    assert now[0]["messages"] == damaged[0]["messages"]
    assert now[1] == damaged[1]


def test_single_records_are_recovered_by_glob(cli: Cli) -> None:
    one = save(cli)
    with contextlib.closing(sqlite3.connect(cli.database)) as connection, connection:
        keys = [key for (key,) in connection.execute("SELECT id FROM agents ORDER BY id")]
        connection.execute("UPDATE agents SET status = 'lost'")
    done = cli.ok("restore", one, "--record", f"agents/agents/{keys[0]}", "--yes", "--json").json
    assert done["plan"]["summary"] == {"added": 0, "modified": 1, "removed": 0}
    with contextlib.closing(sqlite3.connect(cli.database)) as connection:
        left = connection.execute("SELECT id FROM agents WHERE status != 'lost'").fetchall()
    assert left == [(keys[0],)]


def test_a_partial_recovery_removes_nothing_unless_asked_to(cli: Cli) -> None:
    one = save(cli)
    with contextlib.closing(sqlite3.connect(cli.database)) as connection, connection:
        connection.execute("INSERT INTO tasks(id, description, status) VALUES ('extra', 'x', 'pending')")
    upsert = cli.ok("restore", one, "--component", "tasks", "--dry-run", "--json").json["plan"]
    assert upsert["summary"]["removed"] == 0
    exact = cli.ok("restore", one, "--component", "tasks", "--exact", "--dry-run", "--json").json["plan"]
    assert exact["summary"]["removed"] == 1


def test_nothing_to_do_is_said_and_makes_no_safety_checkpoint(cli: Cli) -> None:
    one = save(cli)
    done = cli.ok("restore", one, "--yes", "--json").json
    assert (done["applied"], done["verified"], done["safety_checkpoint"]) == (False, True, None)
    assert len(cli.ok("list", "--json").json["checkpoints"]) == 1
    assert "nothing" in cli.ok("restore", one, "--dry-run").out


def test_undo_without_a_recovery_is_not_found(cli: Cli) -> None:
    save(cli)
    assert cli.fails(3, "undo", "--yes")["kind"] == "not_found"


def test_without_a_terminal_a_recovery_wants_yes_or_dry_run(cli: Cli) -> None:
    one = save(cli)
    damage(cli)
    before = state(cli)
    for command in (["restore", one], ["undo"]):
        hint = cli.fails(2, *command)["hint"]
        assert "--dry-run" in hint
        assert "--yes" in hint
    assert state(cli) == before


def test_read_only_plans_but_does_not_apply(cli: Cli) -> None:
    one = save(cli)
    damage(cli)
    before = state(cli)
    assert cli.ok("--read-only", "restore", one, "--dry-run", "--json").json["plan"]["summary"]["modified"] > 0
    assert cli.fails(7, "--read-only", "restore", one, "--yes")["kind"] == "permission"
    assert state(cli) == before


def test_a_lost_database_is_brought_back(cli: Cli) -> None:
    one = save(cli)
    wanted = state(cli)
    cli.database.unlink()
    assert one in cli.ok("list").out
    done = cli.ok("restore", one, "--yes", "--json").json
    assert done["verified"]
    assert state(cli) == wanted


def test_a_lost_directory_is_brought_back_from_a_repository_elsewhere(cli: Cli, tmp_path: Path) -> None:
    repository = ("--repo", str(tmp_path / "kept"))
    one = cli.ok("save", "--json", *repository).json["checkpoint"]["id"]
    wanted = state(cli)
    shutil.rmtree(cli.cwd)
    source = ("--source", f"maos:{cli.cwd}")
    result = cli.run("restore", one, "--yes", "--json", *repository, *source, cwd=cli.home)
    assert result.code == 0, result.err
    assert state(cli) == wanted


def test_unknown_components_and_records_are_named(cli: Cli) -> None:
    one = save(cli)
    assert cli.fails(3, "restore", one, "--component", "agnets", "--dry-run")["kind"] == "not_found"
    assert cli.fails(3, "restore", "cp_zzzzzzzzzzzzzzz", "--yes")["kind"] == "not_found"


def test_recovery_into_a_maos_that_is_writing(cli: Cli) -> None:
    with LiveMaos(cli.cwd, cli.claude_home, rate_per_s=50, concurrency=8) as maos:
        one = save(cli)
        mutate(cli.cwd, 0.1, seed=6)
        done = cli.run("restore", one, "--yes", "--json")
        assert done.code in (0, 8), done.err
        assert done.json["applied"]
        assert done.json["plan"]["running"]
        undone = cli.run("undo", "--yes", "--json")
        assert undone.code in (0, 8), undone.err
    report = maos.report
    assert report is not None
    assert not report["errors"], report
