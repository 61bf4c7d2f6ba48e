"""A pack that takes the place of others is read back before they go, and nothing known goes for it."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from maos_ckpt.codec.compression import Codec
from maos_ckpt.compact import compact
from maos_ckpt.errors import IntegrityError, StorageError
from maos_ckpt.fs import SystemFilesystem
from maos_ckpt.model import VerifyLevel
from maos_ckpt.prune import prune
from maos_ckpt.repository import replacing
from maos_ckpt.repository.pack_writer import PackWriter
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import SYSTEM
from maos_ckpt.verify import verify
from tests.upkeep.conftest import Shelf


class Forgetful(SystemFilesystem):
    """A disk that stores another byte than it was given, or none, at the end of each pack once `armed`."""

    armed = ""

    def publish(self, temporary: Path, final: Path, *, replace: bool) -> bool:
        if "packs" in final.parts and self.armed == "flips":
            with temporary.open("r+b") as file:
                file.seek(-1, os.SEEK_END)
                last = file.read(1)[0]
                file.seek(-1, os.SEEK_END)
                file.write(bytes([last ^ 1]))
        if "packs" in final.parts and self.armed == "full":
            raise OSError(28, "No space left on device")
        return super().publish(temporary, final, replace=replace)


@pytest.fixture
def disk() -> Forgetful:
    return Forgetful()


def reopened(shelf: Shelf, disk: Forgetful) -> Repository:
    shelf.repository.close()
    shelf.repository = Repository.open(shelf.path, dataclasses.replace(SYSTEM, fs=disk))
    return shelf.repository


def thin(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several checkpoints whose packs a prune would rewrite."""
    for seed in range(3):
        shelf.change(seed)
        shelf.save()
    monkeypatch.setattr("maos_ckpt.prune._LIVE_SHARE_MIN", 1.0)


def test_a_prune_keeps_the_old_packs_where_the_new_one_reads_back_differently(
    shelf: Shelf, disk: Forgetful, monkeypatch: pytest.MonkeyPatch
) -> None:
    thin(shelf, monkeypatch)
    repository = reopened(shelf, disk)
    before = set(shelf.packs())
    disk.armed = "flips"
    with repository.lease("prune"):
        result = prune(repository, 1)
    assert "reads back differently" in result.kept["packs"]
    assert set(shelf.packs()) <= before
    disk.armed = ""
    assert verify(repository, [], VerifyLevel.FULL).ok
    with repository.lease("prune"):
        assert "packs" not in prune(repository, 1).kept
    assert set(shelf.packs()) - before
    assert verify(repository, [], VerifyLevel.FULL).ok


def test_a_pack_that_is_known_stays_whatever_a_second_one_of_its_name_reads_back_as(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.save()
    repository = shelf.repository
    (name,) = repository.index.packs()
    with repository.lease("compact"):
        writer = PackWriter(repository.backend, SYSTEM.fs, repository.sealer)
        for one in sorted(repository.index.pack_chunks(name), key=lambda one: one.offset):
            writer.add(one.id, one.codec, one.raw, repository.reader.payload(name, one), one.base)
        with monkeypatch.context() as patched:
            patched.setattr(replacing, "digest", lambda *_: (b"another", 1))
            with pytest.raises(IntegrityError, match="reads back differently") as caught:
                replacing.seal_checked(repository, writer)
    assert caught.value.data["object"] == name
    assert repository.backend.size(name)
    assert verify(repository, [], VerifyLevel.FULL).ok


def test_a_full_disk_in_a_compaction_is_told_and_costs_nothing(
    shelf: Shelf, disk: Forgetful, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(3):
        shelf.change(seed)
        shelf.save()
    monkeypatch.setattr("maos_ckpt.compact.COLD_AFTER", 0)
    monkeypatch.setattr("maos_ckpt.compact.JOINED_MIN", 2)
    monkeypatch.setattr("maos_ckpt.compact.CANDIDATES", ((Codec.ZSTD, 3, 1.0),))
    repository = reopened(shelf, disk)
    before = set(shelf.packs())
    disk.armed = "full"
    with repository.lease("compact"), pytest.raises(StorageError, match="No space left") as caught:
        compact(repository, 30.0)
    assert "cache/" in caught.value.hint
    assert "--keep-last" in caught.value.hint
    assert set(shelf.packs()) == before
    disk.armed = "flips"
    with repository.lease("compact"):
        assert compact(repository, 30.0).packs == 0
    assert set(shelf.packs()) == before
