"""What a directory promises beyond the conformance suite: it knows a lost disk from a lost object."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import os
import stat
from pathlib import Path

import pytest

from maos_ckpt.backends.base import HEADER_NAME
from maos_ckpt.backends.local import LocalBackend
from maos_ckpt.backends.local_directory import TEMPORARY
from maos_ckpt.errors import IntegrityError, StorageError
from maos_ckpt.fs import SystemFilesystem
from maos_ckpt.seams import SYSTEM

NAME = "packs/3f/3f00"
EMPTY = hashlib.sha256(b"").hexdigest()


@pytest.fixture
def backend(tmp_path: Path) -> LocalBackend:
    made = LocalBackend(tmp_path / "repository", SYSTEM)
    made.make_directories(["packs", TEMPORARY])
    return made


def test_a_repository_that_is_not_there_is_no_missing_object(backend: LocalBackend) -> None:
    backend.root.rename(backend.root.with_name("unmounted"))
    for call in (lambda: backend.size(NAME), lambda: backend.read(NAME, 1), lambda: backend.read_range(NAME, 0, 1)):
        with pytest.raises(StorageError, match="There is no directory at"):
            call()


def test_a_directory_that_is_gone_is_no_empty_listing(backend: LocalBackend) -> None:
    with pytest.raises(IntegrityError, match="folder manifests of the repository"):
        list(backend.entries("manifests"))


def test_an_object_that_goes_while_it_is_listed_is_left_out(backend: LocalBackend) -> None:
    for number in range(3):
        backend.create(f"packs/{number}", b"x")
    listing = backend.entries("packs")
    assert next(listing)[0] == "packs/0"
    backend.delete("packs/1")
    assert [name for name, _ in listing] == ["packs/2"]


def test_files_and_directories_are_for_their_owner_alone(backend: LocalBackend, tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        (tmp_path / "file").write_bytes(b"")
        backend.create(NAME, b"x")
        backend.replace(HEADER_NAME, b"x")
        backend.create_file("packs/aa/1", tmp_path / "file", sha256=EMPTY)
    finally:
        os.umask(old)
    for path in backend.root.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_an_error_names_the_file_that_it_is_about(backend: LocalBackend, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no-such-file"):
        backend.create_file(NAME, tmp_path / "no-such-file", sha256=EMPTY)


def test_nothing_unfinished_stays(backend: LocalBackend, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"other")
    backend.create(NAME, b"x")
    assert not backend.create(NAME, b"y")
    with pytest.raises(IntegrityError):
        backend.create_file("packs/aa/1", tmp_path / "file", sha256=EMPTY)
    assert not backend.create_file(NAME, tmp_path / "file", sha256=hashlib.sha256(b"other").hexdigest())
    assert list((backend.root / TEMPORARY).iterdir()) == []


class _Refusing(SystemFilesystem):
    """Refuses the first calls of one method, as a failing disk does; `synced` are the directories made durable."""

    def __init__(self, method: str, times: int) -> None:
        self._method = method
        self._left = times
        self.synced: list[Path] = []

    def _refuse(self, method: str) -> None:
        if method == self._method and self._left:
            self._left -= 1
            raise OSError(errno.EIO, "as the test ordered")

    def unlink(self, path: Path) -> None:
        self._refuse("unlink")
        super().unlink(path)

    def sync_directory(self, path: Path) -> None:
        self._refuse("sync_directory")
        super().sync_directory(path)
        self.synced.append(path)


def refusing(backend: LocalBackend, method: str, times: int) -> tuple[LocalBackend, _Refusing]:
    fs = _Refusing(method, times)
    return LocalBackend(backend.root, dataclasses.replace(SYSTEM, fs=fs)), fs


def test_a_temporary_file_that_cannot_be_removed_is_no_failure_of_what_was_stored(backend: LocalBackend) -> None:
    failing, _ = refusing(backend, "unlink", 2)
    assert failing.create(NAME, b"x")
    assert not failing.create(NAME, b"y")
    assert backend.read(NAME, 1) == b"x"
    backend.sweep()
    assert list((backend.root / TEMPORARY).iterdir()) == []


def test_a_repeated_create_makes_durable_what_the_first_one_could_not(backend: LocalBackend) -> None:
    (backend.root / "packs" / "3f").mkdir()
    failing, fs = refusing(backend, "sync_directory", 1)
    with pytest.raises(StorageError):
        failing.create(NAME, b"x")
    assert fs.synced == []
    assert failing.create(NAME, b"x")
    assert fs.synced == [backend.root / "packs" / "3f"]
