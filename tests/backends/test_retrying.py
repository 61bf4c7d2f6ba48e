"""Retries, the circuit breaker and the fault-injecting backend, on a clock that only moves when it is slept on."""

from __future__ import annotations

import dataclasses
import errno
import threading
from pathlib import Path

import pytest

from maos_ckpt.backends.base import UnsupportedRequestError
from maos_ckpt.backends.breaker import (
    FAILURES_MAX,
    PAUSE_S,
    PAUSE_S_MAX,
    CircuitBreaker,
    CircuitOpenError,
    CircuitState,
)
from maos_ckpt.backends.local import LocalBackend
from maos_ckpt.backends.local_directory import TEMPORARY
from maos_ckpt.backends.retrying import RetryingBackend, RetryPolicy
from maos_ckpt.errors import (
    CkptError,
    IntegrityError,
    MissingObjectError,
    PermissionRefusedError,
    StorageError,
    TransientStorageError,
)
from maos_ckpt.fs import raise_storage_error
from maos_ckpt.seams import Seams
from tests.backends.faulty import Fault, FaultyBackend, Kind
from tests.engine.clocks import VirtualClock, seams_with

NAME = "manifests/000000000001"
ALWAYS = range(1_000_000)


class FixedRandom:
    """Always the same token byte, so that a wait is a known part of the longest one."""

    def __init__(self, byte: int) -> None:
        self.byte = byte

    def token(self, length: int) -> bytes:
        return bytes([self.byte]) * length


class RecordingClock(VirtualClock):
    def __init__(self) -> None:
        super().__init__()
        self.sleeps: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        super().sleep(seconds)


@pytest.fixture
def clock() -> RecordingClock:
    return RecordingClock()


@pytest.fixture
def seams(clock: RecordingClock) -> Seams:
    return seams_with(clock)


@pytest.fixture
def local(tmp_path: Path, seams: Seams) -> LocalBackend:
    backend = LocalBackend(tmp_path / "repository", seams)
    backend.make_directories(["manifests", "packs", TEMPORARY])
    return backend


def behind(
    local: LocalBackend, seams: Seams, faults: list[Fault], policy: RetryPolicy | None = None
) -> RetryingBackend:
    faulty = FaultyBackend(local, seams.clock, faults)
    return RetryingBackend(faulty, seams, policy=policy or RetryPolicy())


def attempts(backend: RetryingBackend, method: str) -> int:
    assert isinstance(backend.inner, FaultyBackend)
    return backend.inner.seen[method]


def test_waits_are_random_below_a_limit_that_doubles(local: LocalBackend, clock: RecordingClock, seams: Seams) -> None:
    half = dataclasses.replace(seams, random=FixedRandom(0x80))
    policy = RetryPolicy(attempts_max=8, budget_s=1000, wait_s=0.25, wait_s_max=2)
    breaker = CircuitBreaker(half, failures_max=100)
    faulty = FaultyBackend(local, clock, [Fault("size", range(7))])
    assert RetryingBackend(faulty, half, breaker=breaker, policy=policy).size(NAME) is None
    assert clock.sleeps == pytest.approx([0.125, 0.25, 0.5, 1, 1, 1, 1], rel=0.01)
    clock.sleeps.clear()
    for _ in range(50):
        faulty = FaultyBackend(local, clock, [Fault("size", range(2))])
        RetryingBackend(faulty, seams, policy=policy).size(NAME)
    first, second = clock.sleeps[::2], clock.sleeps[1::2]
    assert max(first) <= 0.25 < max(second) <= 0.5
    assert len(set(clock.sleeps)) == 100
    assert min(first) < 0.05


def test_attempts_end_with_the_budget(local: LocalBackend, clock: RecordingClock, seams: Seams) -> None:
    slow = [Fault("read", ALWAYS, Kind.DELAY, delay_s=4.0), Fault("read", ALWAYS)]
    backend = behind(local, seams, slow, RetryPolicy(attempts_max=100, budget_s=10, wait_s=0.1))
    begun_s = clock.monotonic_s()
    with pytest.raises(TransientStorageError, match="as the test ordered"):
        backend.read(NAME, 10)
    assert attempts(backend, "read") == 3
    assert clock.monotonic_s() - begun_s < 10 + 4


def test_attempts_end_with_their_number(local: LocalBackend, seams: Seams) -> None:
    backend = behind(local, seams, [Fault("read", ALWAYS)], RetryPolicy(attempts_max=3, budget_s=1e9))
    with pytest.raises(TransientStorageError):
        backend.read(NAME, 10)
    assert attempts(backend, "read") == 3


@pytest.mark.parametrize("kind", [StorageError, PermissionRefusedError, IntegrityError])
def test_what_repeating_does_not_help_is_not_repeated(local: LocalBackend, seams: Seams, kind: type[CkptError]) -> None:
    backend = behind(local, seams, [Fault("read", ALWAYS, error=lambda: kind("No."))])
    with pytest.raises(kind):
        backend.read(NAME, 10)
    assert attempts(backend, "read") == 1


def test_a_create_whose_answer_was_lost_is_still_ours(local: LocalBackend, seams: Seams) -> None:
    backend = behind(local, seams, [Fault("create", {0, 1}, Kind.AFTER)])
    assert backend.create(NAME, b"mine")
    assert not backend.create(NAME, b"theirs")
    assert local.read(NAME, 10) == b"mine"


def test_a_listing_that_fails_in_the_middle_gives_every_name_once(local: LocalBackend, seams: Seams) -> None:
    names = [f"manifests/{number:012d}" for number in range(10)]
    for name in names:
        local.create(name, b"x")
    backend = behind(local, seams, [Fault("entries", {0, 4, 9, 10}), Fault("entries", {2, 6}, Kind.AFTER)])
    assert [name for name, _ in backend.entries("manifests")] == names
    failing = behind(local, seams, [Fault("entries", range(5, 1000))])
    found = failing.entries("manifests")
    assert [next(found)[0] for _ in range(5)] == names[:5]
    with pytest.raises((TransientStorageError, CircuitOpenError)):
        next(found)


def test_a_truncated_read_is_half_of_what_is_there(local: LocalBackend, seams: Seams) -> None:
    local.create(NAME, b"0123456789")
    faulty = FaultyBackend(local, seams.clock, [Fault("read", {1}, Kind.TRUNCATE)])
    assert [faulty.read(NAME, 10) for _ in range(3)] == [b"0123456789", b"01234", b"0123456789"]


def fail(breaker: CircuitBreaker, error: CkptError | None = None) -> None:
    with pytest.raises(CkptError), breaker.call():
        raise error or TransientStorageError("Down.")


def opened(seams: Seams) -> CircuitBreaker:
    breaker = CircuitBreaker(seams)
    for _ in range(FAILURES_MAX):
        fail(breaker)
    return breaker


def test_failures_in_a_row_open_the_circuit(seams: Seams, clock: RecordingClock) -> None:
    breaker = CircuitBreaker(seams)
    for _ in range(FAILURES_MAX - 1):
        fail(breaker)
    with breaker.call():
        pass
    for _ in range(FAILURES_MAX - 1):
        fail(breaker, PermissionRefusedError("No such key."))
    assert breaker.snapshot().state is CircuitState.CLOSED
    clock.sleep(7)
    fail(breaker)
    now = breaker.snapshot()
    assert (now.state, now.since_ms, now.failures, now.reason) == ("open", clock.now_ms(), FAILURES_MAX, "Down.")
    assert now.next_try_ms == clock.now_ms() + PAUSE_S * 1000
    ran = False
    with pytest.raises(CircuitOpenError, match="left alone after 5 failures") as caught, breaker.call():
        ran = True
    assert not ran
    assert not isinstance(caught.value, TransientStorageError)
    assert caught.value.data["reason"] == "Down."


def local_failure() -> CkptError:
    """What a file of this machine that cannot be read for the storage ends in."""
    try:
        raise_storage_error(OSError(errno.EBUSY, "busy"), "here")
    except StorageError as error:
        return error


@pytest.mark.parametrize(
    "error",
    [MissingObjectError("None."), IntegrityError("Bad."), UnsupportedRequestError("What?"), local_failure()],
)
def test_an_answer_about_an_object_is_no_failure_of_the_storage(seams: Seams, error: CkptError) -> None:
    breaker = CircuitBreaker(seams)
    for _ in range(FAILURES_MAX * 2):
        fail(breaker, error)
    assert breaker.snapshot().state is CircuitState.CLOSED


def test_one_trial_closes_the_circuit_or_doubles_the_pause(seams: Seams, clock: RecordingClock) -> None:
    breaker = opened(seams)
    pause_s = PAUSE_S
    for _ in range(8):
        clock.sleep(pause_s - 0.5)
        with pytest.raises(CircuitOpenError), breaker.call():
            pass
        clock.sleep(0.5)
        fail(breaker)
        pause_s = min(PAUSE_S_MAX, pause_s * 2)
        assert breaker.snapshot().next_try_ms == round(clock.now_ms() + pause_s * 1000)
    assert pause_s == PAUSE_S_MAX
    clock.sleep(pause_s)
    with breaker.call():
        assert breaker.snapshot().state is CircuitState.HALF_OPEN
    now = breaker.snapshot()
    assert (now.state, now.failures, now.next_try_ms, now.reason) == ("closed", 0, None, "")
    for _ in range(FAILURES_MAX):
        fail(breaker)
    assert breaker.snapshot().next_try_ms == clock.now_ms() + PAUSE_S * 1000


def test_a_single_thread_gets_the_trial(seams: Seams, clock: RecordingClock) -> None:
    breaker = opened(seams)
    clock.sleep(PAUSE_S)
    start, ended = threading.Barrier(8), threading.Event()
    outcomes: list[str] = []

    def work() -> None:
        start.wait()
        try:
            with breaker.call():
                ended.wait(10)
                outcomes.append("tried")
        except CircuitOpenError:
            outcomes.append("refused")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    while len(outcomes) < 7:
        threading.Event().wait(0.005)
    assert outcomes == ["refused"] * 7
    ended.set()
    for thread in threads:
        thread.join()
    assert outcomes == ["refused"] * 7 + ["tried"]
    assert breaker.snapshot().state is CircuitState.CLOSED


def test_an_interrupted_trial_is_still_owed(seams: Seams, clock: RecordingClock) -> None:
    breaker = opened(seams)
    clock.sleep(PAUSE_S)
    with pytest.raises(KeyboardInterrupt), breaker.call():
        raise KeyboardInterrupt
    assert breaker.snapshot().state is CircuitState.OPEN
    with breaker.call():
        assert breaker.snapshot().state is CircuitState.HALF_OPEN


def test_late_news_of_calls_from_before_changes_nothing(seams: Seams) -> None:
    breaker = CircuitBreaker(seams)
    with breaker.call():
        for _ in range(FAILURES_MAX):
            fail(breaker)
    assert breaker.snapshot().state is CircuitState.OPEN
    other = CircuitBreaker(seams)

    def late() -> None:
        with other.call():
            for _ in range(FAILURES_MAX):
                fail(other)
            raise StorageError("Late.")

    with pytest.raises(StorageError, match="Late"):
        late()
    assert (other.snapshot().failures, other.snapshot().reason) == (FAILURES_MAX, "Down.")


def test_an_outage_of_ten_minutes_costs_few_attempts_and_is_over_soon(
    local: LocalBackend, seams: Seams, clock: RecordingClock
) -> None:
    down_until_s = clock.monotonic_s() + 600

    class Outage(FaultyBackend):
        def size(self, name: str) -> int | None:
            self.seen["size"] += 1
            if clock.monotonic_s() < down_until_s:
                raise TransientStorageError("Down.")
            return local.size(name)

    backend = RetryingBackend(Outage(local, clock, []), seams)
    recovered_s = 0.0
    while not recovered_s:
        try:
            backend.size(NAME)
            recovered_s = clock.monotonic_s()
        except StorageError:
            clock.sleep(30)
    assert attempts(backend, "size") < 20
    assert recovered_s - down_until_s <= PAUSE_S_MAX + 30
    assert backend.breaker.snapshot().state is CircuitState.CLOSED
