"""Checkpoints as they are found: with others at work beside, with strangers' files among them, with hostile numbers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from maos_ckpt.backends.local import LocalBackend
from maos_ckpt.codec.crypto import PlainSealer
from maos_ckpt.errors import IntegrityError
from maos_ckpt.model import Checkpoint
from maos_ckpt.repository.checked_json import with_checksum
from maos_ckpt.repository.manifests import (
    Manifest,
    ManifestCollection,
    decode_manifest,
    encode_manifest,
    manifest_name,
    manifest_seq,
)
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import SYSTEM
from tests.repository.test_storage import manifest, open_repository


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    with contextlib.closing(open_repository(tmp_path)) as made:
        yield made


def commit(repository: Repository, seq: int) -> Checkpoint:
    own = msgspec.structs.replace(
        manifest(seq), id=f"cp_{seq:015x}", repository=repository.header.id, descriptors=bytes(32)
    )
    return repository.commit(own)


def test_a_pin_set_after_a_checkpoint_was_read_outlives_marks_made_from_what_was_read(repository: Repository) -> None:
    read_before = commit(repository, 1)
    with contextlib.closing(Repository.open(repository.path, SYSTEM)) as other:
        other.set_marks(other.resolve("latest"), pinned=True, tags=["keep"])
    repository.set_marks(read_before, damaged=True)
    now = repository.resolve("latest")
    assert (now.pinned, now.tags, now.state) == (True, ("keep",), "damaged")
    repository.set_marks(read_before, damaged=False)
    now = repository.resolve("latest")
    assert (now.pinned, now.tags, now.state) == (True, ("keep",), "committed")


def test_a_manifest_that_goes_after_it_was_listed_is_no_damage(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints = [commit(repository, seq) for seq in (1, 2, 3)]
    list_all = LocalBackend.list

    def list_then_prune(self: LocalBackend, directory: str) -> dict[str, int]:
        found = list_all(self, directory)
        if directory == "manifests":
            self.delete(manifest_name(2))
        return found

    monkeypatch.setattr(LocalBackend, "list", list_then_prune)
    with contextlib.closing(Repository.open(repository.path, SYSTEM, read_only=True)) as reader:
        assert reader.damaged_manifests() == {}
        assert [one.id for one in reader.checkpoints()] == [checkpoints[2].id, checkpoints[0].id]


@pytest.mark.parametrize("stray", ["zzz", "000000000001_bak", "1_0", "7", "000000000009.json", "9" * 30])
def test_a_strangers_file_among_the_manifests_gives_no_number_away(repository: Repository, stray: str) -> None:
    newest = commit(repository, 1)
    (repository.path / "manifests" / stray).write_bytes(b"a copy that somebody made")
    assert repository.next_seq() == 2
    assert list(repository.damaged_manifests()) == [f"manifests/{stray}"]
    repository.remove(newest)
    assert repository.next_seq() == 2


@pytest.mark.parametrize("seq", [0, 1, 999_999_999_999])
def test_a_manifests_name_gives_its_number_back(seq: int) -> None:
    assert manifest_seq(manifest_name(seq)) == seq


@pytest.mark.parametrize(
    "name",
    [
        "manifests/",
        "manifests/-00000000001",
        "manifests/" + "\u0660" * 12,
        "manifests/1000000000000",
        "packs/000000000001",
    ],
)
def test_what_is_no_manifests_name_has_no_number(name: str) -> None:
    assert manifest_seq(name) is None


def hostile(change: dict[str, object]) -> Manifest:
    return msgspec.structs.replace(manifest(), **change)


@pytest.mark.parametrize(
    "change",
    [
        {"created_at_ms": -1},
        {"created_at_ms": 1 << 60},
        {"stored_bytes": -1},
        {"collections": [ManifestCollection("agents", "agents", bytes(32), -1, 0)]},
        {"collections": [ManifestCollection("agents", "agents", bytes(32), 0, (1 << 64) - 1)]},
    ],
)
def test_a_manifest_with_impossible_numbers_is_damaged(change: dict[str, object]) -> None:
    data = encode_manifest(hostile(change), PlainSealer())
    with pytest.raises(IntegrityError, match="is damaged"):
        decode_manifest(data, manifest_name(1), PlainSealer())


@pytest.mark.parametrize("identity", ["", "../../x", "A" * 32, "0" * 31])
def test_a_header_that_names_no_repository_is_refused(repository: Repository, identity: str) -> None:
    header = msgspec.structs.replace(repository.header, id=identity)
    data = with_checksum(msgspec.json.format(msgspec.json.encode(header), indent=2))
    (repository.path / "maos-ckpt.json").write_bytes(data)
    with pytest.raises(IntegrityError, match="names no repository"):
        Repository.open(repository.path, SYSTEM)
