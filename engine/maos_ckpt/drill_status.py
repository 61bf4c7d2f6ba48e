"""How drills stand, as a frozen value below `model`; standard library only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DrillStatus:
    """Drills at a glance. Times in milliseconds since 1970-01-01 UTC; one that applied to nothing does not count.

    Args:
        state: `passed`, `failed`, `overdue` (the last complete one is longer ago than scheduled), `never` or `off`
            (never, and none is scheduled).
        interval_s: how often one is to be held; 0 where none is scheduled.
        last_at_ms: when the last one was; `rto_s`, `rpo_s` and `evidence` are of that one.
        complete_at_ms: when the last one was that rehearsed all that a scheduled one does.
        failed: scenarios that failed when they were last rehearsed, in whichever drill that was.
    """

    state: str
    interval_s: float
    last_at_ms: int | None = None
    complete_at_ms: int | None = None
    rto_s: float | None = None
    rpo_s: float | None = None
    failed: tuple[str, ...] = ()
    evidence: str = ""
