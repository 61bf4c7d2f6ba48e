"""Losing the folder of marks makes retention more careful, never bolder, and hinders no reader."""

from __future__ import annotations

import logging
import shutil

import msgspec
import pytest

from maos_ckpt.errors import IntegrityError
from maos_ckpt.model import VerifyLevel
from maos_ckpt.prune import prune
from maos_ckpt.repository.checked_json import with_checksum
from maos_ckpt.repository.marks import check_marks
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import SYSTEM
from maos_ckpt.verify import verify
from tests.upkeep.conftest import Shelf, shelf

__all__ = ["shelf"]


def test_without_marks_everything_is_read_and_counts_as_pinned(shelf: Shelf) -> None:
    shelf.save()
    shutil.rmtree(shelf.path / "marks")
    repository = shelf.reopen()
    assert [one.pinned for one in repository.checkpoints()] == [True]
    assert verify(repository, [], VerifyLevel.FULL).ok
    assert not (shelf.path / "marks").exists()


def test_a_writer_makes_lost_marks_anew_and_says_so_once(shelf: Shelf, caplog: pytest.LogCaptureFixture) -> None:
    first, second = shelf.save(), shelf.save()
    shutil.rmtree(shelf.path / "marks")
    repository = shelf.reopen()
    with caplog.at_level(logging.WARNING):
        third = shelf.save()
        fourth = shelf.save()
    assert [record.message.count("pinned") for record in caplog.records] == [1]
    assert {one.id: one.pinned for one in repository.checkpoints()} == {
        first.id: True,
        second.id: True,
        third.id: False,
        fourth.id: False,
    }
    with repository.lease("prune"):
        assert prune(repository, 1).removed == (third.id,)


def test_a_mark_set_while_marks_are_lost_unpins_no_other(shelf: Shelf) -> None:
    first, second = shelf.save(), shelf.save()
    shutil.rmtree(shelf.path / "marks")
    repository = shelf.reopen()
    repository.set_marks(repository.resolve(second.id), damaged=True)
    assert repository.resolve(first.id).pinned


@pytest.mark.parametrize("name", ["packs", "manifests"])
@pytest.mark.parametrize("read_only", [False, True])
def test_a_repository_without_its_vital_folders_is_refused(shelf: Shelf, name: str, read_only: bool) -> None:
    shelf.save()
    shutil.rmtree(shelf.path / name)
    with pytest.raises(IntegrityError, match=f"half deleted; gone: {name}"):
        Repository.open(shelf.path, SYSTEM, read_only=read_only)
    with pytest.raises(IntegrityError, match=name):
        Repository.open_or_create(shelf.path, shelf.source.spec, SYSTEM)
    # Also where it happens under an open repository.
    with pytest.raises(IntegrityError, match=name):
        shelf.repository.stored_bytes()


def test_a_sequence_floor_that_no_checkpoint_reaches_is_damaged() -> None:
    for seq in (-1, 10**12):
        with pytest.raises(IntegrityError):
            check_marks("marks/sequence.json", with_checksum(msgspec.json.encode({"seq": seq})))
    for digits in (13, 5000):
        with pytest.raises(IntegrityError):
            check_marks("marks/sequence.json", b"9" * digits)
    check_marks("marks/sequence.json", with_checksum(msgspec.json.encode({"seq": 10**12 - 1})))
    check_marks("marks/sequence.json", b"9" * 12)
