"""How drills stand, as a frozen value below `model`; standard library only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DrillStatus:
    """Drills at a glance. `state` is `passed`, `failed`, `overdue` (longer ago than scheduled), `never` or `off`
    (never, and none is scheduled); `failed` names the scenarios of the last drill that did."""

    state: str
    interval_s: float
    last_at_ms: int | None = None
    last_passed: bool = False
    rto_s: float | None = None
    rpo_s: float | None = None
    failed: tuple[str, ...] = ()
    evidence: str = ""
