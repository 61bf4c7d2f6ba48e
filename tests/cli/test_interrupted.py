"""A recovery that is stopped or killed half-way: before or after, never between, and the next command settles it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest

from tests.cli.conftest import TIMEOUT_S, Cli
from tests.cli.support import damage, save, state

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
