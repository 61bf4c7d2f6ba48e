"""Verification finds what is wrong, at the depth it promises, and names the records and checkpoints it touches."""

from __future__ import annotations

import random

from maos_ckpt.diff import diff_states
from maos_ckpt.model import VerifyLevel
from maos_ckpt.verify import verify

from .conftest import Shelf


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
