"""Verification finds what is wrong, at the depth it promises, and names the records and checkpoints it touches."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable

import pytest

from maos_ckpt.diff import diff_states
from maos_ckpt.errors import ConflictError, IntegrityError
from maos_ckpt.model import Progress, Severity, VerifyLevel
from maos_ckpt.operations import checkpoints, keeping
from maos_ckpt.prune import prune
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import SYSTEM
from maos_ckpt.verify import verify

from .conftest import Shelf
from .test_retention import workspace_of


def test_a_sound_repository_is_found_sound_and_everything_is_read(shelf: Shelf) -> None:
    shelf.save()
    shelf.change(1)
    newest = shelf.save()
    for level in VerifyLevel:
        result = verify(shelf.repository, [], level)
        assert result.ok
        assert result.findings == ()
        assert result.checkpoints == 2
    assert result.bytes > newest.logical_bytes


def test_flipped_bytes_are_found_and_located(shelf: Shelf) -> None:
    first = shelf.save()
    rng = random.Random(4)
    pack = max(shelf.packs(), key=lambda path: path.stat().st_size)
    whole = bytearray(pack.read_bytes())
    for _ in range(12):
        at = rng.randrange(8, len(whole) - 5000)
        pack.write_bytes(whole[:at] + bytes([whole[at] ^ 0x40]) + whole[at + 1 :])
        repository = shelf.reopen()
        for level in (VerifyLevel.STANDARD, VerifyLevel.FULL):
            result = verify(repository, [], level)
            assert not result.ok
            chunk = next(one for one in result.findings if one.kind == "chunk")
            assert first.id in chunk.affected
            assert any("records" in one for one in chunk.affected)
        assert repository.resolve(first.id).state == "damaged"
        pack.write_bytes(whole)
        repository = shelf.reopen()
        assert verify(repository, [], VerifyLevel.FULL).ok
        assert repository.resolve(first.id).state == "committed"


def test_a_missing_pack_damages_only_the_checkpoints_that_need_it(shelf: Shelf) -> None:
    shelf.save()
    before = set(shelf.packs())
    shelf.change(1)
    second = shelf.save()
    [added] = set(shelf.packs()) - before
    added.unlink()
    result = verify(shelf.reopen(), [], VerifyLevel.QUICK)
    assert not result.ok
    touched = {one for finding in result.findings for one in finding.affected if one.startswith("cp_")}
    assert touched == {second.id}


def test_the_next_save_heals_what_a_lost_pack_took(shelf: Shelf) -> None:
    """What is missing is not counted as stored, so a state that still lives is stored again."""
    shelf.save()
    for pack in shelf.packs():
        pack.unlink()
    shelf.reopen()
    (shelf.path / "cache" / "memo.msgpack").unlink()
    healed = shelf.save()
    assert healed.stored_bytes > 0
    assert verify(shelf.reopen(), [healed], VerifyLevel.FULL).ok


def test_an_unreadable_manifest_is_named_and_hides_no_other(shelf: Shelf) -> None:
    first = shelf.save()
    shelf.change(1)
    shelf.save()
    newest = max((shelf.path / "manifests").iterdir())
    newest.write_bytes(b"garbage" + newest.read_bytes()[7:])
    repository = shelf.reopen()
    assert [one.id for one in repository.checkpoints()] == [first.id]
    result = verify(repository, [], VerifyLevel.QUICK)
    assert [one.kind for one in result.findings] == ["manifest"]
    assert diff_states(repository, shelf.source, first.id, "live").summary.total > 0


def test_standard_reads_the_packs_of_the_named_checkpoint_bases_included(shelf: Shelf) -> None:
    """The second one is stored as deltas, so it needs both packs; the first needs its own alone."""
    first = shelf.save()
    [old] = shelf.packs()
    shelf.change(1)
    second = shelf.save()
    [new] = set(shelf.packs()) - {old}
    for pack, damaged in ((old, {first.id, second.id}), (new, {second.id})):
        whole = pack.read_bytes()
        middle = 8 + (len(whole) - 8) // 2
        pack.write_bytes(whole[:middle] + bytes([whole[middle] ^ 0x40]) + whole[middle + 1 :])
        repository = shelf.reopen()
        for one in (first, second):
            result = verify(repository, [repository.resolve(one.id)], VerifyLevel.STANDARD)
            assert result.ok is (one.id not in damaged)
            assert result.bytes >= pack.stat().st_size or one.id not in damaged
        pack.write_bytes(whole)
        assert verify(shelf.reopen(), [], VerifyLevel.FULL).ok


def test_a_damaged_newest_manifest_is_named_by_whoever_asks_for_the_latest(
    shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    first = shelf.save()
    shelf.change(1)
    second = shelf.save()
    newest = max((shelf.path / "manifests").iterdir())
    newest.write_bytes(b"garbage")
    repository = shelf.reopen()
    name = f"manifests/{newest.name}"
    assert list(checkpoints.damaged_manifests(workspace_of(shelf))) == [name]
    with caplog.at_level(logging.WARNING):
        assert repository.resolve(first.id) == first
        assert caplog.messages == []
        assert repository.resolve("latest") == first
    [told] = caplog.messages
    assert name in told
    assert first.id in told
    assert second.id not in told
    result = verify(repository, [first], VerifyLevel.STANDARD)
    assert result.ok
    assert [(one.severity, one.object) for one in result.findings] == [(Severity.WARNING, name)]


def test_the_duration_is_told_in_milliseconds(shelf: Shelf) -> None:
    shelf.save()
    duration_s = verify(shelf.repository, [], VerifyLevel.FULL).duration_s
    assert duration_s == round(duration_s, 3) > 0


def after_the_first_step(action: Callable[[], None]) -> Callable[[Progress], None]:
    """A progress sink that carries out `action` once."""
    steps: list[Progress] = []

    def sink(step: Progress) -> None:
        steps.append(step)
        if len(steps) == 1:
            action()

    return sink


@pytest.mark.parametrize("level", list(VerifyLevel))
def test_what_retention_takes_during_a_verification_is_no_damage(shelf: Shelf, level: VerifyLevel) -> None:
    for seed in range(4):
        shelf.change(seed)
        shelf.save()
    reader = shelf.reopen()

    def take() -> None:
        beside = Repository.open(shelf.path, SYSTEM)
        with beside.lease("prune"):
            assert len(prune(beside, 1).removed) == 3
        beside.close()

    result = verify(reader, [], level, after_the_first_step(take))
    assert result.ok, result.findings
    assert [path.name for path in (shelf.path / "marks").iterdir()] == []


def test_a_checkpoint_that_goes_while_it_is_read_is_told_as_removed_and_not_as_corrupt(shelf: Shelf) -> None:
    ids = []
    for seed in range(4):
        shelf.change(seed)
        ids.append(shelf.save().id)
    workspace = workspace_of(shelf)

    def read() -> None:
        with workspace.reading() as repository:
            checkpoint = repository.resolve(ids[1])
            keeping.prune(workspace, 1, False, lambda _: None)
            for collection in checkpoint.collections:
                if collection.root is not None:
                    repository.chunks.get(collection.root)

    with pytest.raises(ConflictError, match=f"{ids[1]} was removed while it was being read"):
        read()


def test_a_lost_pack_of_a_checkpoint_that_is_still_there_is_damage(shelf: Shelf) -> None:
    shelf.save()
    workspace = workspace_of(shelf)

    def read() -> None:
        with workspace.reading() as repository:
            checkpoint = repository.resolve("latest")
            for pack in shelf.packs():
                pack.unlink()
            repository.chunks.get(checkpoint.descriptors)

    with pytest.raises(IntegrityError, match="is missing"):
        read()


def test_a_chunk_that_a_prune_carried_into_another_pack_is_found_there(shelf: Shelf) -> None:
    """Also by a reader whose index is its own, as that of a read-only repository is."""
    ids = []
    for seed in range(6):
        shelf.change(seed)
        ids.append(shelf.save().id)
    reader = Repository.open(shelf.path, SYSTEM, read_only=True)
    before = set(shelf.packs())
    with shelf.repository.lease("prune"):
        prune(shelf.repository, 1)
    assert set(shelf.packs()) - before
    newest = reader.resolve(ids[-1])
    assert verify(reader, [newest], VerifyLevel.FULL).ok
    assert diff_states(reader, shelf.source, newest.id, "live").summary.total == 0
    reader.close()
