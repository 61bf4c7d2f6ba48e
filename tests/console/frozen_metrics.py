"""A day's figures for snapshots: a save every five minutes, three recoveries, a bad hour."""

from __future__ import annotations

from maos_ckpt.metrics.figures import Figures
from maos_ckpt.metrics.report import report
from maos_ckpt.model import Ratios
from maos_ckpt.model.metrics import Holding, MetricsReport
from tests.console.fixtures import NOW_MS

_STEP_MS = 300_000
_SAVES = 288


def day_of_events() -> list[tuple[str, dict[str, object]]]:
    """Journal entries, oldest first."""
    made: list[tuple[str, dict[str, object]]] = []
    for number in range(_SAVES):
        at_ms = NOW_MS - (_SAVES - number) * _STEP_MS
        bad = 180 <= number < 192
        fields: dict[str, object] = {
            "at_ms": at_ms,
            "checkpoint": f"cp_{number:015d}",
            "trigger": "schedule",
            "records": 9_000 + number,
            "logical_bytes": 14_000_000 + number * 9_000,
            "stored_bytes": 40_000 + (number * 7919) % 60_000 + (900_000 if bad else 0),
            "duration_s": (5.4 if bad else 0.4) + number * 37 % 50 / 100,
            "lock_s": (0.61 if bad else 0.012) + number * 13 % 9 / 1000,
            "unchanged": False,
        }
        if bad and number % 4 == 0:
            failed = {"at_ms": at_ms, "operation": "save", "kind": "unavailable", "message": "maos.db is locked."}
            made.append(("OperationFailed", failed))
        else:
            made.append(("CheckpointCreated", fields))
        if number in (60, 150, 200):
            made.append(("RecoveryCompleted", {"at_ms": at_ms, "checkpoint": "cp_0", "duration_s": number / 40}))
    return made


def day_report(hours: int) -> MetricsReport:
    """What an engine says of that day."""
    figures = Figures()
    figures.add(day_of_events())
    held = Holding(64, 48_300_000, Ratios(6.1, 2.3, 14.2), free_bytes=52 << 30)
    return report(figures, held, NOW_MS, hours)
