"""A recovery that is stopped or killed half-way: before or after, never between, and the next command settles it."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from maos_ckpt.recovery.steps import Step
from tests.cli.conftest import TIMEOUT_S, Cli
from tests.cli.support import damage, save, state

STOPPED = """
import sys
from maos_ckpt.recovery.steps import Step
from maos_ckpt.seams import SYSTEM
class Steps:
    def reached(self, step):
        if step == {step!r}:
            print("inside", file=sys.stderr, flush=True)
            sys.stdin.readline()
object.__setattr__(SYSTEM, "steps", Steps())
from maos_ckpt_tui.__main__ import main
sys.argv = ["maos-ckpt", "restore", "latest", "--yes", "--json"]
sys.exit(main())
"""


@contextlib.contextmanager
def stopped_at(cli: Cli, step: Step) -> Iterator[subprocess.Popen[str]]:
    """A restore that stands behind a step until it reads a line."""
    with subprocess.Popen(
        [sys.executable, "-c", STOPPED.format(step=step.value)],
        cwd=cli.cwd,
        env=cli.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "inside\n"
        yield process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("step", [Step.INTENDED, Step.COMMITTED])
def test_a_signal_takes_a_recovery_back_before_its_commit_and_a_lost_terminal_never(
    cli: Cli, step: Step, number: signal.Signals
) -> None:
    save(cli)
    wanted = state(cli)
    damage(cli)
    damaged = state(cli)
    with stopped_at(cli, step) as process:
        process.send_signal(number)
        out, err = process.communicate("\n", timeout=TIMEOUT_S)
    if step is Step.INTENDED and number != signal.SIGHUP:
        assert process.returncode == 130, err
        assert json.loads(err)["error"]["kind"] == "interrupted"
        assert "as it was" in json.loads(err)["error"]["kept"]
        assert state(cli) == damaged
        assert len(cli.ok("list", "--json").json["checkpoints"]) == 1, "no safety checkpoint is left"
    else:
        assert process.returncode == 0, err
        assert json.loads(out)["verified"]
        assert state(cli) == wanted
    assert cli.ok("status", "--json").json["unfinished_recovery"] is None


def test_a_terminal_that_goes_does_not_stop_a_recovery(cli: Cli) -> None:
    save(cli)
    wanted = state(cli)
    damage(cli)
    with stopped_at(cli, Step.INTENDED) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.send_signal(signal.SIGHUP)
        # Nobody reads any more what it says, as after a dropped connection.
        process.stdout.close()
        process.stderr.close()
        process.communicate("\n", timeout=TIMEOUT_S)
    assert process.returncode == 0
    assert state(cli) == wanted
    assert cli.ok("undo", "--yes", "--json").json["verified"]


def test_a_second_recovery_is_refused_with_how_far_the_first_is(cli: Cli) -> None:
    one = save(cli)
    damage(cli)
    with stopped_at(cli, Step.INTENDED) as process:
        for command in (["restore", one], ["undo"]):
            error = cli.fails(4, *command, "--yes")
            assert error["kind"] == "recovery_running"
            assert error["data"]["pid"] == process.pid
            assert error["data"]["phase"] == "plan"
            assert {"since_ms", "done", "total", "percent", "user", "host", "eta_s"} <= set(error["data"])
        status = cli.ok("status", "--json").json
        assert status["recovery"]["pid"] == process.pid
        assert status["unfinished_recovery"] is None
        process.communicate("\n", timeout=TIMEOUT_S)
    assert cli.ok("status", "--json").json["recovery"] is None
    assert cli.ok("undo", "--yes", "--json").json["verified"]


KILLED = """
import os, sys
from maos_ckpt.recovery.steps import Step
from maos_ckpt.seams import SYSTEM
class Steps:
    def reached(self, step):
        if step == (Step.COMMITTED if {committed!r} else Step.CHECKED):
            os._exit(9)
object.__setattr__(SYSTEM, "steps", Steps())
from maos_ckpt_tui.__main__ import main
sys.argv = ["maos-ckpt", "restore", "latest", "--yes", "--reason", "killed"]
sys.exit(main())
"""


@pytest.mark.parametrize("committed", [False, True])
def test_a_killed_recovery_is_told_and_settled_by_the_next_command(cli: Cli, committed: bool) -> None:
    one = save(cli)
    wanted = state(cli)
    damage(cli)
    damaged = state(cli)
    done = subprocess.run(
        [sys.executable, "-c", KILLED.format(committed=committed)],
        cwd=cli.cwd,
        env=cli.environment(),
        capture_output=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 9, done.stderr
    # The fence that a committed recovery leaves in the schema goes with the next command.
    tables, expected = state(cli)[0], (wanted if committed else damaged)[0]
    assert {name: tables[name] for name in tables if name != "sqlite_master"} == {
        name: expected[name] for name in expected if name != "sqlite_master"
    }
    assert one in cli.ok("status", "--json").json["unfinished_recovery"]
    saved = cli.ok("save")
    assert "interrupted recovery" in saved.err
    assert state(cli) == (wanted if committed else damaged)
    assert cli.ok("status", "--json").json["unfinished_recovery"] is None
    (resumed,) = [event for event in cli.ok("events", "--json").lines if event["event"] == "RecoveryResumed"]
    assert resumed["checkpoint"] == one
    assert resumed["outcome"] == ("finished" if committed else "dropped, since it had changed nothing")
    assert cli.ok("verify", "--all", "--level", "full", "--json").json["ok"]
    if committed:
        assert cli.ok("undo", "--yes", "--json").json["verified"]
        assert state(cli) == damaged
