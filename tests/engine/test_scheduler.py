"""The schedule on a virtual clock: no drift, no queueing, every missed tick told."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maos_ckpt.scheduler import (
    REASON_LATE,
    REASON_RUNNING,
    REASON_SLEPT,
    WAIT_S_MAX,
    Beat,
    Scheduler,
    begin,
    decide,
)
from maos_ckpt.seams import SYSTEM
from tests.engine.clocks import VirtualClock

INTERVAL_S = 30.0


class Simulation:
    """Drives `decide` the way the scheduler's thread does, and notes what happens when."""

    def __init__(self, clock: VirtualClock, interval_s: float = INTERVAL_S, age_s: float | None = None) -> None:
        self.clock = clock
        self.beat = begin(clock.monotonic_s(), clock.now_ms() / 1000, interval_s, age_s)
        self.runs: list[float] = []
        self.missed: list[tuple[int, str]] = []
        self.began_s = clock.monotonic_s()

    def run_for(self, seconds: float, *, busy: bool = False, late_s: float = 0.0) -> None:
        end_s = self.clock.monotonic_s() + seconds
        while self.clock.monotonic_s() < end_s - 1e-9:
            wait_s = self.step(busy=busy)
            self.clock.sleep(min(wait_s + late_s, end_s - self.clock.monotonic_s()))

    def step(self, *, busy: bool = False) -> float:
        decision = decide(self.beat, self.clock.monotonic_s(), self.clock.now_ms() / 1000, busy=busy)
        self.beat = decision.beat
        if decision.missed:
            self.missed.append((decision.missed, decision.reason))
        if decision.run:
            self.runs.append(self.clock.monotonic_s() - self.began_s)
        return decision.wait_s


def test_the_first_checkpoint_is_taken_at_once_where_there_is_none() -> None:
    simulation = Simulation(VirtualClock(), age_s=None)
    simulation.run_for(1)
    assert simulation.runs == [0.0]


def test_the_first_checkpoint_is_taken_at_once_where_the_last_is_older_than_the_interval() -> None:
    simulation = Simulation(VirtualClock(), age_s=31)
    simulation.run_for(1)
    assert simulation.runs == [0.0]


def test_a_fresh_checkpoint_moves_the_first_tick_to_when_it_is_one_interval_old() -> None:
    simulation = Simulation(VirtualClock(), age_s=12)
    simulation.run_for(60)
    assert simulation.runs == pytest.approx([18.0, 48.0])


def test_a_checkpoint_from_the_future_counts_as_fresh() -> None:
    simulation = Simulation(VirtualClock(), age_s=-5000)
    simulation.run_for(40)
    assert simulation.runs == pytest.approx([30.0])


def test_a_day_of_ticks_does_not_drift_although_every_wait_ends_late() -> None:
    simulation = Simulation(VirtualClock())
    simulation.run_for(86_400, late_s=0.013)
    assert len(simulation.runs) == 2880
    assert all(0 <= at - n * INTERVAL_S <= 0.014 for n, at in enumerate(simulation.runs))
    assert simulation.missed == []


def test_a_tick_that_finds_a_save_running_is_skipped_and_told() -> None:
    simulation = Simulation(VirtualClock())
    simulation.step()
    simulation.clock.sleep(30)
    simulation.step(busy=True)
    simulation.run_for(35)
    assert simulation.runs == pytest.approx([0.0, 60.0])
    assert simulation.missed == [(1, REASON_RUNNING)]


def test_a_skipped_tick_is_told_once_however_often_the_clock_is_looked_at() -> None:
    simulation = Simulation(VirtualClock())
    simulation.step()
    simulation.clock.sleep(30)
    simulation.run_for(20, busy=True)
    assert simulation.missed == [(1, REASON_RUNNING)]


def test_ticks_that_passed_while_the_process_stood_still_are_counted_and_one_is_taken_at_once() -> None:
    simulation = Simulation(VirtualClock())
    simulation.step()
    simulation.clock.sleep(125)
    simulation.step()
    assert simulation.runs == pytest.approx([0.0, 125.0])
    assert simulation.missed == [(3, REASON_LATE)]
    simulation.run_for(30)
    assert simulation.runs[-1] == pytest.approx(150.0)


def test_after_a_sleep_of_two_hours_one_checkpoint_is_taken_at_once_and_the_rest_is_told() -> None:
    simulation = Simulation(VirtualClock())
    simulation.run_for(10)
    simulation.clock.suspend(7200)
    simulation.step()
    assert simulation.runs == pytest.approx([0.0, 10.0])
    assert simulation.missed == [(240, REASON_SLEPT)]
    simulation.run_for(25)
    assert simulation.runs == pytest.approx([0.0, 10.0, 30.0])


def test_a_wall_clock_set_back_changes_nothing() -> None:
    simulation = Simulation(VirtualClock())
    simulation.run_for(10)
    simulation.clock.suspend(-3600)
    simulation.run_for(55)
    assert simulation.runs == pytest.approx([0.0, 30.0, 60.0])
    assert simulation.missed == []


@given(
    st.lists(st.tuples(st.floats(0.001, 200), st.booleans()), min_size=1, max_size=60),
    st.floats(0.5, 100),
)
def test_every_tick_is_either_taken_or_told_whatever_the_pauses(
    pauses: list[tuple[float, bool]], interval_s: float
) -> None:
    clock = VirtualClock()
    beat = begin(clock.monotonic_s(), clock.now_ms() / 1000, interval_s, None)
    taken = told = 0
    for pause_s, busy in pauses:
        decision = decide(beat, clock.monotonic_s(), clock.monotonic_s() + 5e8, busy=busy)
        # The wall clock runs in step here, so nothing counts as sleep.
        beat = Beat(decision.beat.start_s, interval_s, decision.beat.last, decision.beat.offset_s)
        taken += decision.run
        told += decision.missed
        assert decision.wait_s <= WAIT_S_MAX
        clock.sleep(pause_s)
    assert taken + told == beat.last + 1


def test_the_thread_ticks_on_the_beat_and_stops_at_once() -> None:
    ticks: list[float] = []
    enough = threading.Event()

    def run() -> None:
        ticks.append(SYSTEM.clock.monotonic_s())
        if len(ticks) == 4:
            enough.set()

    scheduler = Scheduler(SYSTEM, 0.1, run=run, busy=lambda: False, missed=lambda *_: None, age_s=None)
    started_s = SYSTEM.clock.monotonic_s()
    scheduler.start()
    assert enough.wait(10)
    assert scheduler.next_run_at_ms() is not None
    scheduler.stop()
    assert scheduler.next_run_at_ms() is None
    count = len(ticks)
    assert all(at - started_s >= n * 0.1 - 0.01 for n, at in enumerate(ticks))
    SYSTEM.clock.sleep(0.25)
    assert len(ticks) == count
