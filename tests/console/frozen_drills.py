"""A drill that was held, for snapshots."""

from __future__ import annotations

from maos_ckpt.model.drills import (
    Assertion,
    DrillHistory,
    DrillReport,
    DrillScenario,
    DrillStatus,
    ScenarioResult,
    ScenarioTrend,
)
from tests.console.fixtures import NOW_MS, SOURCE


def _result(scenario: DrillScenario, rto_s: float | None) -> ScenarioResult:
    if rto_s is None:
        return ScenarioResult(scenario.value, False, False, "the repository is not encrypted")
    held = tuple(Assertion(f"assertion {number}", True) for number in range(12))
    fault = "All 31 files of the state were deleted."
    return ScenarioResult(scenario.value, True, True, "", fault, "cp_x", rto_s, 11.0, (), held)


_RTOS_S = dict(zip(DrillScenario, (2.4, 1.1, 0.9, 3.2, 2.5, 4.1, None, 3.8), strict=True))
DRILLED = (
    DrillReport(
        id="dr_20261123T071442Z_a1b2c3",
        started_at_ms=NOW_MS - 7_200_000,
        duration_s=24.0,
        passed=True,
        checkpoint="cp_x",
        checkpoint_at_ms=NOW_MS - 7_211_000,
        digest="00" * 64,
        source=SOURCE,
        repository="/srv/agents/team-alpha/.maos-ckpt",
        repository_id="0" * 32,
        who="ops@alpha (process 4127)",
        trigger="schedule",
        reason="",
        versions={},
        scenarios=tuple(_result(one, rto_s) for one, rto_s in _RTOS_S.items()),
        rto_s=4.1,
        rpo_s=11.0,
        rto_target_s=60.0,
        rpo_target_s=35.0,
        evidence="/srv/agents/team-alpha/.maos-ckpt/drills/dr_20261123T071442Z_a1b2c3.md",
    ),
)
TRENDS = tuple(
    ScenarioTrend(one.value, 0 if rto_s is None else 14, 0 if rto_s is None else 14, (), rto_s, rto_s)
    for one, rto_s in _RTOS_S.items()
)
HISTORY = DrillHistory(DRILLED, TRENDS, DrillStatus("passed", 86_400.0, NOW_MS - 7_200_000, rto_s=4.1, rpo_s=11.0))
