"""A home that does not hold the lease: what it saves meanwhile, and what the holder's retention does to it."""

from __future__ import annotations

import shutil

import pytest

from maos_ckpt.backends.read_cache import CacheSettings
from maos_ckpt.model import Checkpoint, CheckpointState, VerifyLevel
from maos_ckpt.prune import prune
from maos_ckpt.replication.doomed import GRACE_S
from maos_ckpt.replication.pull import make_home, pull
from maos_ckpt.replication.push import pending, push
from maos_ckpt.repository.connect import RemoteSettings
from maos_ckpt.repository.remote_lease import RemoteLease
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import SYSTEM, Seams
from maos_ckpt.space import evict
from maos_ckpt.verify import verify
from tests.engine.clocks import VirtualClock, seams_with
from tests.lab.build import build_state
from tests.replication.conftest import Site


class Two:
    """Two homes of one system; the first one holds the lease. Nothing is cached, so what is gone cannot be read."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.remote = RemoteSettings(site.remote.s3, CacheSettings(0, 0))
        self.clock = VirtualClock()
        self.seams = seams_with(self.clock)
        self.first = Repository.open_or_create(site.folder / "first", site.source.spec, self.seams, remote=self.remote)
        site.save(self.first, "of the first")
        self.lease = self.lease_of(self.first)
        push(self.first, self.lease)
        self.second = self.another("second", self.seams)

    def another(self, name: str, seams: Seams = SYSTEM) -> Repository:
        home = make_home(self.site.folder / name, self.remote, seams)
        pull(home)
        return home

    def lease_of(self, home: Repository) -> RemoteLease:
        return RemoteLease(home.remote_copy, str(home.path), self.seams)

    def change_everything(self) -> None:
        """The first one's state moves on, and its retention keeps nothing of what was before."""
        replace_state(self.site)
        self.site.save(self.first, "another state")
        with self.first.lease("prune"):
            prune(self.first, 1)
        push(self.first, self.lease)

    def delete_what_is_announced(self) -> None:
        self.clock.sleep(GRACE_S + 1)
        assert push(self.first, self.lease).removed_packs

    def hand_over(self) -> None:
        self.lease.release()
        self.lease = self.lease_of(self.second)


@pytest.fixture
def two(site: Site) -> Two:
    return Two(site)


def by_description(home: Repository) -> dict[str, Checkpoint]:
    return {one.description: one for one in home.checkpoints()}


def test_what_a_waiting_checkpoint_needs_is_brought_here_before_it_goes_from_the_copy(two: Two) -> None:
    two.site.save(two.second, "of the second")
    assert not two.second.backend.list("packs")
    two.change_everything()
    pull(two.second)
    brought = two.second.backend.list("packs")
    assert brought
    pull(two.second)
    assert two.second.backend.list("packs") == brought
    two.delete_what_is_announced()
    pull(two.second)
    assert verify(two.second, [by_description(two.second)["of the second"]], VerifyLevel.FULL).ok
    two.hand_over()
    done = push(two.second, two.lease)
    assert done.stuck == {}
    assert pending(two.second) == []
    third = two.another("third")
    assert by_description(third).keys() == {"of the second", "another state"}
    assert verify(third, [], VerifyLevel.FULL).ok


def test_a_takeover_brings_here_what_its_own_checkpoints_need(two: Two) -> None:
    two.site.save(two.second, "of the second")
    two.change_everything()
    two.hand_over()
    assert push(two.second, two.lease).stuck == {}
    two.clock.sleep(GRACE_S + 1)
    push(two.second, two.lease)
    assert verify(two.another("third"), [], VerifyLevel.FULL).ok


def test_what_the_holder_carried_over_into_another_pack_is_not_brought_here(two: Two) -> None:
    two.site.save(two.second, "of the second")
    packs = two.first.backend.list("packs")
    rewrite(two.first, next(iter(packs)))
    push(two.first, two.lease)
    pull(two.second)
    assert two.second.backend.list("packs") == {}
    two.delete_what_is_announced()
    assert verify(two.second, [by_description(two.second)["of the second"]], VerifyLevel.FULL).ok


def test_what_is_gone_before_this_home_looked_damages_no_later_save(two: Two, caplog: pytest.LogCaptureFixture) -> None:
    two.site.save(two.second, "stranded")
    two.change_everything()
    two.delete_what_is_announced()
    pull(two.second)
    assert by_description(two.second)["stranded"].state is CheckpointState.DAMAGED
    assert "1 checkpoints count on stored bytes that are gone" in caplog.text
    two.site.save(two.second, "later")
    assert verify(two.second, [by_description(two.second)["later"]], VerifyLevel.FULL).ok
    two.hand_over()
    for _ in range(2):
        # Also once the doubt of the takeover is over.
        done = push(two.second, two.lease)
        assert [one.description for one in pending(two.second)] == ["stranded"]
        assert len(done.stuck) == 1
    assert verify(two.another("third"), [], VerifyLevel.FULL).ok


def test_eviction_spares_what_waiting_checkpoints_need(two: Two) -> None:
    site, first = two.site, two.first
    site.change(1)
    site.save(first, "in the copy")
    push(first, two.lease)
    two.hand_over()
    # The first one has all packs here and in the copy, and saves without the lease.
    site.save(first, "waits")
    waiting = first.checkpoints()[0]
    replace_state(site)
    site.save(first, "another state")
    with first.lease("prune"):
        assert evict(first, first.checkpoints(), 1 << 40, dry_run=False) == {}
    assert pending(first)[0].id == waiting.id
    first.reader._remote = None
    assert verify(first, [waiting], VerifyLevel.FULL).ok


def test_packs_that_are_still_here_are_sent_again_where_the_holder_removed_them(two: Two) -> None:
    """The holder changes; the one that had it before saves on, on top of packs that it has itself."""
    site, first, second = two.site, two.first, two.second
    two.hand_over()
    push(second, two.lease)
    site.save(first, "on top of what goes")
    replace_state(site)
    site.save(second, "another state")
    with second.lease("prune"):
        prune(second, 1)
    push(second, two.lease)
    two.clock.sleep(GRACE_S + 1)
    assert push(second, two.lease).removed_packs
    two.lease.release()
    done = push(first, two.lease_of(first))
    assert done.stuck == {}
    third = two.another("third")
    assert by_description(third).keys() == {"on top of what goes", "another state"}
    assert verify(third, [], VerifyLevel.FULL).ok


def test_what_retention_took_elsewhere_goes_here_too(two: Two) -> None:
    pull(two.second)
    two.change_everything()
    pull(two.second)
    assert by_description(two.second).keys() == {"another state"}


def test_a_manifest_that_vanished_without_a_word_is_kept_and_sent_again(
    two: Two, caplog: pytest.LogCaptureFixture
) -> None:
    site, first, second = two.site, two.first, two.second
    for seed in range(3):
        site.change(seed)
        site.save(first, f"number {seed}")
    push(first, two.lease)
    pull(second)
    lost = by_description(first)["number 1"]
    removed = by_description(first)["number 0"]
    with first.lease("delete"):
        first.remove(removed)
    push(first, two.lease)
    first.remote_copy.backend.delete(f"manifests/{lost.seq:012d}")
    pull(second)
    assert lost.id in {one.id for one in second.checkpoints()}
    assert removed.id not in {one.id for one in second.checkpoints()}
    assert "1 checkpoints are gone from the remote copy though nobody removed them" in caplog.text
    caplog.clear()
    pull(second)
    assert "gone from the remote copy" not in caplog.text
    two.hand_over()
    assert push(second, two.lease).replicated == [lost.id]
    third = two.another("third")
    assert lost.id in {one.id for one in third.checkpoints()}
    assert verify(third, [], VerifyLevel.FULL).ok


def test_a_damaged_word_about_removals_costs_nothing(two: Two) -> None:
    two.change_everything()
    for data in (b"\xff{", b"[[3, 1]]", b'{"a": 1}'):
        two.first.remote_copy.backend.replace("doomed/manifests.json", data)
        pull(two.second)
        assert by_description(two.second).keys() == {"of the first", "another state"}


def replace_state(site: Site) -> None:
    """Another state in the same place, that has no chunk and no base of a delta in common with the one before."""
    for folder in (site.directory, site.claude):
        shutil.rmtree(folder)
    build_state(site.directory, site.claude, 1_000_000, seed=77, transcript_bytes=50_000)


def rewrite(repository: Repository, name: str) -> None:
    from tests.replication.test_leases import rewrite as carry_over

    carry_over(repository, name)


def test_a_stray_object_among_the_manifests_is_passed_over(two: Two) -> None:
    for name in ("manifests/foo", "manifests/1", "manifests/00000000000a"):
        two.first.remote_copy.backend.replace(name, b"x")
    pull(two.second)
    assert two.second.damaged_manifests() == {}
    two.site.save(two.second)
    two.hand_over()
    assert push(two.second, two.lease).replicated
