"""Replication against a real S3 server: what is pushed is whole, and a home is brought back from it."""

from __future__ import annotations

import contextlib
import shutil

import pytest

from maos_ckpt.errors import LeaseHeldError
from maos_ckpt.model import CheckpointState, Progress, PruneResult, VerifyLevel
from maos_ckpt.prune import prune
from maos_ckpt.replication import bundles
from maos_ckpt.replication.doomed import GRACE_S, read_doomed
from maos_ckpt.replication.pull import TAKEOVER_GAP, make_home, pull
from maos_ckpt.replication.push import pending, push
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import SYSTEM, Seams
from maos_ckpt.verify import verify
from tests.engine.clocks import VirtualClock, seams_with
from tests.replication.conftest import Site


def fill(site: Site, home: Repository, number: int, first: int = 1) -> None:
    for seed in range(first, first + number):
        site.change(seed)
        site.save(home, f"number {seed}")


def test_a_new_home_has_everything_that_was_pushed(site: Site) -> None:
    first = site.home("first")
    fill(site, first, 4)
    first.set_marks(first.checkpoints()[1], pinned=True, tags=["good"])
    assert len(pending(first)) == 4
    done = push(first, site.lease(first))
    assert len(done.replicated) == 4
    assert pending(first) == []
    assert {one.state for one in first.checkpoints()} == {CheckpointState.REPLICATED}
    shutil.rmtree(site.folder / "first")
    second = adopted(site, "second", first.header.id)
    assert pull(second) == 4
    assert second.checkpoints()[1].pinned
    assert second.checkpoints()[1].tags == ("good",)
    assert second.backend.list("packs") == {}
    assert verify(second, [], VerifyLevel.FULL).ok


def adopted(site: Site, name: str, repository: str, seams: Seams = SYSTEM) -> Repository:
    home = make_home(site.folder / name, site.remote, seams)
    assert home.header.id == repository
    return home


def test_pushing_twice_sends_nothing_twice(site: Site) -> None:
    home = site.home("home")
    fill(site, home, 2)
    lease = site.lease(home)
    assert push(home, lease).bytes > 0
    again = push(home, lease)
    assert (again.bytes, again.replicated) == (0, [])


def test_what_retention_removed_goes_from_the_copy_after_the_grace_period(site: Site) -> None:
    clock = VirtualClock()
    home = site.home("home", seams_with(clock))
    fill(site, home, 4)
    lease = site.lease(home)
    push(home, lease)
    packs = home.remote_copy.memory.below("packs")
    with home.lease("prune"):
        prune(home, 1)
    push(home, lease)
    remote = home.remote_copy
    assert len(list(remote.backend.entries("manifests"))) == 1
    assert dict(remote.backend.entries("packs")).keys() >= packs.keys()
    clock.sleep(GRACE_S + 1)
    assert push(home, lease).removed_packs > 0
    remote.refresh()
    assert remote.memory.below("packs").keys() == home.backend.list("packs").keys()
    assert verify(home, [], VerifyLevel.FULL).ok


def test_packs_that_a_prune_rewrites_beside_a_push_are_not_announced_before_the_new_ones_are_sent(site: Site) -> None:
    """Their chunks lie in new packs, which this push does not send any more: to others the copy is whole."""
    home = site.home("home")
    fill(site, home, 6)
    lease = site.lease(home)
    push(home, lease)
    fill(site, home, 1, first=7)

    def prune_once(progress: Progress) -> None:
        if progress.operation == "replicate" and not pruned:
            beside = Repository.open(home.path, SYSTEM, remote=site.remote)
            with contextlib.closing(beside), beside.lease("prune"):
                pruned.append(prune(beside, 3))
                doomed.update(beside.remote_copy.memory.doomed("packs"))

    pruned: list[PruneResult] = []
    doomed: dict[str, int] = {}
    push(home, lease, prune_once)
    assert doomed
    reader = adopted(site, "reader", home.header.id)
    pull(reader)
    assert verify(reader, [], VerifyLevel.FULL).ok
    # The next one sends the new packs, and says that the old ones go.
    push(home, lease)
    assert read_doomed(home.remote_copy)
    again = adopted(site, "again", home.header.id)
    pull(again)
    assert verify(again, [], VerifyLevel.FULL).ok


def test_a_second_machine_is_refused_until_the_first_is_gone(site: Site) -> None:
    clock = VirtualClock()
    seams = seams_with(clock)
    first = site.home("first", seams)
    fill(site, first, 2)
    held = site.lease(first)
    push(first, held)
    second = adopted(site, "second", first.header.id, seams)
    with pytest.raises(LeaseHeldError):
        push(second, site.lease(second))
    lease = site.lease(second)
    assert lease.acquire(wait_s=200)
    push(second, lease)
    pull(second)
    second.leave_room(TAKEOVER_GAP)
    fill(site, second, 1, first=10)
    push(second, lease)
    # The first machine comes back with a checkpoint of its own: refused, until the second gives the system up.
    fill(site, first, 1, first=20)
    with pytest.raises(LeaseHeldError):
        push(first, held)
    lease.release()
    push(first, held)
    assert [one.description for one in reversed(first.checkpoints())] == [
        "number 1",
        "number 2",
        "number 20",
        "number 10",
    ]
    assert verify(first, [], VerifyLevel.FULL).ok


def test_many_checkpoints_come_back_with_few_requests(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundles, "MANIFESTS_MIN", 8)
    first = site.home("first")
    lease = site.lease(first)
    for seed in range(1, 41):
        if seed % 4 == 0:
            site.change(seed)
        site.save(first, f"number {seed}")
        if seed % 10 == 0:
            push(first, lease)
    second = adopted(site, "second", first.header.id)
    before = second.remote_copy.requests if hasattr(second.remote_copy, "requests") else 0
    assert pull(second) == 40
    assert second.checkpoints() == first.checkpoints()
    assert before == 0
    assert verify(second, [], VerifyLevel.QUICK).ok
