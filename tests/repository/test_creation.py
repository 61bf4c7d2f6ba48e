"""The making of a repository, cut off at every step: the next attempt makes it, and nothing that holds data is taken
for such a leftover."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path

import pytest

from maos_ckpt.backends.local import LocalBackend
from maos_ckpt.codec.secret import Secret
from maos_ckpt.errors import IntegrityError, UsageError
from maos_ckpt.fs import SystemFilesystem
from maos_ckpt.repository import header
from maos_ckpt.repository.creation import create
from maos_ckpt.repository.header import NAME
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import SYSTEM

SOURCE = "sqlite:/srv/state.db"


class PowerCut(BaseException):
    """The machine is off."""


class Dying(SystemFilesystem):
    """A file system whose machine loses its power at the call of this number."""

    def __init__(self, at: int) -> None:
        self.left = at

    def _step(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise PowerCut

    def create(self, path: Path) -> int:
        self._step()
        return super().create(path)

    def publish(self, temporary: Path, final: Path, *, replace: bool) -> bool:
        self._step()
        return super().publish(temporary, final, replace=replace)

    def sync_directory(self, path: Path) -> None:
        self._step()
        super().sync_directory(path)

    def unlink(self, path: Path) -> None:
        self._step()
        super().unlink(path)


@pytest.mark.parametrize("key", [None, Secret("key_file", random.Random(1).randbytes(64))])
def test_a_creation_that_was_cut_off_anywhere_is_made_good_by_the_next(tmp_path: Path, key: Secret | None) -> None:
    cut = 0
    for at in range(100):
        path = tmp_path / str(at)
        try:
            Repository.open_or_create(path, SOURCE, dataclasses.replace(SYSTEM, fs=Dying(at)), key=key).close()
        except PowerCut:
            cut += 1
        else:
            break
        repository = Repository.open_or_create(path, SOURCE, SYSTEM, key=key)
        assert repository.checkpoints() == []
        repository.close()
        Repository.open(path, SYSTEM, key=key).close()
        assert len(list((path / "keys").iterdir()) if key else []) == (key is not None)
    assert cut > 4


@pytest.mark.parametrize("left", ["packs/ab/abcd", "manifests/000000000001", "marks/x.json", "journal/events.jsonl"])
def test_a_folder_without_a_header_that_holds_anything_is_refused(tmp_path: Path, left: str) -> None:
    path = tmp_path / "repo"
    Repository.open_or_create(path, SOURCE, SYSTEM).close()
    (path / NAME).unlink()
    (path / left).parent.mkdir(parents=True, exist_ok=True)
    (path / left).write_bytes(b"data")
    with pytest.raises(IntegrityError, match="half deleted"):
        Repository.open_or_create(path, SOURCE, SYSTEM)
    assert (path / left).read_bytes() == b"data"


def test_a_folder_with_somebody_elses_files_is_no_leftover(tmp_path: Path) -> None:
    (tmp_path / "packs").mkdir()
    (tmp_path / "thesis.txt").write_text("three years of work")
    with pytest.raises((UsageError, IntegrityError)):
        Repository.open_or_create(tmp_path, SOURCE, SYSTEM)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["packs", "thesis.txt"]


def test_a_second_maker_takes_no_slot_away_before_there_is_a_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, other = (Secret("key_file", random.Random(seed).randbytes(64)) for seed in (1, 2))
    path, write = tmp_path / "repo", header.create_header

    def meanwhile(backend: LocalBackend, mine: header.Header) -> bool:
        # The first maker has its slot and no header yet when the second one comes, and wins.
        monkeypatch.setattr(header, "create_header", write)
        create(path, SOURCE, SYSTEM, other)
        return write(backend, mine)

    monkeypatch.setattr(header, "create_header", meanwhile)
    create(path, SOURCE, SYSTEM, key)
    Repository.open(path, SYSTEM, key=other).close()
    assert len(list((path / "keys").iterdir())) == 1


def test_what_an_encrypted_creation_left_is_gone_from_a_repository_in_the_clear(tmp_path: Path) -> None:
    path = tmp_path / "repo"
    create(path, SOURCE, SYSTEM, Secret("key_file", random.Random(1).randbytes(64)))
    (path / NAME).unlink()
    Repository.open_or_create(path, SOURCE, SYSTEM).close()
    assert not (path / "keys").exists()
