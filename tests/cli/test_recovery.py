"""restore and undo as typed: the plan first, exactly that plan, verified, and taken back again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pty
import select
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import TIMEOUT_S, Cli
from tests.lab.mutate import mutate
from tests.lab.values import dump_exact
from tests.lab.writers import LiveMaos


def state(cli: Cli) -> tuple[dict[str, Any], dict[str, str]]:
    """Every table's rows, and the bytes of transcripts and project files."""
    files = [*cli.claude_home.rglob("*.jsonl"), *(cli.cwd / ".claude").rglob("*.md"), *(cli.cwd / ".maos").iterdir()]
    return dump_exact(cli.database), {str(one): hashlib.sha256(one.read_bytes()).hexdigest() for one in sorted(files)}


def save(cli: Cli) -> str:
    return str(cli.save()["id"])


def damage(cli: Cli) -> None:
    """Change rows through SQL, a transcript's middle and end, and project files."""
    mutate(cli.cwd, 0.2, seed=4)
    transcript = next(cli.claude_home.rglob("*.jsonl"))
    lines = transcript.read_bytes().splitlines(keepends=True)
    transcript.write_bytes(b"".join(lines[: len(lines) // 2]) + b'{"type":"user","message":"nonsense"}\n')
    (cli.cwd / ".claude" / "agents" / "rogue.md").write_text("---\nname: rogue\n---\nBreak things.\n")
    next((cli.cwd / ".maos").iterdir()).write_text("interval: 0\n")


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
    assert (safety["trigger"], safety["pinned"]) == ("safety", True)
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


PATCHED = """
import sys
from maos_ckpt.model import Progress
from maos_ckpt.operations import recoveries
from maos_ckpt.seams import SYSTEM
original = recoveries.apply_plan
def slow(repository, source, request, progress, seams):
    progress(Progress("recovery", {phase!r}))
    print("inside", file=sys.stderr, flush=True)
    SYSTEM.clock.sleep(1.0)
    return original(repository, source, request, progress, seams)
recoveries.apply_plan = slow
from maos_ckpt_tui.__main__ import main
sys.argv = ["maos-ckpt", "restore", "latest", "--yes", "--json"]
sys.exit(main())
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(("phase", "code"), [("write", 130), ("commit", 0)])
def test_a_signal_stops_a_recovery_before_its_commit_and_not_after(
    cli: Cli, phase: str, code: int, number: signal.Signals
) -> None:
    save(cli)
    wanted = state(cli)
    damage(cli)
    damaged = state(cli)
    with subprocess.Popen(
        [sys.executable, "-c", PATCHED.format(phase=phase)],
        cwd=cli.cwd,
        env=cli.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "inside\n"
        process.send_signal(number)
        out, err = process.communicate(timeout=TIMEOUT_S)
        assert process.returncode == code, err
    if code:
        assert json.loads(err)["error"]["kind"] == "interrupted"
        assert state(cli) == damaged
    else:
        assert json.loads(out)["verified"]
        assert state(cli) == wanted
    assert cli.ok("status", "--json").json["unfinished_recovery"] is None


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


# On a terminal


class Terminal:
    """Runs a command with a pseudo-terminal as its three streams."""

    def __init__(self, cli: Cli, *arguments: str) -> None:
        self.fd, side = pty.openpty()
        self.process = subprocess.Popen(
            cli.command(*arguments), cwd=cli.cwd, env=cli.environment(), stdin=side, stdout=side, stderr=side
        )
        os.close(side)
        self.text = ""

    def read_until(self, wanted: str) -> str:
        """Read until `wanted` shows, or the command ends."""
        while wanted not in self.text:
            readable, _, _ = select.select([self.fd], [], [], TIMEOUT_S)
            assert readable, self.text
            try:
                data = os.read(self.fd, 65_536)
            except OSError:
                break
            if not data:
                break
            self.text += data.decode("utf-8", "replace")
        return self.text

    def type(self, text: str) -> None:
        """Type something."""
        os.write(self.fd, text.encode())

    def end(self) -> int:
        """Read the rest; returns the exit code."""
        self.read_until("\0never")
        os.close(self.fd)
        return self.process.wait(TIMEOUT_S)


@pytest.mark.parametrize("answer", ["n\n", "\n", "nonsense\n", "\x04"])
def test_on_a_terminal_the_plan_is_shown_and_no_is_the_default(cli: Cli, answer: str) -> None:
    one = save(cli)
    damage(cli)
    before = state(cli)
    terminal = Terminal(cli, "restore", one)
    terminal.read_until("[y/N]")
    assert "MODIFIED" in terminal.text
    terminal.type(answer)
    assert terminal.end() == 0
    assert "Nothing was changed" in terminal.text
    assert state(cli) == before


def test_on_a_terminal_yes_applies_the_plan_that_was_shown(cli: Cli) -> None:
    one = save(cli)
    wanted = state(cli)
    damage(cli)
    terminal = Terminal(cli, "restore", one, "--reason", "typed")
    terminal.read_until("[y/N]")
    terminal.type("y\n")
    assert terminal.end() == 0
    assert "undo" in terminal.text
    assert state(cli) == wanted


def test_a_plan_that_moves_while_the_question_stands_is_not_applied(cli: Cli) -> None:
    one = save(cli)
    damage(cli)
    terminal = Terminal(cli, "restore", one)
    terminal.read_until("[y/N]")
    mutate(cli.cwd, 0.3, seed=8)
    moved = state(cli)
    terminal.type("y\n")
    assert terminal.end() == 4
    assert state(cli) == moved


def test_progress_is_one_line_that_is_wiped_and_never_among_the_data(cli: Cli, tmp_path: Path) -> None:
    from tests.lab.build import build_state

    large = Cli(tmp_path / "large", cli.home)
    build_state(large.cwd, cli.claude_home, 40 << 20, seed=3)
    terminal = Terminal(large, "save", "--json")
    assert terminal.end() == 0
    assert "save: " in terminal.text
    assert "\r\x1b[K" in terminal.text
    assert "/s" in terminal.text
    body = terminal.text.rpartition("\x1b[K")[2]
    assert json.loads(body)["checkpoint"]["records"] > 0
    piped = large.ok("save")
    assert piped.err == ""
