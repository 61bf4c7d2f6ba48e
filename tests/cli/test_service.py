"""The engine without a screen, beside other commands, and the demo."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from maos_ckpt.ids import is_checkpoint_id
from tests.cli.conftest import TIMEOUT_S, Cli
from tests.lab.build import build_state


class Running:
    """A command that goes on until it is told to stop; its output as JSON lines."""

    def __init__(self, cli: Cli, *arguments: str) -> None:
        self.process = subprocess.Popen(
            cli.command(*arguments, "--json"),
            cwd=cli.cwd,
            env=cli.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.seen: list[dict[str, Any]] = []

    def wait_for(self, event: str) -> dict[str, Any]:
        """Read lines up to the next one of that event."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            found: dict[str, Any] = json.loads(line)
            self.seen.append(found)
            if found["event"] == event:
                return found
        raise AssertionError(f"no {event}: {self.process.stderr and self.process.stderr.read()}")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Send a signal; returns exit code and standard error."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=TIMEOUT_S)
        self.seen += [json.loads(line) for line in out.splitlines()]
        assert "Traceback" not in err, err
        said = [line for line in err.splitlines() if " INFO " not in line]
        return self.process.returncode, "\n".join(said)


@contextlib.contextmanager
def running(cli: Cli, *arguments: str) -> Iterator[Running]:
    one = Running(cli, *arguments)
    try:
        yield one
    finally:
        if one.process.poll() is None:
            one.process.kill()
        one.process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_engine_runs_in_the_foreground_and_ends_cleanly(cli: Cli, number: signal.Signals) -> None:
    with running(cli, "--headless", "--interval", "0.5") as engine:
        started = engine.wait_for("EngineStarted")
        assert started["interval_s"] == 0.5
        first = engine.wait_for("CheckpointCreated")
        assert first["trigger"] == "schedule"
        assert is_checkpoint_id(first["checkpoint"])
        engine.wait_for("CheckpointCreated")
        assert engine.stop(number) == (0, "")
        assert engine.seen[-1]["event"] == "EngineStopped"
    listed = cli.ok("list", "--json").json["checkpoints"]
    assert {one["id"] for one in listed} >= {first["checkpoint"]}
    assert cli.ok("verify", "--all", "--level", "full", "--json").json["ok"]


def test_a_running_save_is_finished_before_the_end(cli: Cli, tmp_path: Path) -> None:
    large = Cli(tmp_path / "large", cli.home)
    build_state(large.cwd, cli.claude_home, 40 << 20, seed=3)
    with running(large, "--headless", "--interval", "3600") as engine:
        engine.wait_for("EngineStarted")
        deadline = time.monotonic() + TIMEOUT_S
        while not list((large.repository / "tmp").iterdir()) and time.monotonic() < deadline:
            time.sleep(0.005)
        assert engine.stop() == (0, "")
        assert [one["event"] for one in engine.seen] == ["EngineStarted", "CheckpointCreated", "EngineStopped"]
    assert len(large.ok("list", "--json").json["checkpoints"]) == 1


def test_other_commands_work_beside_the_engine(cli: Cli) -> None:
    with running(cli, "--headless", "--interval", "3600") as engine:
        engine.wait_for("CheckpointCreated")
        status = cli.ok("status", "--json").json
        assert status["engine"]["running"]
        assert status["engine"]["pid"] == engine.process.pid
        assert status["engine"]["interval_s"] == 3600
        assert status["engine"]["next_run_at"] > status["last_success"]["at"]
        saved = cli.ok("save", "--json").json["checkpoint"]
        assert engine.wait_for("CheckpointCreated")["checkpoint"] == saved["id"]
        cli.ok("pin", saved["id"])
        assert engine.wait_for("CheckpointMarked")["pinned"]
        assert engine.stop()[0] == 0
    assert not cli.ok("status", "--json").json["engine"]["running"]


def test_a_second_engine_is_refused_and_told_who_runs(cli: Cli) -> None:
    with running(cli, "--headless", "--interval", "3600") as engine:
        engine.wait_for("CheckpointCreated")
        error = cli.fails(4, "--headless")
        assert error["kind"] == "conflict"
        assert str(engine.process.pid) in error["message"]
        assert engine.stop()[0] == 0


def test_events_can_be_followed(cli: Cli) -> None:
    cli.ok("save")
    with running(cli, "events", "--follow") as follower:
        follower.wait_for("CheckpointCreated")
        saved = cli.ok("save", "--json").json["checkpoint"]
        assert follower.wait_for("CheckpointCreated")["checkpoint"] == saved["id"]
        code, err = follower.stop(signal.SIGINT)
        assert code == 130
        assert json.loads(err)["error"]["kind"] == "interrupted"


def test_an_engine_whose_output_is_closed_goes_on(cli: Cli) -> None:
    with running(cli, "--headless", "--interval", "0.3") as engine:
        engine.wait_for("CheckpointCreated")
        assert engine.process.stdout is not None
        engine.process.stdout.close()
        engine.process.stdout = None
        count = len(cli.ok("list", "--json").json["checkpoints"])
        deadline = time.monotonic() + TIMEOUT_S
        while len(cli.ok("list", "--json").json["checkpoints"]) < count + 3 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert len(cli.ok("list", "--json").json["checkpoints"]) >= count + 3
        engine.process.send_signal(signal.SIGTERM)
        assert engine.process.wait(TIMEOUT_S) == 0


def test_an_engine_without_source_or_repository_ends_at_once(empty: Cli) -> None:
    assert empty.fails(6, "--headless", "--source", "maos:gone")["kind"] == "source"
    assert empty.fails(2, "--headless")


def test_the_console_may_not_be_started_by_a_bad_interval(cli: Cli) -> None:
    error = cli.fails(2, "--headless", "--interval", "soon")
    assert "--interval" in error["message"]
    assert cli.fails(7, "--headless", "--read-only")["kind"] == "permission"


def test_the_demo_shows_a_living_maos_and_leaves_nothing_behind(empty: Cli) -> None:
    pytest.importorskip("maos")
    before = set(Path(tempfile.gettempdir()).glob("maos-ckpt-demo-*"))
    began = time.monotonic()
    with running(empty, "demo", "--headless", "--seconds", "5", "--interval", "1") as demo:
        demo.wait_for("CheckpointCreated")
        ready_s = time.monotonic() - began
        demo.wait_for("EngineStopped")
        assert demo.process.wait(TIMEOUT_S) == 0
    created = [one for one in demo.seen if one["event"] == "CheckpointCreated"]
    assert len(created) >= 4
    assert created[-1]["records"] > created[0]["records"], "the sample writes"
    assert ready_s < 5
    assert set(Path(tempfile.gettempdir()).glob("maos-ckpt-demo-*")) <= before
    assert list(empty.cwd.iterdir()) == []


def test_a_demo_that_is_interrupted_ends_its_sample(empty: Cli) -> None:
    pytest.importorskip("maos")
    with running(empty, "demo", "--headless", "--keep", "kept", "--interval", "1") as demo:
        demo.wait_for("CheckpointCreated")
        assert demo.stop()[0] == 0
    assert (empty.cwd / "kept" / "work" / "maos.db").exists()
    left = subprocess.run(["pgrep", "-f", str(empty.cwd)], capture_output=True, text=True, check=False)
    assert left.stdout == ""
    assert empty.fails(4, "demo", "--headless", "--keep", "kept", "--seconds", "1")["kind"] == "conflict"


def test_the_demos_incident_can_be_taken_back(empty: Cli) -> None:
    pytest.importorskip("maos")
    with running(
        empty, "demo", "--headless", "--keep", "kept", "--interval", "1", "--seconds", "6", "--incident"
    ) as demo:
        first = demo.wait_for("CheckpointCreated")["checkpoint"]
        demo.wait_for("EngineStopped")
        assert demo.process.wait(TIMEOUT_S) == 0
    work = Cli(empty.cwd / "kept" / "work", empty.home)
    # What was kept says itself where its transcripts are.
    arguments = ("--json",)
    damage = work.ok("diff", first, "latest", *arguments).json
    failed = [
        one
        for one in damage["changes"]
        if one["collection"] == "tasks" and any(f["after"] == "failed" for f in one.get("fields", []))
    ]
    assert failed
    assert work.ok("restore", first, "--component", "tasks", "--yes", *arguments).json["verified"]
    left = work.ok("diff", first, "live", *arguments).json
    assert not [one for one in left["changes"] if one["collection"] == "tasks" and one["kind"] == "modified"]
