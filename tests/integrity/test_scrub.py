"""The look at all objects in turn covers everything in its days, across restarts, and tells what it finds."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter

import pytest

from maos_ckpt.engine import scrubber
from maos_ckpt.engine.scrubber import FIRST_S, Scrubber
from maos_ckpt.errors import StorageError
from maos_ckpt.events import VerificationCompleted
from maos_ckpt.integrity.tiers import Fault, Tier
from maos_ckpt.model import VerifyLevel
from maos_ckpt.operations.tiers import tiers
from maos_ckpt.scrub import EVERY_S, forget_damage, load_rounds, scrub
from maos_ckpt.verify import verify
from tests.engine.clocks import VirtualClock, seams_with
from tests.engine.support import running
from tests.upkeep.conftest import Shelf, shelf
from tests.upkeep.test_retention import workspace_of

from .conftest import Pair

__all__ = ["shelf"]


@pytest.fixture
def clock(pair: Pair) -> VirtualClock:
    made = VirtualClock()
    pair.seams = dataclasses.replace(pair.seams, clock=seams_with(made).clock)
    pair.reopen()
    return made


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[str, str]]:
    """How often each object of each tier was read."""
    seen: Counter[tuple[str, str]] = Counter()
    true_fault = Tier.fault

    def fault(self: Tier, name: str, level: VerifyLevel) -> Fault | None:
        seen[self.name, name] += 1
        return true_fault(self, name, level)

    monkeypatch.setattr(Tier, "fault", fault)
    return seen


def test_every_object_of_every_tier_is_read_once_in_a_round_that_survives_restarts(
    pair: Pair, clock: VirtualClock, looked_at: Counter[tuple[str, str]]
) -> None:
    everything = {("local", name) for name in pair.here()} | {("s3", name) for name in pair.there()}
    ended = 0
    for hour in range(24):
        done = scrub(pair.reopen(), 1.0)
        assert done.result.ok
        assert done.result.checkpoints == 0
        ended += done.round_ended
        if not hour:
            assert len(looked_at) == 2
        clock.sleep(EVERY_S)
    assert looked_at.keys() == everything
    assert ended >= 1
    # Small objects are a larger share of few than an hour is of a day, so the rounds may be shorter, never longer.
    assert max(looked_at.values()) - min(looked_at.values()) <= 1
    assert {one.name for one in tiers(pair.home) if one.scrubbed_at_ms} == {"local", "s3"}


def test_time_without_a_look_is_caught_up_with_at_once(
    pair: Pair, clock: VirtualClock, looked_at: Counter[tuple[str, str]]
) -> None:
    scrub(pair.home, 7.0)
    clock.sleep(8 * 86_400)
    assert scrub(pair.home, 7.0).round_ended
    assert len(looked_at) == len(pair.here()) + len(pair.there())


def test_what_is_found_is_told_until_it_is_repaired(pair: Pair, clock: VirtualClock) -> None:
    name = next(name for name in pair.there() if name.startswith("packs/"))
    whole = pair.bucket.read(name, 1 << 20)
    pair.bucket.replace(name, whole[:-1] + bytes([whole[-1] ^ 1]))
    scrub(pair.home, 1.0)
    clock.sleep(2 * 86_400)
    done = scrub(pair.home, 1.0)
    assert [(one.kind, one.object) for one in done.result.findings] == [("pack", name)]
    assert done.result.checkpoints == 2
    assert {one.name: one.damaged for one in tiers(pair.home)} == {"local": (), "s3": (name,)}
    with pair.home.lease("repair"):
        assert verify(pair.home, [], VerifyLevel.STANDARD, repair=True).ok
    forget_damage(pair.home)
    assert [one.damaged for one in tiers(pair.home)] == [(), ()]


def test_a_bucket_that_is_away_holds_up_its_own_round_only(pair: Pair, clock: VirtualClock) -> None:
    def away(*_: object) -> None:
        raise StorageError("The bucket is away.")

    scrub(pair.home, 1.0)
    before = load_rounds(pair.home)
    pair.bucket.read_range = away  # type: ignore[assignment,method-assign]
    pair.bucket.read = away  # type: ignore[assignment,method-assign]
    clock.sleep(86_400)
    scrub(pair.home, 1.0)
    after = load_rounds(pair.home)
    assert after["s3"] == before["s3"]
    assert after["local"].completed_at_ms is not None
    scrub(pair.home, 1.0, remote=False)
    assert load_rounds(pair.home)["s3"] == before["s3"]


def test_a_memory_that_cannot_be_read_begins_anew(pair: Pair) -> None:
    (pair.path / "cache" / "scrub.json").write_bytes(b"\xff nonsense")
    assert scrub(pair.home, 7.0).result.ok
    assert load_rounds(pair.home)["local"].position == min(pair.here())


def test_a_slice_begins_when_it_is_due_and_nothing_else_runs() -> None:
    clock, idle, runs = VirtualClock(), [True], []
    one = Scrubber(seams_with(clock), idle=lambda: idle[0], run=lambda: runs.append(clock.monotonic_s()))
    one.look()
    assert runs == []
    clock.sleep(FIRST_S)
    idle[0] = False
    one.look()
    assert runs == []
    idle[0] = True
    one.look()
    one.look()
    assert len(runs) == 1
    clock.sleep(EVERY_S)
    one.look()
    assert len(runs) == 2


def test_the_engine_looks_by_itself_and_tells(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrubber, "FIRST_S", 0.0)
    shelf.save()
    [pack] = shelf.packs()
    data = pack.read_bytes()
    pack.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    # The last look was long ago, so that one slice is a whole round.
    long_ago = {"local": {"position": "", "at_ms": 1}}
    (shelf.path / "cache" / "scrub.json").write_text(json.dumps(long_ago))
    with running(workspace_of(shelf)) as (client, events):
        [told] = events.wait_for(VerificationCompleted)
        assert isinstance(told, VerificationCompleted)
        assert (told.scrub, told.ok) == (True, False)
        [local] = client.status().tiers
        assert local.damaged == (f"packs/{pack.parent.name}/{pack.name}",)
        assert local.scrubbed_at_ms is not None
