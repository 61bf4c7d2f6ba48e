"""A backend that is only read from: nothing else reaches the inner one, and what is read is counted."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from maos_ckpt.backends.local import LocalBackend
from maos_ckpt.backends.read_only import ReadOnlyBackend
from maos_ckpt.errors import PermissionRefusedError
from maos_ckpt.seams import SYSTEM

NAME = "packs/00/00aa"


@pytest.fixture
def backend(tmp_path: Path) -> ReadOnlyBackend:
    inner = LocalBackend(tmp_path / "inner", SYSTEM)
    inner.make_directories(["packs", "tmp"])
    inner.create(NAME, b"0123456789")
    return ReadOnlyBackend(inner)


def test_reads_pass_and_are_counted(backend: ReadOnlyBackend) -> None:
    assert backend.read(NAME, 100) == b"0123456789"
    assert backend.read_range(NAME, 2, 3) == b"234"
    assert (backend.objects_read, backend.bytes_read) == (1, 13)
    assert backend.size(NAME) == 10
    assert list(backend.entries("packs")) == [(NAME, 10)]


@pytest.mark.parametrize(
    "change",
    [
        lambda backend, path: backend.create("packs/00/00bb", b"x"),
        lambda backend, path: backend.create_file("packs/00/00bb", path, sha256=hashlib.sha256(b"x").hexdigest()),
        lambda backend, path: backend.replace(NAME, b"x"),
        lambda backend, path: backend.delete(NAME),
    ],
    ids=["create", "create_file", "replace", "delete"],
)
def test_every_change_is_refused_and_nothing_happens(
    backend: ReadOnlyBackend, tmp_path: Path, change: Callable[[ReadOnlyBackend, Path], object]
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x")
    with pytest.raises(PermissionRefusedError, match="only read from"):
        change(backend, path)
    assert dict(backend.entries("packs")) == {NAME: 10}
    assert backend.read(NAME, 100) == b"0123456789"
