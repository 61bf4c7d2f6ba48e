"""A clock that only moves when told to, and seams around it."""

from __future__ import annotations

import dataclasses

from maos_ckpt.seams import SYSTEM, Seams


class VirtualClock:
    """Wall and monotonic time under the test's control; `sleep` moves both."""

    def __init__(self, wall_s: float = 1_800_000_000.0, monotonic_s: float = 1000.0) -> None:
        self.wall_s = wall_s
        self.running_s = monotonic_s

    def now_ms(self) -> int:
        return round(self.wall_s * 1000)

    def monotonic_s(self) -> float:
        return self.running_s

    def sleep(self, seconds: float) -> None:
        self.wall_s += seconds
        self.running_s += seconds

    def suspend(self, seconds: float) -> None:
        """The machine sleeps: the wall clock goes on, the monotonic one stands still."""
        self.wall_s += seconds


def seams_with(clock: VirtualClock) -> Seams:
    return dataclasses.replace(SYSTEM, clock=clock)
