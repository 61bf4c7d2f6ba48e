"""A lane carries out operations one after the other, refuses too many, and ends with the running one finished."""

from __future__ import annotations

import functools
import threading

import pytest

from maos_ckpt.engine.lane import OPERATIONS_QUEUED_MAX, Lane
from maos_ckpt.errors import ConflictError, InterruptedByUserError, SourceError
from maos_ckpt.model import Progress
from maos_ckpt.seams import SYSTEM

WAIT_S = 10.0


class Job:
    """Stands still until it is let go."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self.go = threading.Event()

    def __call__(self) -> str:
        self.began.set()
        assert self.go.wait(WAIT_S)
        return "done"


def ended(lane: Lane) -> bool:
    lane.close()
    return lane.join(WAIT_S)


def test_operations_run_in_order_and_one_at_a_time() -> None:
    lane, order, inside = Lane("test", SYSTEM), [], threading.Semaphore(1)

    def job(number: int) -> int:
        assert inside.acquire(blocking=False)
        order.append(number)
        inside.release()
        return number

    futures = [lane.submit("save", functools.partial(job, number)) for number in range(10)]
    assert [future.result(WAIT_S) for future in futures] == list(range(10))
    assert order == list(range(10))
    assert ended(lane)


def test_the_running_operation_and_its_progress_can_be_seen() -> None:
    lane, job = Lane("test", SYSTEM), Job()
    future = lane.submit("save", job)
    assert job.began.wait(WAIT_S)
    assert lane.busy
    lane.progressed(Progress("save", "read", 5))
    assert lane.running is not None
    assert (lane.running.operation, lane.running.progress.done) == ("save", 5)
    job.go.set()
    assert future.result(WAIT_S) == "done"
    assert lane.running is None
    assert not lane.busy
    assert ended(lane)


def test_an_error_reaches_the_caller_and_the_lane_goes_on() -> None:
    lane = Lane("test", SYSTEM)

    def fail() -> None:
        raise SourceError("gone")

    with pytest.raises(SourceError, match="gone"):
        lane.submit("save", fail).result(WAIT_S)
    with pytest.raises(ZeroDivisionError):
        lane.submit("save", lambda: 1 // 0).result(WAIT_S)
    assert lane.submit("save", lambda: 1).result(WAIT_S) == 1
    assert ended(lane)


def test_too_many_waiting_operations_are_refused() -> None:
    lane, job = Lane("test", SYSTEM), Job()
    lane.submit("save", job)
    assert job.began.wait(WAIT_S)
    for _ in range(OPERATIONS_QUEUED_MAX):
        lane.submit("save", lambda: None)
    with pytest.raises(ConflictError, match="waiting already"):
        lane.submit("save", lambda: None)
    job.go.set()
    assert ended(lane)


def test_closing_finishes_the_running_operation_and_gives_up_those_that_wait() -> None:
    lane, job = Lane("test", SYSTEM), Job()
    running = lane.submit("save", job)
    assert job.began.wait(WAIT_S)
    waiting = lane.submit("save", lambda: None)
    lane.close()
    lane.close()
    with pytest.raises(InterruptedByUserError):
        waiting.result(WAIT_S)
    with pytest.raises(ConflictError, match="ending"):
        lane.submit("save", lambda: None)
    assert not lane.join(0.05)
    job.go.set()
    assert running.result(WAIT_S) == "done"
    assert lane.join(WAIT_S)
