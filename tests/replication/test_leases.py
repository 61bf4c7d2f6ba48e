"""Who may write: leases over machines, copies of homes, and what happens at a takeover."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest

from maos_ckpt.errors import IntegrityError, LeaseHeldError
from maos_ckpt.model import VerifyLevel
from maos_ckpt.prune import prune
from maos_ckpt.replication.doomed import read_doomed
from maos_ckpt.replication.pull import TAKEOVER_GAP, make_home, pull
from maos_ckpt.replication.push import pending, push
from maos_ckpt.repository.identity import home_id
from maos_ckpt.repository.pack_writer import PackWriter
from maos_ckpt.repository.remote import Timing
from maos_ckpt.repository.remote_lease import RemoteLease
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import SYSTEM, Seams
from maos_ckpt.verify import verify
from tests.engine.clocks import VirtualClock, seams_with
from tests.replication.conftest import Site

TTL_S = Timing().time_to_live_s


def another(site: Site, name: str, seams: Seams = SYSTEM) -> Repository:
    home = make_home(site.folder / name, site.remote, seams)
    pull(home)
    return home


def test_a_copied_home_is_another_home(tmp_path: Path) -> None:
    (tmp_path / "one" / "cache").mkdir(parents=True)
    one = home_id(tmp_path / "one", SYSTEM)
    assert home_id(tmp_path / "one", SYSTEM) == one
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    assert home_id(tmp_path / "two", SYSTEM) != one
    (tmp_path / "one" / "cache" / "home.json").write_text("{")
    assert home_id(tmp_path / "one", SYSTEM) != one


def test_a_copy_of_a_home_is_refused_while_the_first_one_writes(site: Site) -> None:
    first = site.home("first")
    site.save(first)
    push(first, site.lease(first))
    shutil.copytree(first.path, site.folder / "copy")
    copy = Repository.open(site.folder / "copy", SYSTEM, remote=site.remote)
    with pytest.raises(LeaseHeldError):
        push(copy, site.lease(copy))


def test_two_processes_of_one_home_do_not_push_at_once(site: Site) -> None:
    first = site.home("first")
    site.save(first)
    lease = site.lease(first)
    push(first, lease)
    with pytest.raises(LeaseHeldError, match="being brought up to date by process"):
        site.lease(first).acquire()
    lease.release()
    assert not site.lease(first).acquire()


def test_tries_that_give_up_at_once_find_out_together_that_a_holder_is_gone(site: Site) -> None:
    clock = VirtualClock()
    seams = seams_with(clock)
    first = site.home("first", seams)
    site.save(first)
    push(first, site.lease(first))
    second = another(site, "second", seams)
    for _ in range(3):
        # Each is a new process, which ends at once.
        with pytest.raises(LeaseHeldError):
            RemoteLease(second.remote_copy, str(second.path), seams).acquire()
        clock.sleep(TTL_S / 3)
    assert RemoteLease(second.remote_copy, str(second.path), seams).acquire()


@pytest.mark.parametrize("data", [b"", b"{", b'{"home": 7}', b"x" * 100_000])
def test_a_damaged_lease_ends_like_any_other(site: Site, data: bytes) -> None:
    clock = VirtualClock()
    first = site.home("first", seams_with(clock))
    site.save(first)
    first.remote_copy.backend.replace("leases/000000000007", data)
    lease = site.lease(first)
    with pytest.raises(LeaseHeldError, match=r"leases/000000000007 on .* cannot be read, so who writes is not known"):
        push(first, lease)
    clock.sleep(TTL_S)
    push(first, lease)
    assert lease.number == 8


def test_names_that_are_no_numbers_are_no_leases(site: Site) -> None:
    first = site.home("first")
    site.save(first)
    for name in ("leases/zzz", "leases/999999999999", "leases/1234567890123"):
        first.remote_copy.backend.replace(name, b"{}")
    lease = site.lease(first)
    push(first, lease)
    assert lease.number == 1


def test_checkpoints_of_two_machines_under_one_number_are_both_kept(site: Site) -> None:
    first = site.home("first")
    site.save(first, "one")
    lease = site.lease(first)
    push(first, lease)
    second = another(site, "second")
    site.change(1)
    site.save(first, "two of the first")
    site.change(2)
    site.save(second, "two of the second")
    push(first, lease)
    lease.release()
    push(second, site.lease(second))
    assert pending(second) == []
    found = {one.description: one.seq for one in second.checkpoints()}
    assert found["two of the first"] == 2
    assert found["two of the second"] > TAKEOVER_GAP
    third = another(site, "third")
    assert third.checkpoints() == second.checkpoints()
    assert verify(third, [], VerifyLevel.FULL).ok


def test_a_home_that_was_rolled_back_learns_what_it_forgot(site: Site) -> None:
    first = site.home("first")
    site.save(first, "one")
    lease = site.lease(first)
    push(first, lease)
    lease.release()
    shutil.copytree(first.path, site.folder / "backup")
    site.change(1)
    site.save(first, "two")
    lease = site.lease(first)
    push(first, lease)
    lease.release()
    first.close()
    shutil.rmtree(site.folder / "first")
    (site.folder / "backup").rename(site.folder / "first")
    first = Repository.open(site.folder / "first", SYSTEM, remote=site.remote)
    site.change(2)
    site.save(first, "another two")
    push(first, site.lease(first))
    assert [one.description for one in first.checkpoints()] == ["another two", "two", "one"]
    assert another(site, "new").checkpoints() == first.checkpoints()


def test_what_was_removed_while_it_was_being_sent_does_not_stay_there(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = site.home("home")
    for seed in range(3):
        site.change(seed)
        site.save(home, f"number {seed}")
    beside = Repository.open(home.path, SYSTEM, remote=site.remote)
    oldest = beside.checkpoints()[-1]
    backend = home.remote_copy.backend
    create = type(backend).create

    def remove_first(self: object, name: str, data: bytes) -> bool:
        if name.endswith(f"{oldest.seq:012d}") and name.startswith("manifests/"):
            with beside.lease("prune"):
                prune(beside, 1)
        return bool(create(self, name, data))  # type: ignore[arg-type]

    monkeypatch.setattr(type(backend), "create", remove_first)
    lease = site.lease(home)
    for _ in range(2):
        # What the prune rewrote is sent by the second.
        push(home, lease)
    home.remote_copy.refresh()
    assert home.remote_copy.memory.below("manifests").keys() == home.backend.list("manifests").keys()
    assert home.strays() == set()
    assert verify(another(site, "new"), [], VerifyLevel.FULL).ok


def test_a_pack_that_a_prune_rewrote_on_its_way_keeps_its_checkpoint_waiting(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = site.home("home")
    for seed in range(4):
        site.change(seed)
        site.save(home)
    push(home, lease := site.lease(home))
    site.change(4)
    site.save(home)
    waiting = home.checkpoints()[0]
    beside = Repository.open(home.path, SYSTEM, remote=site.remote)
    backend = home.remote_copy.backend
    create_file = type(backend).create_file

    def vanish(self: object, name: str, path: Path, *, sha256: str) -> bool:
        if name == waiting.pack:
            rewrite(beside, name)
        return bool(create_file(self, name, path, sha256=sha256))  # type: ignore[arg-type]

    monkeypatch.setattr(type(backend), "create_file", vanish)
    assert list(push(home, lease).stuck) == [waiting.id]
    assert push(home, lease).replicated == [waiting.id]
    assert verify(another(site, "new"), [], VerifyLevel.FULL).ok


def rewrite(repository: Repository, name: str) -> None:
    """Carry a pack's chunks over into another pack, as a prune does where little of it is needed."""
    with repository.lease("prune"):
        writer = PackWriter(repository.backend, SYSTEM.fs, repository.sealer)
        for one in reversed(repository.index.pack_chunks(name)):
            payload = repository.reader.payload(name, one)
            writer.add(one.id, one.codec, one.raw, payload, one.base)
        sealed = writer.seal()
        assert sealed.name != name
        repository.index.add_pack(sealed.name, sealed.size, writer.chunks)
        repository.drop_pack(name)


def test_an_emptied_bucket_empties_no_home_and_is_filled_again(site: Site) -> None:
    clock = VirtualClock()
    home = site.home("home", seams_with(clock))
    for seed in range(3):
        site.change(seed)
        site.save(home)
    lease = site.lease(home)
    push(home, lease)
    before = home.checkpoints()
    backend = home.remote_copy.backend
    for directory in ("manifests", "packs"):
        backend.delete(*[name for name, _ in backend.entries(directory)])
    backend.delete("maos-ckpt.json")
    clock.sleep(Timing().audit_s)
    push(home, lease)
    assert home.checkpoints() == before
    assert verify(another(site, "new"), [], VerifyLevel.FULL).ok


def test_nothing_is_thinned_out_while_a_checkpoint_of_the_copy_is_not_here(site: Site) -> None:
    home = site.home("home")
    for seed in range(4):
        site.change(seed)
        site.save(home)
    lease = site.lease(home)
    push(home, lease)
    stray = home.checkpoints()[1]
    home.backend.delete(f"manifests/{stray.seq:012d}")
    with home.lease("prune"):
        assert "remote copy holds checkpoints" in prune(home, 1).kept["packs"]
    push(home, lease)
    assert stray.id in {one.id for one in home.checkpoints()}


def test_a_takeover_drops_what_was_doomed_in_secret(site: Site) -> None:
    first = site.home("first")
    for seed in range(4):
        site.change(seed)
        site.save(first)
    lease = site.lease(first)
    push(first, lease)
    with first.lease("prune"):
        prune(first, 1)
    assert first.remote_copy.memory.doomed("packs")
    lease.release()
    second = another(site, "second")
    site.save(second, "counts on what the first one wants gone")
    second_lease = site.lease(second)
    push(second, second_lease)
    second_lease.release()
    remote = dataclasses.replace(site.remote, timing=Timing(grace_s=0.0))
    first.close()
    first = Repository.open(site.folder / "first", SYSTEM, remote=remote)
    for _ in range(3):
        push(first, lease := site.lease(first))
        lease.release()
    assert verify(another(site, "third"), [], VerifyLevel.FULL).ok


def test_a_damaged_announcement_is_none(site: Site) -> None:
    home = site.home("home")
    site.save(home)
    push(home, site.lease(home))
    home.remote_copy.backend.replace("doomed/packs.json", b"\xff{")
    assert read_doomed(home.remote_copy) == {}
    home.remote_copy.backend.replace("doomed/packs.json", b'{"../../etc/passwd": 1, "manifests/000000000001": 1}')
    assert read_doomed(home.remote_copy) == {}


@pytest.mark.parametrize("data", [b"", b"MCKM\x02\0\0\0\1" + b"x" * 100, b"MCKM\x01\x7f\xff\xff\xff" + b"x" * 100])
def test_a_manifest_that_cannot_be_read_is_shown_and_nothing_goes(site: Site, data: bytes) -> None:
    first = site.home("first")
    for seed in range(3):
        site.change(seed)
        site.save(first)
    push(first, site.lease(first))
    first.remote_copy.backend.replace("manifests/000000000002", data)
    second = another(site, "second")
    assert len(second.checkpoints()) == 2
    assert list(second.damaged_manifests()) == ["manifests/000000000002"]
    with second.lease("prune"):
        assert "packs" in prune(second, 1).kept


def test_a_swapped_pack_is_noticed_and_harms_nothing_else(site: Site) -> None:
    first = site.home("first")
    for seed in range(2):
        site.change(seed)
        site.save(first)
    push(first, site.lease(first))
    one, two = first.checkpoints()
    data = first.backend.read(two.pack, 1 << 30)
    first.remote_copy.backend.replace(one.pack, data[: len(data) // 2])
    second = another(site, "second")
    found = verify(second, [], VerifyLevel.QUICK).findings
    assert one.pack in {finding.object for finding in found}
    alone = verify(second, [two], VerifyLevel.FULL).findings
    assert all(two.id not in finding.affected for finding in alone)
    with pytest.raises(IntegrityError):
        second.descriptors(dataclasses.replace(one, descriptors=b"\0" * 32))
