"""When the engine holds a drill of its own accord: as often as configured, while nothing else is to be done."""

from __future__ import annotations

from collections.abc import Callable

from maos_ckpt.model.drills import DrillStatus
from maos_ckpt.seams import Seams

#: A fresh engine has other things to do first.
FIRST_S = 120.0
#: After a drill that could not be held, or one that is being held, the next look is not sooner than this.
RETRY_S = 600.0


class Rehearsals:
    """Calls `run` when a drill is due and `idle` says yes; `run` hands the work on and returns.

    What counts is when the last complete drill was, whoever held it: its report says so, and a restart changes nothing.
    """

    def __init__(
        self, seams: Seams, status: Callable[[], DrillStatus], *, idle: Callable[[], bool], run: Callable[[], None]
    ) -> None:
        self._clock = seams.clock
        self._status = status
        self._idle = idle
        self._run = run
        self._next_look_s = self._clock.monotonic_s() + FIRST_S

    def look(self) -> None:
        """Begin a drill, if it is time; to be called every now and then."""
        now_s = self._clock.monotonic_s()
        if now_s < self._next_look_s:
            return
        status = self._status()
        # A clock that was turned back must not put the next drill off for long.
        last_ms = status.complete_at_ms
        age_s = None if last_ms is None else abs(self._clock.now_ms() - last_ms) / 1000
        if (age_s is None or age_s >= status.interval_s) and self._idle():
            self._next_look_s = now_s + RETRY_S
            self._run()
