"""How long a drill may take in all."""

from __future__ import annotations

from maos_ckpt.client import ProgressSink
from maos_ckpt.errors import CkptError
from maos_ckpt.model import Progress
from maos_ckpt.seams import Clock


def within(limit_s: float, progress: ProgressSink, clock: Clock) -> ProgressSink:
    """A sink that ends what reports to it when `limit_s` have passed from now on; 0 means never.

    The sink raises:
        CkptError: the time is up. Every step reports, so what is under way ends, and what is to come does not begin.
    """
    end_s = clock.monotonic_s() + limit_s

    def limited(step: Progress) -> None:
        if limit_s and clock.monotonic_s() > end_s:
            raise CkptError(
                f"The drill took longer than {limit_s / 60:g} min and was ended.",
                kept="The live system was not touched.",
                hint="Set drill.max_minutes higher, or rehearse fewer scenarios.",
            )
        progress(step)

    return limited
