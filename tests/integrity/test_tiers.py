"""What a tier is said to hold is what it holds: another proves nothing about it, and nothing found is forgotten."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

import pytest

from maos_ckpt.config.types import Storage
from maos_ckpt.errors import IntegrityError, UnavailableError
from maos_ckpt.model import CheckpointState, Severity, VerifyLevel, VerifyTier
from maos_ckpt.operations.tiers import tiers
from maos_ckpt.replication.home import bring_home, far_packs
from maos_ckpt.repository.packs import pack_name
from maos_ckpt.tree.cursor import records
from maos_ckpt.verify import verify
from tests.integrity.conftest import Pair


def gone(pair: Pair) -> set[str]:
    """Delete all packs of the bucket."""
    names = {name for name, _ in pair.bucket.entries("packs")}
    pair.bucket.delete(*names)
    return names


@pytest.mark.parametrize("tier", [VerifyTier.ALL, VerifyTier.S3])
@pytest.mark.parametrize("level", list(VerifyLevel))
def test_packs_missing_in_the_bucket_are_found_again_and_again(
    pair: Pair, tier: VerifyTier, level: VerifyLevel
) -> None:
    names = gone(pair)
    for _ in range(3):
        result = verify(pair.home, [], level, tier=tier)
        assert not result.ok
        assert names <= {one.object for one in result.findings}
    assert all(one.state is not CheckpointState.REPLICATED for one in pair.home.checkpoints())
    remote = tiers(pair.home, Storage())[1]
    assert remote.state == "damaged"
    assert f"{len(names)} packs are missing there" in remote.reason
    # Another look at the listing alone does not make it good.
    pair.home.remote_copy.refresh()
    assert not verify(pair.home, [], level, tier=tier).ok
    pair.replicate()
    assert {name for name, _ in pair.bucket.entries("packs")} == names
    assert verify(pair.home, [], level, tier=tier).ok
    assert all(one.state is CheckpointState.REPLICATED for one in pair.home.checkpoints())
    assert tiers(pair.home, Storage())[1].state == "ok"


def test_the_home_proves_nothing_about_the_bucket(pair: Pair) -> None:
    name = max(pair.home.backend.list("packs").items(), key=lambda item: item[1])[0]
    verify(pair.home, [], VerifyLevel.FULL)
    pair.bucket.delete(name)
    result = verify(pair.home, [], VerifyLevel.FULL, tier=VerifyTier.S3)
    assert not result.ok
    assert {one.tier: one.bytes for one in result.tiers}.get("local", 0) == 0
    assert verify(pair.home, [], VerifyLevel.FULL, tier=VerifyTier.LOCAL).ok


def test_the_bucket_proves_nothing_about_the_home(pair: Pair) -> None:
    for name in pair.home.backend.list("packs"):
        pair.home.backend.delete(name)
    pair.reopen()
    before = pair.home.reader.bytes_read["s3"]
    result = verify(pair.home, [], VerifyLevel.FULL, tier=VerifyTier.LOCAL)
    assert pair.home.reader.bytes_read["s3"] == before
    (finding,) = [one for one in result.findings if one.kind == "tier"]
    assert finding.severity is Severity.WARNING
    assert "in the remote copy alone" in finding.message
    assert set(finding.affected) == {one.id for one in pair.home.checkpoints()}
    assert not any(one.state is CheckpointState.DAMAGED for one in pair.home.checkpoints())
    local = tiers(pair.home, Storage())[0]
    assert local.state == "behind"
    assert "lie in the remote copy alone" in local.reason


def test_packs_that_only_the_bucket_holds_are_brought_home(pair: Pair) -> None:
    packs = pair.home.backend.list("packs")
    for name in packs:
        pair.home.backend.delete(name)
    pair.reopen()
    assert far_packs(pair.home) == packs
    assert bring_home(pair.home, room_bytes=min(packs.values())) == 1
    assert bring_home(pair.home, None, stop=lambda: True) == 0
    assert bring_home(pair.home, None) == len(packs) - 1
    assert far_packs(pair.home) == {}
    assert pair.home.backend.list("packs") == packs
    assert not list((pair.path / "cache").glob("fetched-*"))
    assert verify(pair.home, [], VerifyLevel.FULL, tier=VerifyTier.LOCAL).ok


def test_a_pack_that_is_not_what_its_name_says_is_not_brought_home(pair: Pair) -> None:
    name = min(pair.home.backend.list("packs"))
    pair.home.backend.delete(name)
    pair.reopen()
    data = pair.bucket.read(name, 1 << 20)
    pair.bucket.replace(name, data[:-1] + bytes([data[-1] ^ 1]))
    assert bring_home(pair.home, None) == 0
    assert name in far_packs(pair.home)


def test_a_chunk_is_not_called_missing_before_the_bucket_was_asked(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in pair.home.backend.list("packs"):
        pair.home.backend.delete(name)
    latest = pair.home.checkpoints()[0]
    # The cache is expendable, and with it what is known of the bucket.
    memory = pair.home.remote_copy.memory
    memory.remove([name for one in ("packs", "manifests", "marks") for name in memory.below(one)])
    memory.set_fact("complete", "")
    assert tiers(pair.home, Storage())[1].state == "behind"

    def refuse(*_: object) -> None:
        raise UnavailableError("The store does not answer.")

    with monkeypatch.context() as patch:
        patch.setattr(pair.bucket, "entries", refuse)
        pair.reopen()
        with pytest.raises(UnavailableError, match="does not answer"):
            pair.home.descriptors(latest)
    assert pair.home.descriptors(latest)


def test_what_is_no_object_of_this_repository_is_not_sent_and_is_taken_away(pair: Pair, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    alone = Pair(tmp_path / "other", None)
    alone.add("of somebody else")
    checkpoint = alone.save()
    pack, manifest = checkpoint.pack, "manifests/000000000099"
    data = bytearray(alone.here()[pack])
    # Its bytes are what its name says, and it says that it is encrypted, which this repository is not.
    data[5] = 1
    foreign = pack_name(hashlib.sha256(data).digest())
    pair.home.backend.create(foreign, bytes(data))
    pair.home.backend.create(manifest, alone.here()[f"manifests/{checkpoint.seq:012d}"])
    pair.reopen()
    pair.add("and one more")
    pair.save()
    pair.replicate()
    assert foreign not in pair.there()
    result = verify(pair.home, [], VerifyLevel.FULL)
    assert {foreign, manifest} <= {one.object for one in result.findings}
    with pair.home.lease("repair"):
        mended = verify(pair.home, [], VerifyLevel.FULL, repair=True)
    assert {one.object for one in mended.repaired} == {foreign, manifest}
    assert mended.ok
    assert len(pair.kept_aside()) == 2
    assert foreign not in pair.here()
    assert verify(pair.home, [], VerifyLevel.FULL).ok


def test_what_is_damaged_here_is_read_in_the_bucket_and_said_once(pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    latest = pair.home.checkpoints()[0]
    whole = [list(records(pair.home.chunks, one.root)) for one in latest.collections]
    packs = pair.home.backend.list("packs")
    for name in packs:
        data = bytearray((pair.path / name).read_bytes())
        data[30:60] = bytes(30)
        (pair.path / name).write_bytes(data)
    pair.reopen()
    with caplog.at_level(logging.WARNING):
        assert [list(records(pair.home.chunks, one.root)) for one in latest.collections] == whole
    assert len(caplog.records) <= len(packs)
    assert "is damaged here" in caplog.text
    # A verification judges each tier by itself.
    assert not verify(pair.home, [], VerifyLevel.FULL, tier=VerifyTier.LOCAL).ok
    assert verify(pair.home, [], VerifyLevel.FULL, tier=VerifyTier.S3).ok


def test_damage_without_another_copy_says_what_to_do(alone: Pair) -> None:
    latest = alone.save()
    (pack,) = alone.home.backend.list("packs")
    data = bytearray((alone.path / pack).read_bytes())
    data[30:60] = bytes(30)
    (alone.path / pack).write_bytes(data)
    alone.reopen()
    with pytest.raises(IntegrityError) as caught:
        [list(records(alone.home.chunks, one.root)) for one in latest.collections]
    assert "verify --all --repair" in caught.value.hint
