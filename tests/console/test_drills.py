"""Drills in the console, over a real engine: run, watched, told, and their evidence found."""

from __future__ import annotations

from pathlib import Path

import pytest

from maos_ckpt.model.drills import DrillStatus
from maos_ckpt_tui.drill_words import flag, standing, stopwatch
from maos_ckpt_tui.screens.drills import DrillPane, DrillsScreen
from tests.console.real import Lab, build_lab, console


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return build_lab(tmp_path)


async def test_a_scenario_is_rehearsed_under_a_stopwatch_and_its_evidence_shown(lab: Lab) -> None:
    async with console(lab.client(), size=(80, 24)) as operator:
        await operator.save("to be drilled")
        before = lab.dump()
        await operator.press("7")
        screen = await operator.sees("No drill was held yet", "full-loss", "interrupted-recovery")
        assert screen.count("never") == 8
        watched: list[str] = []
        pane = operator.app.screen.query_one(DrillPane)
        show = pane.show
        pane.show = lambda *told: (watched.append(stopwatch(told[3])), show(*told))[1]  # type: ignore[method-assign]
        await operator.press("n")
        await operator.sees("Drill 00:0")
        screen = await operator.sees("Drill passed in", "OK  full-loss", "1 of 1", "within the target")
        # The stopwatch moved on between two looks at it.
        assert len(set(watched)) > 2
        assert isinstance(operator.app.screen, DrillsScreen)
        (report,) = operator.app.screen.history.reports
        assert Path(report.evidence).is_file()
        await operator.press("enter")
        await operator.sees("Evidence of full-loss", "passed", "Assertions, ", "OK ")
        await operator.press("end")
        screen = await operator.sees("Read, from where", "local", "report")
        assert "drills/dr_" in screen.replace("│", "").replace("\n", "").replace(" ", "")
        await operator.press("enter")
        assert lab.dump() == before
        await operator.press("escape")
        await operator.sees("Timeline", "Drill of")


async def test_what_does_not_apply_says_why(lab: Lab) -> None:
    async with console(lab.client(), size=(100, 30)) as operator:
        await operator.save("to be drilled")
        await operator.press("7")
        await operator.sees("full-loss")
        await operator.press("down", "down", "down", "down", "n")
        await operator.sees("Nothing was rehearsed", "Not applicable: no S3 bucket is configured")


def test_failed_and_overdue_drills_are_flagged_and_others_are_not() -> None:
    assert flag(None) is None
    assert flag(DrillStatus("passed", 60.0, 1)) is None
    assert flag(DrillStatus("failed", 0.0, 1)) == ("drill FAILED", "bad")
    assert flag(DrillStatus("overdue", 60.0, 1)) == ("drill overdue", "warn")


def test_how_drills_stand_in_one_sentence() -> None:
    hour_ms = 3_600_000
    assert standing(DrillStatus("off", 0.0), 0) == ("!! No drill was held yet", "warn")
    passed = DrillStatus("passed", 60.0, 1, rto_s=4.1)
    assert standing(passed, 3 * hour_ms + 1) == ("OK Last drill passed 3 h ago, RTO 4.10 s", "ok")
    failed = DrillStatus("failed", 60.0, 1, failed=("s3-away",))
    assert standing(failed, hour_ms + 1) == ("XX Drill FAILED, last 1 h ago: s3-away", "bad")
    assert stopwatch(64.25) == "01:04.2"
