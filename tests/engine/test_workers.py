"""The lanes together: how they end, and in what time."""

from __future__ import annotations

import threading

import pytest

from maos_ckpt.engine.workers import Workers
from maos_ckpt.errors import InterruptedByUserError
from maos_ckpt.model import VerifyLevel
from maos_ckpt.operations.registry import VerifyArguments
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.seams import SYSTEM
from tests.engine.test_lane import WAIT_S, Job


@pytest.fixture
def workers(workspace: Workspace) -> Workers:
    return Workers(workspace, progressed=lambda _: None, failed=lambda name, error, began_ms: None, done=lambda: None)


def test_all_lanes_together_are_waited_for_no_longer_than_was_said(workers: Workers) -> None:
    jobs = [Job(), Job(), Job()]
    for lane, job in zip((workers.writers, workers.readers, workers.drills), jobs, strict=True):
        lane.submit("verify", job)
        assert job.began.wait(WAIT_S)
    workers.close(writer_stops=False)
    began_s = SYSTEM.clock.monotonic_s()
    threading.Timer(0.6, jobs[0].go.set).start()
    assert not workers.join(0.8)
    assert SYSTEM.clock.monotonic_s() - began_s < 1.3
    for job in jobs:
        job.go.set()
    assert workers.join(WAIT_S)


def test_what_a_lane_gives_out_while_the_engine_ends_does_not_begin(workers: Workers) -> None:
    workers.close(writer_stops=False)
    with pytest.raises(InterruptedByUserError, match="before it began"):
        workers.carry_out("verify", VerifyArguments((), VerifyLevel.FULL), workers.readers)
