"""Figures folded from journal entries: right, the same whatever the cut, and unmoved by nonsense."""

from __future__ import annotations

import itertools
import json
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maos_ckpt.errors import UsageError
from maos_ckpt.journal import Entry, decode, encode
from maos_ckpt.metrics import figures as folding
from maos_ckpt.metrics.distribution import Distribution
from maos_ckpt.metrics.figures import OPERATIONS, SLOTS_MAX, Figures
from maos_ckpt.metrics.report import RATED, report
from maos_ckpt.model.metrics import HOURS_MAX, Holding
from maos_ckpt.operations.registry import OPERATIONS as CARRIED_OUT
from tests.metrics.happenings import happening
from tests.metrics.oracle import assert_report

NOW_MS = 1_800_000_123_456
HOUR_MS = 3_600_000


def entries(seed: int, number: int, hours: float = 30) -> list[Entry]:
    """Events of the last hours, in any order of time: clocks are set back, too."""
    random = Random(seed)
    events = [happening(random, NOW_MS - random.randrange(round(hours * HOUR_MS))) for _ in range(number)]
    return [one for event in events if (one := decode(encode(event))) is not None]


def folded(*parts: list[Entry]) -> Figures:
    found = Figures()
    for part in parts:
        found.add(part)
    return found


@pytest.mark.parametrize("hours", [1, 5, 24, 168])
def test_a_report_says_what_counting_by_hand_says(hours: int) -> None:
    everything = entries(hours, 1500, hours * 1.3)
    assert_report(report(folded(everything), Holding(), NOW_MS, hours), everything, NOW_MS)


def test_nothing_gives_no_figures_rather_than_zeros() -> None:
    found = report(Figures(), Holding(), NOW_MS, 24)
    assert (found.success_rate, found.error_rate, found.average_save_time_s, found.save_time.p99_s) == (None,) * 4
    assert {one.value for one in found.save_time_trend} == {None}
    assert found.since_ms is None


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1 << 30), st.lists(st.integers(0, 300), max_size=6))
def test_wherever_the_journal_is_cut_the_figures_are_the_same(seed: int, cuts: list[int]) -> None:
    everything = entries(seed, 300, hours=400)
    whole = folded(everything)
    sides = [0, *sorted(cuts), len(everything)]
    carried = Figures()
    for start, end in itertools.pairwise(sides):
        part = folded(everything[start:end])
        carried.merge(msgspec.json.decode(msgspec.json.encode(part), type=Figures))
        carried = msgspec.json.decode(msgspec.json.encode(carried), type=Figures)
    assert carried == whole


def test_slots_are_bounded_and_the_newest_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folding, "SLOTS_MAX", 50)
    everything = entries(1, 2000, hours=400)
    whole, merged = folded(everything), folded(everything[:700])
    merged.merge(folded(everything[700:]))
    assert len(whole.slots) == 50
    assert merged == whole
    assert min(whole.slots) > (NOW_MS - 60 * HOUR_MS) // folding.SLOT_MS
    assert SLOTS_MAX * folding.SLOT_MS >= HOURS_MAX * HOUR_MS


NUMBERS = [10**400, -5, True, "5", None, [1], {"a": 1}, 1e308, float("nan"), float("-inf"), 0.1]
FIELDS = ("at_ms", "duration_s", "lock_s", "logical_bytes", "stored_bytes", "count", "hits", "bytes_sent", "operation")


def test_nonsense_in_the_journal_is_bounded_and_breaks_nothing() -> None:
    random = Random(3)
    everything: list[Entry] = []
    for name in folding._COUNTERS:
        for _ in range(50):
            fields: dict[str, object] = {field: random.choice(NUMBERS) for field in FIELDS}
            fields["at_ms"] = random.choice([10**30, -1, 0, NOW_MS, 2**63])
            everything.append((name, fields))
    found = folded(everything)
    made = report(found, Holding(), NOW_MS, 24)
    assert made.saves <= 50
    assert made.save_time.p99_s is not None
    assert 0 <= made.save_time.p99_s <= 1e7 * 1.01
    assert all(value >= 0 for value in (made.totals.stored_bytes, made.totals.missed_ticks, made.totals.cache_hits))
    again = msgspec.json.decode(msgspec.json.encode(found), type=Figures)
    assert again == found
    assert json.loads(msgspec.json.encode(made))


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=200), st.sampled_from([0.5, 0.95, 0.99]))
@settings(max_examples=60, deadline=None)
def test_a_percentile_is_within_a_hundredth_of_a_duration_that_was_measured(values: list[float], share: float) -> None:
    found = Distribution()
    for value in values:
        found.add(value)
    wanted = sorted(values)[max(1, -(-round(share * 100) * len(values) // 100)) - 1]
    assert found.percentile_s(share) == pytest.approx(wanted, rel=0.0079, abs=1e-6)
    assert found.average_s == pytest.approx(sum(values) / len(values), abs=1e-5)


@pytest.mark.parametrize("hours", [0, -1, 169, 10**9])
def test_hours_out_of_range_are_refused(hours: int) -> None:
    with pytest.raises(UsageError, match="from 1 to 168"):
        report(Figures(), Holding(), NOW_MS, hours)


def test_every_operation_that_changes_or_checks_something_counts_under_its_name() -> None:
    assert {name for name, one in CARRIED_OUT.items() if one.writes} <= OPERATIONS
    assert {"verify", "scrub", "drill", "compact"} <= OPERATIONS & set(CARRIED_OUT)
    assert set(RATED) <= OPERATIONS
