"""What is told of an encrypted repository: whether it is, what opened it, and what can be seen without the key."""

from __future__ import annotations

import contextlib
import logging
import random
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from maos_ckpt.codec.secret import Secret, exposed_key_file, read_secret
from maos_ckpt.config import Config
from maos_ckpt.doctor import disk
from maos_ckpt.errors import ConfigError, ConflictError, KeyRefusedError
from maos_ckpt.events import CheckpointCreated
from maos_ckpt.operations import keys
from maos_ckpt.operations.remotes import remote_settings
from maos_ckpt.operations.state import repository_state
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.repository.keyring import keyring
from maos_ckpt.repository.manifests import manifest_name
from maos_ckpt.repository.remote_memory import RemoteMemory
from maos_ckpt.seams import SYSTEM
from tests.upkeep.conftest import Shelf

KEY = random.Random(5).randbytes(64)


@pytest.fixture
def sealed(tmp_path: Path) -> Iterator[Shelf]:
    made = Shelf(tmp_path, Secret("key_file", KEY))
    yield made
    made.repository.close()


def key_file(folder: Path, data: bytes = KEY) -> Path:
    path = folder / f"key-{len(list(folder.glob('key-*')))}"
    path.write_bytes(data)
    path.chmod(0o600)
    return path


def workspace(shelf: Shelf, key: Path | None, *, bucket: str = "") -> Workspace:
    config = Config(encryption_key="" if key is None else f"file:{key}")
    s3 = msgspec.structs.replace(config.storage.s3, bucket=bucket)
    config = msgspec.structs.replace(config, storage=msgspec.structs.replace(config.storage, s3=s3))
    return Workspace(shelf.path, shelf.source.spec, shelf.home, config, SYSTEM)


def test_what_opened_it_is_told(sealed: Shelf, tmp_path: Path) -> None:
    (slot,) = keyring(sealed.repository.backend, sealed.repository.header.id).slots
    found = repository_state(workspace(sealed, key_file(tmp_path)))
    assert (found.encrypted, found.opened_by, found.locked) == (True, slot.id, "")


def test_without_the_key_what_names_and_sizes_say_is_told(sealed: Shelf) -> None:
    saved = sealed.save()
    one = workspace(sealed, None, bucket="agents")
    one.record(CheckpointCreated(1234, saved.id, "manual", 1, 2, 3, 0.1, 0.1, False))
    location = one.remote.s3.location if one.remote else ""
    with contextlib.closing(RemoteMemory(sealed.path / "cache" / "remote.sqlite", location)) as memory:
        memory.add(manifest_name(saved.seq), 100)
        memory.add(saved.pack, 2000)
    found = repository_state(one)
    assert found.encrypted
    assert "is encrypted, and no key is named" in found.locked
    assert str(sealed.path) in found.locked
    assert found.last_success is not None
    assert (found.last_success.id, found.last_success.created_at_ms) == (saved.id, 1234)
    assert found.stored_bytes == sealed.repository.stored_bytes()
    local, remote = found.tiers
    assert (local.checkpoints, remote.checkpoints, remote.bytes, remote.pending) == (1, 1, 2000, 0)
    with pytest.raises(KeyRefusedError), one.reading():
        pass


def test_the_same_key_is_not_added_twice(sealed: Shelf, tmp_path: Path) -> None:
    first = key_file(tmp_path)
    one = workspace(sealed, first)
    with pytest.raises(ConflictError, match="opens the repository already"):
        keys.add_key(one, f"file:{key_file(tmp_path)}", "copy")
    other = key_file(tmp_path, random.Random(6).randbytes(64))
    added = keys.add_key(one, f"file:{other}", "other")
    with pytest.raises(ConflictError, match="is the one that is to go"):
        keys.rotate_key(one, f"file:{first}", "")
    # As where a rotation was interrupted between its two steps.
    assert keys.rotate_key(one, f"file:{other}", "").slot.id == added.id
    assert [slot.id for slot in keyring(sealed.repository.backend, sealed.repository.header.id).slots] == [added.id]


def test_a_key_file_that_others_may_read_or_nobody_is_told_by_its_path(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = key_file(tmp_path)
    reference = f"file:{path}"
    assert read_secret(reference).reveal() == KEY
    assert exposed_key_file(reference) is None
    assert not caplog.records
    path.chmod(0o640)
    with caplog.at_level(logging.WARNING):
        read_secret(reference)
    assert f"The key file {path} holds a key, and others may read it: chmod 600" in caplog.text
    assert exposed_key_file(reference) == path
    assert exposed_key_file("env:NAME") is None
    with pytest.raises(KeyRefusedError, match=f"The key file {tmp_path}/none cannot be read"):
        read_secret(f"file:{tmp_path}/none")


def test_a_primary_s3_without_a_bucket_is_refused() -> None:
    storage = msgspec.structs.replace(Config().storage, primary="s3")
    with pytest.raises(ConfigError, match=r"there is no storage\.s3\.bucket"):
        remote_settings(msgspec.structs.replace(Config(), storage=storage))


def test_a_disk_without_room_is_told_with_what_helps(tmp_path: Path) -> None:
    # A file system that has no room and never will.
    full = disk(Path("/proc/self"), 0)
    assert (full.ok, full.free_bytes) == (False, 0)
    assert full.text.startswith("nothing free at /proc/self; ")
    assert "cache/" in full.text
    assert "prune --keep-last" in full.text
    assert not disk(tmp_path, 1 << 62).ok
