"""`rescue` and `ps` as an operator types them, on a small real MAOS state."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.lab.build import build_state
from tests.lab.puppet import PuppetMaos
from tests.lab.values import dump_exact


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """The command line in a MAOS directory that a crash has just left, its transcripts in ~/.claude."""
    made = Cli(tmp_path / "team", tmp_path / "home")
    build_state(made.cwd, made.claude_home, 100_000, seed=5, transcript_bytes=20_000)
    made.execute("UPDATE agents SET status = 'active' WHERE rowid = 1")
    return made


@pytest.fixture
def empty(tmp_path: Path) -> Cli:
    """The command line in an empty directory."""
    (tmp_path / "empty").mkdir()
    return Cli(tmp_path / "empty", tmp_path / "home")


def test_a_rescue_is_shown_with_reasons_applied_by_its_digest_and_taken_back(cli: Cli) -> None:
    before = dump_exact(cli.database)
    shown = cli.ok("rescue", "--dry-run", "--json").json
    assert shown["applied"] is False
    assert shown["plan"]["changes"]
    assert all(one["reason"] for one in shown["plan"]["changes"])
    text = cli.ok("rescue", "--dry-run").out
    assert text.startswith(f"rescue of maos:{cli.cwd}\n")
    assert text.count("    because ") == len(shown["plan"]["changes"])
    assert dump_exact(cli.database) == before
    words = shown["command"].split()
    assert words[:2] == ["maos-ckpt", "rescue"]
    done = cli.ok(*words[1:], "--json", "--reason", "power was lost").json
    assert (done["applied"], done["verified"], done["plan"]["digest"]) == (True, True, shown["plan"]["digest"])
    assert cli.ok("rescue", "--yes").out.endswith("Nothing is left to mend.\n")
    assert 'takes back the rescue, made for "power was lost"' in cli.ok("undo", "--dry-run").out
    assert cli.ok("undo", "--yes", "--json").json["verified"]
    assert dump_exact(cli.database) == before


def test_what_belongs_to_a_running_maos_is_a_conflict_and_ps_shows_that_maos(cli: Cli, empty: Cli) -> None:
    with PuppetMaos(cli.cwd, cli.claude_home) as maos:
        maos.call("create_agent", "own-00000001", "Own", "tester", [], {})
        maos.call("update_agent_session", "own-00000001", "session_own", None)
        # What the crash before left is mended beside it; then nothing is left but its own.
        assert cli.ok("rescue", "--yes", "--json").json["applied"]
        error = cli.fails(4, "rescue", "--yes")
        assert error["data"]["pids"] == [maos.pid]
        assert f"pid {maos.pid}" in error["message"]
        report = empty.ok("ps", "--json").json
        (found,) = [one for one in report["processes"] if one["pid"] == maos.pid]
        assert found["database"] == str(cli.database)
        with closing(sqlite3.connect(cli.database)) as connection:
            sql = "SELECT status, count(*) FROM agents GROUP BY status"
            assert found["agents"] == dict(connection.execute(sql).fetchall())
        assert set(report) == {"processes", "orphans", "notes"}
        assert str(cli.database) in empty.ok("ps").out


def test_an_agent_is_continued_by_one_command(cli: Cli) -> None:
    cli.save()
    with closing(sqlite3.connect(cli.database)) as connection:
        sessions = dict(connection.execute("SELECT id, session_id FROM agents WHERE session_id IS NOT NULL"))
    transcripts = {one.stem: one for one in cli.claude_home.rglob("*.jsonl") if one.parent.name != "subagents"}
    agent, session = next((name, one) for name, one in sessions.items() if one in transcripts)
    command = f"cd {cli.cwd} && claude --resume {session}"
    told = cli.ok("rescue", "--agent", agent, "--json").json
    assert told == {
        "agent": agent,
        "session": session,
        "checkpoint": None,
        "applied": False,
        "resume_commands": [command],
    }
    content = transcripts[session].read_bytes()
    transcripts[session].unlink()
    done = cli.ok("rescue", "--agent", agent, "--yes", "--json").json
    assert (done["verified"], done["resume_commands"]) == (True, [command])
    assert transcripts[session].read_bytes() == content
    again = cli.ok("rescue", "--agent", agent, "--at", "latest", "--yes")
    assert again.out.endswith(f"    {command}\n")
    assert cli.run("rescue", "--agent", "nobody", "--yes").code == 3
    assert cli.run("rescue", "--at", "latest").code == 2
