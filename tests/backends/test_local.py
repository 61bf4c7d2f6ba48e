"""What a directory promises beyond the conformance suite: it knows a lost disk from a lost object."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

import pytest

from maos_ckpt.backends.base import HEADER_NAME
from maos_ckpt.backends.local import TEMPORARY, LocalBackend
from maos_ckpt.errors import IntegrityError, StorageError
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
