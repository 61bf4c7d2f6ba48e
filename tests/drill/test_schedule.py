"""Drills without anybody: due by the last report, held while the engine is idle, told by an event and the status."""

from __future__ import annotations

import pytest

from maos_ckpt.engine import rehearsals
from maos_ckpt.engine.rehearsals import FIRST_S, RETRY_S, Rehearsals
from maos_ckpt.events import DrillCompleted
from maos_ckpt.model.drills import DrillStatus
from tests.drill.conftest import Protected
from tests.engine.clocks import VirtualClock, seams_with
from tests.engine.support import running

DAY_S = 86_400.0


class Schedule:
    """A schedule of one drill a day, with its clock and what it did."""

    def __init__(self, *, last_age_s: float | None = None) -> None:
        self.clock = VirtualClock()
        self.idle = True
        self.begun = 0
        last_ms = None if last_age_s is None else self.clock.now_ms() - int(last_age_s * 1000)
        self.status = DrillStatus("passed", DAY_S, last_ms, last_ms)
        self.tested = Rehearsals(seams_with(self.clock), lambda: self.status, idle=lambda: self.idle, run=self.run)

    def run(self) -> None:
        self.begun += 1

    def after(self, seconds: float) -> int:
        self.clock.sleep(seconds)
        self.tested.look()
        return self.begun


def test_a_fresh_engine_waits_a_little_and_then_holds_the_first_drill() -> None:
    schedule = Schedule()
    assert [schedule.after(FIRST_S / 2), schedule.after(FIRST_S)] == [0, 1]


def test_a_drill_is_due_by_the_last_report_not_by_the_engines_start() -> None:
    schedule = Schedule(last_age_s=DAY_S / 2)
    assert schedule.after(DAY_S / 2 - FIRST_S) == 0
    assert schedule.after(FIRST_S) == 1


def test_one_that_was_not_held_is_tried_again_later_and_never_in_a_row() -> None:
    schedule = Schedule()
    assert [schedule.after(FIRST_S), schedule.after(1.0), schedule.after(RETRY_S)] == [1, 1, 2]


def test_nothing_is_begun_while_the_engine_works() -> None:
    schedule = Schedule()
    schedule.idle = False
    assert schedule.after(FIRST_S) == 0
    schedule.idle = True
    assert schedule.after(1.0) == 1


def test_an_engine_holds_a_drill_unattended_and_says_how_it_went(
    alone: Protected, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rehearsals, "FIRST_S", 0.0)
    alone.configure(interval_hours=24.0, scenarios=("full-loss", "interrupted-recovery"))
    with running(alone.workspace) as (client, events):
        (held,) = events.wait_for(DrillCompleted)
        assert isinstance(held, DrillCompleted)
        assert (held.passed, held.trigger) == (True, "schedule")
        assert held.scenarios == ("full-loss", "interrupted-recovery")
        status = client.status().drill
        assert status is not None
        assert (status.state, status.failed) == ("passed", ())
        assert client.drills().reports[0].id == held.drill
        # Also asked for by a person, through the same client.
        again = client.drill(scenarios=("mad-agent",), reason="to see it")
        assert again.passed
        assert [one.trigger for one in client.drills().reports] == ["manual", "schedule"]
