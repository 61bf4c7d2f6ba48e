"""Progress on standard error, for people only: one line that is rewritten, with rate and time left."""

from __future__ import annotations

from types import TracebackType
from typing import TextIO

from maos_ckpt.model import Progress
from maos_ckpt.safe_text import safe_text
from maos_ckpt.seams import Clock

#: Shorter operations show nothing.
QUIET_S = 0.3
INTERVAL_S = 0.1
_WIDTH_MAX = 79


class ProgressLine:
    """A progress sink and context manager; where the stream is no terminal it does nothing."""

    def __init__(self, stream: TextIO, clock: Clock) -> None:
        self._stream = stream
        self._clock = clock
        self._on = stream.isatty()
        self._started_s = clock.monotonic_s()
        self._phase = ""
        self._phase_started_s = 0.0
        self._next_s = self._started_s + QUIET_S
        self._shown = False

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown:
            self._show("")

    def __call__(self, progress: Progress) -> None:
        """Show where an operation is."""
        if not self._on:
            return
        now_s = self._clock.monotonic_s()
        if progress.phase != self._phase:
            self._phase, self._phase_started_s = progress.phase, now_s
        if now_s < self._next_s:
            return
        self._next_s = now_s + INTERVAL_S
        self._show(describe(progress, now_s - self._phase_started_s))

    def _show(self, line: str) -> None:
        try:
            self._stream.write("\r" + line[:_WIDTH_MAX] + "\x1b[K")
            self._stream.flush()
            self._shown = True
        except OSError:
            # The terminal is gone; the operation is not its business.
            self._on = self._shown = False


def describe(progress: Progress, elapsed_s: float) -> str:
    """One line of progress: phase, count, share, bytes, rate and time left, as far as they are known."""
    from maos_ckpt.cli.text import duration, size

    parts = [f"{progress.operation}: {safe_text(progress.phase)}"]
    if progress.total:
        share = min(progress.done / progress.total, 1.0)
        parts.append(f"{progress.done:,} of {progress.total:,} ({share:.0%})")
    elif progress.done:
        parts.append(f"{progress.done:,}")
    if progress.bytes:
        parts.append(size(progress.bytes))
    if elapsed_s > 0 and (progress.bytes or progress.done):
        rate = progress.bytes / elapsed_s
        parts.append(f"{size(int(rate))}/s" if progress.bytes else f"{progress.done / elapsed_s:,.0f}/s")
        if progress.done and progress.total > progress.done:
            parts.append(f"{duration((progress.total - progress.done) * elapsed_s / progress.done)} left")
    return ", ".join(parts)
