"""When the engine looks at stored objects in turn: now and then, while nothing else is to be done."""

from __future__ import annotations

from collections.abc import Callable

from maos_ckpt.scrub import EVERY_S
from maos_ckpt.seams import Seams

#: A fresh engine has other things to do first.
FIRST_S = 60.0


class Scrubber:
    """Calls `run` when a slice is due and `idle` says yes; `run` hands the work on and returns."""

    def __init__(self, seams: Seams, *, idle: Callable[[], bool], run: Callable[[], None]) -> None:
        self._clock = seams.clock
        self._idle = idle
        self._run = run
        self._due_s = self._clock.monotonic_s() + FIRST_S

    def look(self) -> None:
        """Begin a slice, if it is time; to be called every now and then."""
        now_s = self._clock.monotonic_s()
        if now_s >= self._due_s and self._idle():
            self._due_s = now_s + EVERY_S
            self._run()
