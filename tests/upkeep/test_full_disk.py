"""On a full disk everything ends in the storage error or works; looking and giving space back always work."""

from __future__ import annotations

import dataclasses
import errno
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing

import pytest

from maos_ckpt.errors import ExitCode, StorageError
from maos_ckpt.events import EngineStopped
from maos_ckpt.fs import SystemFilesystem
from maos_ckpt.journal import Journal
from maos_ckpt.model import Trigger, VerifyLevel
from maos_ckpt.operations import checkpoints
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.prune import prune
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import SYSTEM
from maos_ckpt.verify import verify

from .conftest import Shelf
from .test_retention import ignore, workspace_of


class _Full(SystemFilesystem):
    """No space for a byte, but room for names; as a full disk has it."""

    def write(self, fd: int, data: bytes | memoryview) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


FULL = dataclasses.replace(SYSTEM, fs=_Full())


def _full(workspace: Workspace) -> Workspace:
    return dataclasses.replace(workspace, seams=FULL)


@pytest.mark.parametrize(
    "act",
    [
        lambda one: checkpoints.save(one, Trigger.MANUAL, "", (), ignore),
        lambda one: checkpoints.set_pinned(one, "latest", True),
        lambda one: checkpoints.change_tags(one, "latest", ["x"], []),
        lambda one: checkpoints.delete(one, "latest"),
    ],
    ids=["save", "pin", "tag", "delete"],
)
def test_what_needs_space_ends_in_the_storage_error(shelf: Shelf, act: Callable[[Workspace], object]) -> None:
    newest = shelf.save()
    shelf.change(1)
    with pytest.raises(StorageError, match="No space left") as caught:
        act(_full(workspace_of(shelf)))
    assert caught.value.exit_code == ExitCode.UNAVAILABLE
    assert shelf.reopen().checkpoints() == [newest]
    assert verify(shelf.repository, [], VerifyLevel.FULL).ok


def test_the_storage_error_names_the_checkpoint_in_work(shelf: Shelf) -> None:
    newest = shelf.save()
    with pytest.raises(StorageError, match=f"at work on {newest.id}") as caught:
        checkpoints.set_pinned(_full(workspace_of(shelf)), "latest", True)
    assert caught.value.data["checkpoint"] == newest.id


def test_looking_and_giving_space_back_need_none(shelf: Shelf) -> None:
    ids = []
    for seed in range(3):
        shelf.change(seed)
        ids.append(shelf.save().id)
    full = _full(workspace_of(shelf))
    assert len(checkpoints.list_checkpoints(full, 10)) == 3
    assert checkpoints.verify(full, [], VerifyLevel.FULL, ignore).ok
    repository = Repository.open(shelf.path, FULL)
    with closing(repository), repository.lease("prune"):
        assert set(prune(repository, 1, reclaim=False).removed) == set(ids[:2])
    assert [one.id for one in shelf.reopen().checkpoints()] == ids[2:]


def test_damage_that_cannot_be_marked_is_a_storage_error(shelf: Shelf) -> None:
    newest = shelf.save()
    for pack in shelf.packs():
        pack.unlink()
    with pytest.raises(StorageError, match=f"at work on {newest.id}"):
        checkpoints.verify(_full(workspace_of(shelf)), [], VerifyLevel.QUICK, ignore)


def test_a_journal_on_a_full_disk_fails_nothing(shelf: Shelf) -> None:
    assert not Journal(shelf.path, FULL).append(EngineStopped(1))


def test_a_full_index_moves_into_memory_so_that_packs_can_go(shelf: Shelf) -> None:
    for seed in range(4):
        shelf.change(seed)
        shelf.save()
    repository = shelf.reopen()
    # SQLite's own bound on the file gives the very error that a full disk does.
    pages = repository.index._connection.execute("PRAGMA page_count").fetchone()[0]
    repository.index._connection.execute(f"PRAGMA max_page_count={pages}")
    with repository.lease("prune"):
        result = prune(repository, 1)
    assert result.bytes_freed > 0
    assert verify(repository, [], VerifyLevel.FULL).ok
    assert verify(shelf.reopen(), [], VerifyLevel.FULL).ok


def test_an_index_that_fails_is_a_storage_error(shelf: Shelf) -> None:
    shelf.save()
    shelf.repository.index._connection.execute("DROP TABLE chunks")
    with pytest.raises(StorageError, match="chunk index") as caught:
        shelf.repository.chunks.read(bytes(32))
    assert isinstance(caught.value.__cause__, sqlite3.Error)
