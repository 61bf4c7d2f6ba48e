"""The seams to the outside world: time, randomness, file system, processes, and the steps of a recovery.

Engine code never calls `time`, `os.urandom` or `os.kill` directly: it takes a `Seams`, so that tests can turn the
clock, fail the n-th write, and kill at any point. `SYSTEM` is the real world.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Protocol

from maos_ckpt.fs import Filesystem, SystemFilesystem
from maos_ckpt.processes import Processes, SystemProcesses


class Clock(Protocol):
    """Two clocks: wall time for people, monotonic time for intervals and budgets."""

    def now_ms(self) -> int:
        """Wall clock, milliseconds since 1970-01-01 UTC."""
        ...

    def monotonic_s(self) -> float:
        """Seconds on a clock that never goes back."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def now_ms(self) -> int:
        """See `Clock.now_ms`."""
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        """See `Clock.monotonic_s`."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """See `Clock.sleep`."""
        time.sleep(seconds)


class Random(Protocol):
    """Source of unpredictable bytes for ids and nonces."""

    def token(self, length: int) -> bytes:
        """`length` random bytes."""
        ...


class SystemRandom:
    """The kernel's random source; never buffered, so a fork cannot repeat it."""

    def token(self, length: int) -> bytes:
        """See `Random.token`."""
        return os.urandom(length)


class Steps(Protocol):
    """Hears of each step of a recovery (`recovery.steps.Step`) when it is done; a test stops or kills it there."""

    def reached(self, step: str) -> None:
        """The step is done, and the next one has not begun."""
        ...


class NoSteps:
    """Nobody listens."""

    def reached(self, step: str) -> None:
        """See `Steps.reached`."""


_NO_STEPS = NoSteps()


@dataclass(frozen=True, slots=True)
class Seams:
    """All seams in one value, handed down from the outermost caller."""

    clock: Clock
    random: Random
    fs: Filesystem
    processes: Processes
    steps: Steps = _NO_STEPS


SYSTEM = Seams(SystemClock(), SystemRandom(), SystemFilesystem(), SystemProcesses())
