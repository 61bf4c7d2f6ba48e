"""The retention policy as a function: what it promises holds for any checkpoints and any clock."""

from __future__ import annotations

import dataclasses
import datetime
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from maos_ckpt.model import CaptureInfo, Checkpoint, CheckpointState, Trigger
from maos_ckpt.retention import SAFETY_KEPT, STEP_S_MAX, Retention, Rules, retention

_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS
#: A Thursday, 12:00 UTC.
_NOON_MS = int(datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.UTC).timestamp() * 1000)


def checkpoint(seq: int, at_ms: int, **more: object) -> Checkpoint:
    one = Checkpoint(
        id=f"cp_{seq}",
        seq=seq,
        parent=None,
        created_at_ms=at_ms,
        description="",
        tags=(),
        pinned=False,
        trigger=Trigger.SCHEDULE,
        state=CheckpointState.COMMITTED,
        source="sqlite:x",
        collections=(),
        stored_bytes=100,
        duration_s=0.1,
        capture=CaptureInfo(),
        digest=b"",
        descriptors=b"",
    )
    return dataclasses.replace(one, **more)  # type: ignore[arg-type]


_CHECKPOINTS = st.lists(
    st.builds(
        lambda at_h, pinned, tags, trigger, unchanged, damaged: checkpoint(
            0,
            _NOON_MS + int(at_h * _HOUR_MS),
            pinned=pinned,
            tags=tags,
            trigger=trigger,
            capture=CaptureInfo(unchanged=unchanged),
            state=CheckpointState.DAMAGED if damaged else CheckpointState.COMMITTED,
        ),
        st.floats(-2000, 2000),
        st.integers(0, 9).map(lambda n: n == 0),
        st.sampled_from([(), (), (), ("good",), ("other",)]),
        st.sampled_from([Trigger.SCHEDULE] * 5 + [Trigger.MANUAL, Trigger.SAFETY]),
        st.integers(0, 4).map(lambda n: n == 0),
        st.integers(0, 9).map(lambda n: n == 0),
    ),
    max_size=40,
).map(lambda found: [dataclasses.replace(one, id=f"cp_{n}", seq=n) for n, one in enumerate(found, 1)][::-1])


@st.composite
def _cases(draw: st.DrawFn) -> tuple[list[Checkpoint], int, dict[str, str], int, Rules]:
    found = draw(_CHECKPOINTS)
    ids = [one.id for one in found]
    chosen = st.sets(st.sampled_from(ids)) if ids else st.just(set())
    rules = Rules(
        hourly=draw(st.integers(0, 5)),
        daily=draw(st.integers(0, 5)),
        weekly=draw(st.integers(0, 3)),
        tags=draw(st.sampled_from([(), ("good",)])),
        waiting=dict.fromkeys(draw(chosen), 100),
        spool_bytes_max=draw(st.sampled_from([0, 250, 10_000])),
    )
    now_ms = _NOON_MS + draw(st.integers(-2000, 2000)) * _HOUR_MS
    return found, draw(st.integers(0, 8)), dict.fromkeys(draw(chosen), "held"), now_ms, rules


@given(_cases())
@settings(max_examples=300, deadline=None)
def test_nothing_protected_is_ever_taken_or_asked_to_make_room(
    case: tuple[list[Checkpoint], int, dict[str, str], int, Rules],
) -> None:
    found, keep_last, held, now_ms, rules = case
    policy = retention(found, keep_last, held, now_ms, rules)
    assert policy.kept.keys() | policy.removed.keys() == {one.id for one in found}
    assert not policy.kept.keys() & policy.removed.keys()
    assert all([*policy.kept.values(), *policy.removed.values()])
    newest = {one.id for one in found[:1]}
    pinned = {one.id for one in found if one.pinned}
    tagged = {one.id for one in found if set(one.tags) & set(rules.tags)}
    safeties = {one.id for one in [one for one in found if one.trigger is Trigger.SAFETY][:SAFETY_KEPT]}
    protected = newest | pinned | tagged | held.keys() | safeties
    assert protected <= policy.kept.keys()
    assert not protected & set(policy.yielding)
    asked = {one.id for one in found if one.id in rules.waiting and one.trigger is not Trigger.SCHEDULE}
    assert asked <= policy.kept.keys()
    assert set(policy.overflowed) == policy.removed.keys() & rules.waiting.keys()
    last = [
        one.id
        for one in found
        if one.trigger is not Trigger.SAFETY and not one.pinned and one.state is not CheckpointState.DAMAGED
        if not (one.trigger is Trigger.SCHEDULE and one.capture.unchanged and not one.tags)
    ]
    assert set(last[:keep_last]) <= policy.kept.keys()
    assert keep_last or not policy.removed


@given(_cases(), st.floats(-2000, 2000))
@settings(max_examples=300, deadline=None)
def test_a_newer_checkpoint_brings_nothing_back(
    case: tuple[list[Checkpoint], int, dict[str, str], int, Rules], at_h: float
) -> None:
    found, keep_last, held, now_ms, rules = case
    newer = checkpoint(len(found) + 1, _NOON_MS + int(at_h * _HOUR_MS))
    before = retention(found, keep_last, held, now_ms, rules)
    after = retention([newer, *found], keep_last, held, now_ms, rules)
    assert newer.id in after.kept
    assert not (after.kept.keys() & before.removed.keys())


def series(number: int, step_ms: int, first_seq: int = 1, start_ms: int = _NOON_MS) -> list[Checkpoint]:
    return [checkpoint(first_seq + n, start_ms + n * step_ms) for n in range(number)][::-1]


def seqs(policy: Retention) -> list[int]:
    return sorted(int(one.removeprefix("cp_")) for one in policy.kept)


def test_the_newest_of_each_hour_day_and_week_stays() -> None:
    # One every 20 minutes over 28 days, the last one at 11:40.
    found = series(28 * 72, _HOUR_MS // 3)
    now_ms = found[0].created_at_ms
    policy = retention(found, 2, {}, now_ms, Rules(hourly=3, daily=3, weekly=3))
    times = [
        f"{datetime.datetime.fromtimestamp(one.created_at_ms / 1000, datetime.UTC):%a %d %H:%M}"
        for one in found
        if one.id in policy.kept
    ]
    assert times == [
        "Thu 29 11:40",
        "Thu 29 11:20",
        "Thu 29 10:40",
        "Thu 29 09:40",
        "Wed 28 23:40",
        "Tue 27 23:40",
        "Sun 25 23:40",
        "Sun 18 23:40",
    ]
    assert policy.kept[found[0].id] == "one of the last 2"
    assert sorted(set(policy.kept.values())) == [
        "one of the last 2",
        "the newest of its day",
        "the newest of its hour",
        "the newest of its week",
    ]
    assert set(policy.removed.values()) == {
        "not one of the last 2, nor the newest of one of the last 3 hours or 3 days or 3 weeks"
    }


def test_what_is_damaged_does_not_take_the_place_of_what_can_be_restored() -> None:
    found = series(6, 30_000)
    bad = [dataclasses.replace(one, state=CheckpointState.DAMAGED) for one in found[:3]]
    policy = retention([*bad, *found[3:]], 2, {}, found[0].created_at_ms)
    assert seqs(policy) == [2, 3, 4, 5, 6]


_SAVES_AN_HOUR = 6


def run(jumps: dict[int, int], hourly: int, saves: int) -> tuple[list[int], int]:
    """Save every ten minutes and prune each time, with a clock that jumps by so many milliseconds at these saves.

    Returns the numbers kept in the end, and the most that were kept at any time.
    """
    there: list[Checkpoint] = []
    clock_ms = _NOON_MS
    most = 0
    for seq in range(1, saves + 1):
        clock_ms += _HOUR_MS // _SAVES_AN_HOUR + jumps.get(seq, 0)
        there.insert(0, checkpoint(seq, clock_ms))
        kept = retention(there, 1, {}, clock_ms, Rules(hourly=hourly)).kept
        there = [one for one in there if one.id in kept]
        most = max(most, len(there))
    return [one.seq for one in there], most


def test_a_clock_set_back_or_forward_once_costs_no_more_than_the_hour_it_jumped_in() -> None:
    hourly, saves = 12, 200
    oldest = min(run({}, hourly, saves)[0])
    for jump_ms in (
        -400 * _DAY_MS,
        -_DAY_MS,
        -3 * _HOUR_MS,
        -_HOUR_MS // 2,
        _HOUR_MS // 2,
        5 * _HOUR_MS,
        400 * _DAY_MS,
    ):
        for at in (100, 133, 170, 195, 199, 200):
            kept, most = run({at: jump_ms}, hourly, saves)
            assert min(kept) <= oldest + _SAVES_AN_HOUR, (jump_ms, at)
            assert most <= 2 * hourly + 1


def test_an_excursion_of_the_clock_costs_no_more_than_an_hour_while_it_lasts_or_afterwards() -> None:
    hourly, saves = 12, 200
    oldest = min(run({}, hourly, saves)[0])
    for jump_ms in (-400 * _DAY_MS, -5 * _HOUR_MS, 5 * _HOUR_MS, 400 * _DAY_MS):
        for at, back in ((150, 152), (170, 190), (190, 199)):
            kept, most = run({at: jump_ms, back: -jump_ms}, hourly, saves)
            assert min(kept) <= oldest + _SAVES_AN_HOUR, (jump_ms, at, back)
            assert most <= 2 * hourly + 1


def test_a_clock_gone_mad_keeps_no_more_than_twice_the_number() -> None:
    rng = random.Random(4)
    jumps = {seq: rng.randrange(-1000, 1000) * _HOUR_MS for seq in range(2, 300)}
    kept, most = run(jumps, 10, 300)
    assert most <= 21
    assert len(kept) >= 10


def test_a_clock_set_forward_ages_no_safety_checkpoint_by_more_than_a_day() -> None:
    old = [checkpoint(seq, _NOON_MS + seq, trigger=Trigger.SAFETY) for seq in range(1, SAFETY_KEPT + 3)][::-1]
    far_ms = _NOON_MS + 400 * _DAY_MS
    newest = checkpoint(SAFETY_KEPT + 3, far_ms)
    assert not retention([newest, *old], 1, {}, far_ms + 400 * _DAY_MS).removed
    # A week of saves makes them old, whatever the clock says.
    week = series(8, STEP_S_MAX * 1000, SAFETY_KEPT + 4, far_ms)
    late = retention([*week, newest, *old], 1, {}, week[0].created_at_ms)
    assert {"cp_1", "cp_2"} <= late.removed.keys()
    assert "cp_3" in late.kept


def test_the_spool_keeps_what_waits_newest_first_and_what_was_asked_for_before_the_schedule() -> None:
    found = series(8, 30_000)
    found[7] = dataclasses.replace(found[7], trigger=Trigger.MANUAL)
    waiting = {one.id: 100 for one in found[2:]}
    policy = retention(found, 1, {}, found[0].created_at_ms, Rules(waiting=waiting, spool_bytes_max=350))
    assert policy.kept == {
        "cp_8": "one of the last 1",
        "cp_6": "not replicated yet",
        "cp_5": "not replicated yet",
        "cp_1": "not replicated yet",
    }
    assert policy.overflowed == ("cp_2", "cp_3", "cp_4")
    assert policy.removed["cp_4"] == "not replicated yet, but the spool's 350 bytes are full"
    assert policy.removed["cp_7"] == "not one of the last 1"
