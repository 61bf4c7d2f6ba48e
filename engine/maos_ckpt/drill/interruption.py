"""The scenario of a recovery that is killed half-way: in the middle of its transaction, and between the database and
the files. Whoever comes next settles it: exactly before, or exactly after."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from typing import IO

import msgspec

from maos_ckpt.drill import faults
from maos_ckpt.drill.afterwards import assert_recovered
from maos_ckpt.drill.stage import Stage
from maos_ckpt.drill.victim import MOMENTS, Order
from maos_ckpt.environment import child_environment
from maos_ckpt.model import Checkpoint, Selection
from maos_ckpt.recovery import journal
from maos_ckpt.recovery.interrupted import finish_interrupted
from maos_ckpt.recovery.steps import Step
from maos_ckpt.repository.repository import Repository

#: A recovery that is to be killed is given up after so long.
_VICTIM_S_MAX = 3600.0
#: Between two looks at whether the drill is to be stopped.
_LOOK_S = 0.2
_STDERR_BYTES_KEPT = 500


def interrupted_recovery(stage: Stage) -> None:
    """Kill a recovery before its commit, settle it, kill one after its commit, settle that."""
    stage.clone_base()
    with stage.opened() as repository:
        checkpoint = repository.resolve(stage.origin.checkpoint.id)
        stage.begin_fault(_break_state(stage, repository, checkpoint))
        damaged = stage.save(repository, "the damaged state")
    _kill(stage, checkpoint, Step.MARKED)
    with stage.opened() as repository:
        told = _settle(stage, repository)
        left = stage.plan(repository, damaged, Selection()).summary.total
        stage.check("killed before its commit, it changed nothing", left == 0, f"{left} records differ; {told}")
    _kill(stage, checkpoint, Step.COMMITTED)
    with stage.opened() as repository:
        told = _settle(stage, repository)
        left = stage.plan(repository, checkpoint, Selection()).summary.total
        stage.check("killed after its commit, it is finished", left == 0, f"{left} records differ; {told}")
        assert_recovered(stage, repository, checkpoint, Selection())


def _break_state(stage: Stage, repository: Repository, checkpoint: Checkpoint) -> str:
    assert stage.database is not None
    found = faults.largest_component(repository, checkpoint, stage.database)
    component, tables = stage.require_found("there is a component to corrupt", found)
    rows = faults.corrupt_tables(stage.database, tables)
    cut = faults.corrupt_transcripts(sorted(stage.place.claude.rglob("*.jsonl")))
    return f"{rows} rows of {component} and {cut} transcripts were corrupted; the recovery of them is killed, twice."


def _kill(stage: Stage, checkpoint: Checkpoint, step: Step) -> None:
    """Let a process of its own recover, and kill itself behind that step, with no chance to clean up."""
    when = MOMENTS[step]
    stage.step(f"recover, killed {when}")
    master = stage.origin.master
    order = Order(
        place=str(stage.place.path),
        spec=stage.origin.checkpoint.source,
        checkpoint=checkpoint.id,
        master=None if master is None else master.reveal(),
        step=step,
    )
    with tempfile.TemporaryFile() as errors:
        code = _run(stage, msgspec.msgpack.encode(order), errors)
        errors.seek(max(errors.seek(0, os.SEEK_END) - _STDERR_BYTES_KEPT, 0))
        told = errors.read().decode("utf-8", "replace").strip()
    detail = f"it ended with {code}. {told}" if code is not None else f"it took longer than {_VICTIM_S_MAX:g} s"
    killed = code == -signal.SIGKILL
    stage.require(f"a recovery was killed {when}", killed, "SIGKILL" if killed else detail)
    noted = journal.under_way(stage.place.repository) is not None
    stage.check(f"what was killed {when} is noted in the journal", noted)


def _run(stage: Stage, order: bytes, errors: IO[bytes]) -> int | None:
    """How the process ended that carries the order out, None where it took too long; the drill can be stopped."""
    command = [sys.executable, "-P", "-m", "maos_ckpt.drill.victim"]
    clock = stage.origin.seams.clock
    until_s = clock.monotonic_s() + _VICTIM_S_MAX
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=errors, env=child_environment()
    ) as process:
        assert process.stdin is not None
        try:
            with process.stdin as pipe:
                pipe.write(order)
            while clock.monotonic_s() < until_s:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    return process.wait(_LOOK_S)
                stage.tell()
        finally:
            process.kill()
    return None


def _settle(stage: Stage, repository: Repository) -> str:
    stage.step("settle it")
    with repository.lease("restore"):
        return finish_interrupted(repository, stage.source(), stage.origin.seams) or "nothing was found to settle"
