"""When to take a checkpoint: tick *n* is at `start + n · interval` on the monotonic clock, so errors never add up.

A tick that finds a save still running is skipped, not queued. Ticks that went by unseen are counted and told: because a
save was running, because this process was stopped, or because the machine slept (the wall clock then runs ahead of the
monotonic one, which stands still in sleep). After a gap one checkpoint is taken at once and the old beat goes on.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from maos_ckpt.seams import Seams

#: Longest wait without a look at the clocks; bounds how late the end of a sleep is noticed.
WAIT_S_MAX = 1.0
REASON_RUNNING = "a save was still running"
REASON_LATE = "this process was held up"
REASON_SLEPT = "the clock jumped ahead: the machine slept, or its clock was set"


@dataclass(frozen=True, slots=True)
class Beat:
    """Where a schedule stands.

    `start_s` is tick 0 on the monotonic clock, `last` the newest tick that was taken or missed, and `offset_s` is wall
    time minus monotonic time when last looked at.
    """

    start_s: float
    interval_s: float
    last: int
    offset_s: float

    @property
    def next_s(self) -> float:
        """Monotonic time of the next tick."""
        return self.start_s + (self.last + 1) * self.interval_s


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now. `missed` ticks went by for `reason`; `wait_s` until the next look at the clocks."""

    beat: Beat
    run: bool
    missed: int
    reason: str
    wait_s: float


def begin(now_s: float, wall_s: float, interval_s: float, age_s: float | None) -> Beat:
    """A schedule that starts now.

    Args:
        age_s: age of the newest checkpoint. Without one, or with one older than the interval, the first tick is now;
            else it is when that checkpoint is one interval old. An age from the future counts as 0.
    """
    first_in_s = 0.0 if age_s is None else max(interval_s - max(age_s, 0.0), 0.0)
    return Beat(now_s + first_in_s, interval_s, -1, wall_s - now_s)


def decide(beat: Beat, now_s: float, wall_s: float, *, busy: bool) -> Decision:
    """The pure heart of the schedule: from where it stood and the clocks now to what to do."""
    offset_s = wall_s - now_s
    jump_s = offset_s - beat.offset_s
    slept = int(jump_s // beat.interval_s) if jump_s >= beat.interval_s else 0
    beat = replace(beat, offset_s=offset_s)
    due = math.floor((now_s - beat.start_s) / beat.interval_s)
    if due <= beat.last and not slept:
        return Decision(beat, False, 0, "", _wait_s(beat, now_s))
    # Of several ticks passed, the newest is taken now; the ones before it are missed, and that one too where busy.
    late = max(due - beat.last - 1, 0)
    skipped = 1 if busy and due > beat.last else 0
    beat = replace(beat, last=max(due, beat.last))
    missed = late + slept + skipped
    reason = REASON_SLEPT if slept else REASON_RUNNING if busy else REASON_LATE
    return Decision(beat, not busy, missed, reason if missed else "", _wait_s(beat, now_s))


def _wait_s(beat: Beat, now_s: float) -> float:
    return min(max(beat.next_s - now_s, 0.0), WAIT_S_MAX)


class Scheduler:
    """A thread that calls `run` at every tick.

    Args:
        run: takes a checkpoint; called in the scheduler's thread, must only hand the work on, and must not raise.
        busy: whether a save is running or waiting.
        missed: told of ticks that went by, with the reason.
        age_s: age of the newest checkpoint in seconds, or None.
    """

    def __init__(
        self,
        seams: Seams,
        interval_s: float,
        *,
        run: Callable[[], None],
        busy: Callable[[], bool],
        missed: Callable[[int, str], None],
        age_s: float | None,
    ) -> None:
        self._seams = seams
        self._run = run
        self._busy = busy
        self._missed = missed
        self._stop = threading.Event()
        self._beat = begin(*self._clocks(), interval_s, age_s)
        self._thread = threading.Thread(target=self._loop, name="scheduler", daemon=True)

    def _clocks(self) -> tuple[float, float]:
        return self._seams.clock.monotonic_s(), self._seams.clock.now_ms() / 1000

    def start(self) -> None:
        """Begin ticking."""
        self._thread.start()

    def stop(self) -> None:
        """End the schedule; returns when its thread has ended."""
        self._stop.set()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join()

    def next_run_at_ms(self) -> int | None:
        """Wall time of the next tick; None after `stop`."""
        if self._stop.is_set():
            return None
        now_s, wall_s = self._clocks()
        return int((wall_s + max(self._beat.next_s - now_s, 0.0)) * 1000)

    def _loop(self) -> None:
        while not self._stop.is_set():
            decision = decide(self._beat, *self._clocks(), busy=self._busy())
            self._beat = decision.beat
            if decision.missed:
                self._missed(decision.missed, decision.reason)
            if decision.run:
                self._run()
            self._stop.wait(decision.wait_s)
