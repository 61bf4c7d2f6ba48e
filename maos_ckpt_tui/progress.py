"""How far a running operation is, how fast, and how long it will still take."""

from __future__ import annotations

import math
from dataclasses import dataclass

from maos_ckpt.model import Progress
from maos_ckpt_tui import formatting as fmt


@dataclass(slots=True)
class ProgressMeter:
    """Rate and time left of a running operation, from what it has told so far.

    A phase starts its own measure, since its items may be of another size. Times are monotonic seconds.
    """

    phase: str = ""
    began_s: float = 0.0
    started_s: float = 0.0
    done_at_start: int = 0
    bytes_at_start: int = 0
    last: Progress | None = None
    last_s: float = 0.0

    def update(self, progress: Progress, now_s: float) -> None:
        """Take in one report."""
        if self.last is None:
            self.began_s = now_s
        if self.last is None or progress.phase != self.phase or progress.operation != self.last.operation:
            self.phase, self.started_s = progress.phase, now_s
            self.done_at_start, self.bytes_at_start = progress.done, progress.bytes
        self.last, self.last_s = progress, now_s

    @property
    def age_s(self) -> float:
        """Seconds since the first report."""
        return self.last_s - self.began_s

    @property
    def fraction(self) -> float | None:
        """0…1, or None while the total is unknown."""
        if self.last is None or self.last.total <= 0:
            return None
        return min(1.0, max(0.0, self.last.done / self.last.total))

    def rate(self) -> str:
        """`12.0 MiB/s` or `1,200/s`; empty until it can be told."""
        elapsed = self.last_s - self.started_s
        if self.last is None or elapsed < 0.2:
            return ""
        if moved := self.last.bytes - self.bytes_at_start:
            return f"{fmt.size(int(max(0, moved) / elapsed))}/s"
        moved = self.last.done - self.done_at_start
        return f"{moved / elapsed:,.0f}/s" if moved > 0 else ""

    def left(self) -> str:
        """Time left as `3 s left`; empty until it can be told."""
        elapsed = self.last_s - self.started_s
        if self.last is None or self.last.total <= 0 or elapsed < 0.5:
            return ""
        moved = self.last.done - self.done_at_start
        if moved <= 0:
            return ""
        seconds = (self.last.total - self.last.done) * elapsed / moved
        return f"{fmt.duration(float(math.ceil(seconds)))} left" if seconds > 0 else ""
