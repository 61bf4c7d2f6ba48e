"""What is damaged in one tier is made good from the other; what is lost is named, and stored anew while it lives."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import pytest

from maos_ckpt.codec.compression import Codec
from maos_ckpt.integrity import quarantine
from maos_ckpt.model import CheckpointState, Severity, VerifyLevel, VerifyTier
from maos_ckpt.prune import prune
from maos_ckpt.replication.push import pending
from maos_ckpt.repository.pack_reader import PackReader
from maos_ckpt.repository.packs import Stored
from maos_ckpt.repository.remote_lease import RemoteLease
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import SYSTEM
from maos_ckpt.verify import verify
from tests.upkeep.conftest import Shelf, shelf

from .conftest import Pair

__all__ = ["shelf"]


def spoil(path: Path, at: int) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:at] + bytes([data[at] ^ 0x40]) + data[at + 1 :])


def spoil_a_leaf(repository: Repository, path: Path) -> bytes:
    """Damage the largest chunk of a pack; returns its id."""
    name = f"packs/{path.parent.name}/{path.name}"
    stored = max(repository.index.pack_chunks(name), key=lambda one: one.stored)
    spoil(path, stored.offset + stored.stored // 2)
    return stored.id


def test_a_save_of_an_unchanged_state_stores_a_damaged_chunk_anew(shelf: Shelf) -> None:
    first = shelf.save()
    [pack] = shelf.packs()
    chunk = spoil_a_leaf(shelf.repository, pack)
    assert not verify(shelf.reopen(), [], VerifyLevel.STANDARD).ok
    assert not shelf.repository.index.has(chunk)
    assert shelf.repository.resolve(first.id).state is CheckpointState.DAMAGED
    healed = shelf.save()
    assert 0 < healed.stored_bytes < pack.stat().st_size / 2
    result = verify(shelf.reopen(), [], VerifyLevel.FULL)
    assert result.ok
    # The damaged pack is still told of, but nothing needs what is damaged in it.
    assert [(one.severity, one.kind) for one in result.findings] == [(Severity.WARNING, "pack")]
    assert shelf.repository.resolve(first.id).state is CheckpointState.COMMITTED
    assert shelf.save().capture.unchanged


def test_a_chunk_whose_base_is_damaged_is_stored_anew_as_well(shelf: Shelf) -> None:
    first = shelf.save()
    [old] = shelf.packs()
    shelf.change(1)
    second = shelf.save()
    for stored in shelf.repository.index.pack_chunks(f"packs/{old.parent.name}/{old.name}"):
        spoil(old, stored.offset + stored.stored // 2)
    result = verify(shelf.reopen(), [], VerifyLevel.FULL)
    touched = {one for finding in result.findings for one in finding.affected}
    assert touched >= {first.id, second.id}
    assert result.last_good == ""
    healed = shelf.save()
    result = verify(shelf.reopen(), [], VerifyLevel.FULL)
    assert result.last_good == healed.id
    assert shelf.repository.resolve(second.id).state is CheckpointState.COMMITTED


def test_the_newest_whole_checkpoint_is_named(shelf: Shelf) -> None:
    first = shelf.save()
    [old] = shelf.packs()
    shelf.change(1)
    second = shelf.save()
    [new] = set(shelf.packs()) - {old}
    spoil_a_leaf(shelf.repository, new)
    result = verify(shelf.reopen(), [], VerifyLevel.FULL)
    assert not result.ok
    assert result.last_good == first.id
    told = result.findings[-1]
    assert (told.severity, told.object) == (Severity.INFO, first.id)
    assert first.id in told.message
    assert shelf.repository.resolve(second.id).state is CheckpointState.DAMAGED


def test_without_another_tier_what_is_good_in_a_pack_is_kept_and_the_rest_is_named(shelf: Shelf) -> None:
    first = shelf.save()
    [pack] = shelf.packs()
    whole = pack.stat().st_size
    chunk = spoil_a_leaf(shelf.repository, pack)
    name = f"packs/{pack.parent.name}/{pack.name}"
    good = len(shelf.repository.index.pack_chunks(name)) - 1
    with shelf.repository.lease("repair"):
        result = verify(shelf.repository, [], VerifyLevel.STANDARD, repair=True)
    assert not result.ok
    assert [(one.tier, one.object) for one in result.unrepaired] == [("local", name)]
    [kept] = (shelf.path / "quarantine").iterdir()
    assert kept.stat().st_size == whole
    lost = next(one for one in result.findings if one.kind == "chunk")
    assert first.id in lost.affected
    assert any("records" in one for one in lost.affected)
    [salvaged] = shelf.packs()
    left = shelf.repository.index.pack_chunks(f"packs/{salvaged.parent.name}/{salvaged.name}")
    assert len(left) == good
    assert chunk not in {one.id for one in left}
    shelf.save()
    result = verify(shelf.reopen(), [], VerifyLevel.FULL)
    assert result.ok
    assert result.findings == ()
    with shelf.repository.lease("prune"):
        assert "packs" not in prune(shelf.repository, 1).kept
    assert verify(shelf.repository, [], VerifyLevel.FULL).ok


def test_two_damaged_copies_give_together_what_each_has_lost(pair: Pair) -> None:
    name, data = next(
        (name, data) for name, data in pair.here().items() if name.startswith("packs/") and len(data) > 400
    )
    first, *_, last = pair.home.index.pack_chunks(name)
    spoil(pair.path / name, first.offset + 1)
    at = last.offset + 1
    pair.bucket.replace(name, data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    pair.home.reader.forget(name)
    with pair.home.lease("repair"):
        result = verify(pair.home, [], VerifyLevel.FULL, repair=True)
    assert result.ok, result.findings
    assert [one.tier for one in result.quarantined] == ["local", "s3"]
    assert (pair.path / name).read_bytes() == pair.bucket.read(name, 1 << 20) == data
    pair.replicate()
    assert verify(pair.reopen(), [], VerifyLevel.FULL).ok
    assert verify(pair.home, [], VerifyLevel.FULL, tier=VerifyTier.S3).ok


def test_what_is_gone_from_the_bucket_counts_as_not_replicated_and_is_sent_again(s3_pair: Pair) -> None:
    home = s3_pair.home
    before = s3_pair.there()
    gone = [name for name in before if name.startswith(("packs/", "manifests/"))]
    s3_pair.bucket.delete(*gone)
    assert pending(home) == []
    result = verify(home, [], VerifyLevel.QUICK)
    assert sorted(one.object for one in result.findings) == sorted(gone)
    assert len(pending(home)) == 2
    s3_pair.replicate()
    assert s3_pair.there() == before
    assert verify(home, [], VerifyLevel.STANDARD).ok


def test_what_was_read_and_from_where_is_told(s3_pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    home = s3_pair.home
    here, there = s3_pair.here(), s3_pair.there()
    both = {one.tier: one for one in verify(home, [], VerifyLevel.STANDARD).tiers}
    assert both["s3"].objects == len(there)
    assert both["s3"].bytes == sum(map(len, there.values()))
    assert both["local"].objects == len(here)
    assert both["local"].bytes >= sum(map(len, here.values()))
    assert all(one.cache_bypassed for one in both.values())
    quick = {one.tier: one.bytes for one in verify(home, [], VerifyLevel.QUICK).tiers}
    assert quick["s3"] == 0
    assert [one.tier for one in verify(home, [], VerifyLevel.FULL, tier=VerifyTier.LOCAL).tiers if one.bytes] == [
        "local"
    ]
    # A home without packs reads them from the bucket, and never from what it had read before.
    for name in here:
        if name.startswith("packs/"):
            home.evict_pack(name)
    assert home.reader.payload(name_of_a_pack(home), Stored(bytes(32), Codec.NONE, 8, 8, 0)) == b"MCKP\1\0\0\0"

    def unreachable(*_: object) -> bytes:
        raise AssertionError("the cache was asked")

    monkeypatch.setattr(home.remote_copy.backend, "read_range", unreachable)
    assert verify(home, [], VerifyLevel.FULL).ok


def name_of_a_pack(home: Repository) -> str:
    return next(iter(home.packs()))


def test_a_bucket_that_cannot_be_read_is_a_warning_unless_it_alone_was_asked_for(pair: Pair) -> None:
    from maos_ckpt.errors import StorageError

    def away(*_: object) -> None:
        raise StorageError("The bucket is away.")

    pair.bucket.entries = away  # type: ignore[assignment,method-assign]
    result = verify(pair.home, [], VerifyLevel.FULL)
    assert result.ok
    assert [(one.severity, one.kind) for one in result.findings] == [(Severity.WARNING, "tier")]
    with pytest.raises(StorageError):
        verify(pair.home, [], VerifyLevel.FULL, tier=VerifyTier.S3)


def test_a_bucket_that_another_machine_writes_to_is_not_repaired(s3_pair: Pair) -> None:
    [name, *_] = [name for name in s3_pair.there() if name.startswith("packs/")]
    s3_pair.bucket.replace(name, b"garbage")
    other = RemoteLease(s3_pair.home.remote_copy, "elsewhere", SYSTEM)
    other.acquire()
    with s3_pair.home.lease("repair"):
        result = verify(s3_pair.home, [], VerifyLevel.STANDARD, repair=True)
    assert not result.ok
    [left] = result.unrepaired
    assert "Another machine" in left.detail
    assert s3_pair.bucket.read(name, 100) == b"garbage"


def test_a_full_quarantine_stops_a_repair_and_deletes_nothing(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quarantine, "FILES_MAX", 1)
    first, second = [name for name in pair.here() if name.startswith("manifests/")]
    for name in (first, second):
        (pair.path / name).write_bytes(b"garbage")
    with pair.home.lease("repair"):
        result = verify(pair.home, [], VerifyLevel.FULL, repair=True)
    assert ([one.object for one in result.repaired], [one.object for one in result.unrepaired]) == ([first], [second])
    assert not result.ok
    assert (pair.path / second).read_bytes() == b"garbage"
    assert len(pair.kept_aside()) == 1


def test_a_fetched_pack_is_checked_before_it_replaces_anything(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other tier looks whole and then sends something else."""
    [name, *_] = [name for name in pair.here() if name.startswith("packs/")]
    spoil(pair.path / name, 20)
    pair.home.reader.forget(name)
    before = (pair.path / name).read_bytes()
    true_range, reads = pair.bucket.read_range, []

    def lying(one: str, offset: int, length: int) -> bytes:
        data = true_range(one, offset, length)
        reads.append(one)
        # The first looks are honest: at the pack as verified, and as a candidate.
        return data if reads.count(name) <= 2 or one != name else bytes(length)

    monkeypatch.setattr(pair.bucket, "read_range", lying)
    with pair.home.lease("repair"):
        result = verify(pair.home, [], VerifyLevel.STANDARD, repair=True)
    assert [one.object for one in result.unrepaired] == [name]
    assert (pair.path / name).read_bytes() == before
    assert pair.home.backend.list("tmp") == {} if (pair.path / "tmp").is_dir() else True


def test_a_lost_folder_of_packs_is_no_damage_where_the_bucket_holds_them(s3_pair: Pair) -> None:
    with contextlib.suppress(FileNotFoundError):
        for path in (s3_pair.path / "packs").iterdir():
            shutil.rmtree(path)
    home = s3_pair.reopen()
    assert isinstance(home.reader, PackReader)
    assert verify(home, [], VerifyLevel.FULL).ok
    with home.lease("repair"):
        result = verify(home, [], VerifyLevel.FULL, repair=True, complete=True)
    assert len(result.repaired) == len(home.backend.list("packs")) == 2


def test_a_save_after_a_damaged_pack_could_not_be_sent_stores_it_anew(s3_pair: Pair) -> None:
    pair = s3_pair
    pair.add("not sent yet")
    saved = pair.save()
    spoil_a_leaf(pair.home, pair.path / saved.pack)
    pair.reopen()
    assert saved.id in pair.replicate().stuck
    assert pair.home.resolve(saved.id).state is CheckpointState.DAMAGED
    healed = pair.save()
    assert healed.stored_bytes
    pair.replicate()
    assert pair.home.resolve(healed.id).state is CheckpointState.REPLICATED
    assert verify(pair.home, [healed], VerifyLevel.FULL, tier=VerifyTier.S3).ok


@pytest.mark.parametrize("level", list(VerifyLevel))
def test_a_verification_that_finds_a_marked_checkpoint_whole_takes_the_mark_off(
    shelf: Shelf, level: VerifyLevel
) -> None:
    first = shelf.save()
    [pack] = shelf.packs()
    spoil_a_leaf(shelf.repository, pack)
    assert not verify(shelf.reopen(), [], VerifyLevel.FULL).ok
    damaged = shelf.repository.resolve(first.id)
    assert damaged.state is CheckpointState.DAMAGED
    assert not verify(shelf.repository, [damaged], level).ok
    assert shelf.repository.resolve(first.id).state is CheckpointState.DAMAGED
    shelf.save()
    verify(shelf.repository, [damaged], level)
    assert shelf.repository.resolve(first.id).state is CheckpointState.COMMITTED
