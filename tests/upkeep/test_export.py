"""An export is there as a whole or not at all."""

from __future__ import annotations

import dataclasses
import errno
import os
from pathlib import Path

import pytest

from maos_ckpt.errors import ConflictError, StorageError
from maos_ckpt.export import export
from maos_ckpt.fs import SystemFilesystem
from maos_ckpt.seams import SYSTEM

from .conftest import Shelf


class _Full(SystemFilesystem):
    """A disk that is full after so many writes."""

    def __init__(self, writes: int) -> None:
        self._left = writes

    def write(self, fd: int, data: bytes | memoryview) -> None:
        self._left -= 1
        if self._left < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().write(fd, data)


@pytest.mark.parametrize("exists", [False, True])
def test_a_failed_export_leaves_nothing_and_names_the_checkpoint(shelf: Shelf, tmp_path: Path, exists: bool) -> None:
    checkpoint = shelf.save()
    target = tmp_path / "out" / "export"
    target.parent.mkdir()
    if exists:
        target.mkdir()
    full = dataclasses.replace(SYSTEM, fs=_Full(3))
    with pytest.raises(StorageError) as caught:
        export(shelf.repository, checkpoint, target, lambda _: None, full)
    assert caught.value.data["checkpoint"] == checkpoint.id
    assert "removed again" in caught.value.kept
    assert list(target.parent.iterdir()) == ([target] if exists else [])
    assert not exists or list(target.iterdir()) == []
    files = export(shelf.repository, checkpoint, target, lambda _: None, SYSTEM)
    assert sum(one.records for one in files) == checkpoint.records
    assert list(target.parent.iterdir()) == [target]


def test_an_export_stopped_by_a_person_leaves_nothing(shelf: Shelf, tmp_path: Path) -> None:
    class Stopped(SystemFilesystem):
        def sync(self, fd: int) -> None:
            raise KeyboardInterrupt

    checkpoint = shelf.save()
    target = tmp_path / "export"
    before = set(tmp_path.iterdir())
    with pytest.raises(KeyboardInterrupt):
        export(shelf.repository, checkpoint, target, lambda _: None, dataclasses.replace(SYSTEM, fs=Stopped()))
    assert set(tmp_path.iterdir()) == before


def test_an_empty_directory_is_filled_where_it_is(shelf: Shelf, tmp_path: Path) -> None:
    target, link = tmp_path / "export", tmp_path / "link"
    target.mkdir()
    link.symlink_to(target)
    inode = target.stat().st_ino
    export(shelf.repository, shelf.save(), link, lambda _: None, SYSTEM)
    assert target.stat().st_ino == inode
    assert (target / "checkpoint.json").is_file()


def test_a_directory_that_holds_something_is_refused_and_left(shelf: Shelf, tmp_path: Path) -> None:
    target = tmp_path / "export"
    target.mkdir()
    (target / "mine").write_text("mine")
    with pytest.raises(ConflictError, match="not empty"):
        export(shelf.repository, shelf.save(), target, lambda _: None, SYSTEM)
    assert [path.name for path in target.iterdir()] == ["mine"]
