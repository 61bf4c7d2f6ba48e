"""Packs: what is sealed counts only if the bytes under its name are right, and no stored number is taken on trust."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

import pytest

from maos_ckpt.backends.local import LocalBackend
from maos_ckpt.codec.compression import Codec
from maos_ckpt.codec.crypto import PlainSealer
from maos_ckpt.codec.policy import CodecSettings
from maos_ckpt.errors import ForeignRepositoryError, IntegrityError, StorageError
from maos_ckpt.repository.beside import ProcessChunkWriter
from maos_ckpt.repository.packs import HEADER_BYTES, Stored, encode_index, pack_header, pack_name
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import SYSTEM
from tests.repository.test_storage import open_repository, store

CHUNK = b"\x92\x02" + bytes(range(256)) * 40


def spoil(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 0x55
    path.write_bytes(data)


@pytest.mark.parametrize("beside", [False, True])
def test_a_save_that_gives_the_same_pack_again_replaces_a_damaged_one(tmp_path: Path, beside: bool) -> None:
    repository = open_repository(tmp_path)
    [chunk] = store(repository, [CHUNK])
    [name] = repository.index.packs()
    good = repository.backend.path(name).read_bytes()
    spoil(repository.backend.path(name), HEADER_BYTES + 9)
    with pytest.raises(IntegrityError):
        repository.chunks.read(chunk)
    repository.index.mark_damaged(name, [chunk])
    assert store(repository, [CHUNK], beside=beside) == [chunk]
    assert list(repository.packs()) == [name]
    assert repository.backend.path(name).read_bytes() == good
    assert repository.index.has(chunk)
    repository.close()
    with contextlib.closing(Repository.open(tmp_path / "repo", SYSTEM, read_only=True)) as again:
        assert again.chunks.read(chunk) == CHUNK


def write_pack(backend: LocalBackend, raw: int) -> str:
    """A pack of one chunk that claims to be `raw` bytes long, right in everything else."""
    head = pack_header(PlainSealer()) + b"payload"
    stored = Stored(hashlib.sha256(b"x").digest(), Codec.NONE, raw, len(b"payload"), HEADER_BYTES)
    data = head + encode_index([stored], hashlib.sha256(head).digest(), PlainSealer())
    name = pack_name(hashlib.sha256(data).digest())
    backend.create(name, data)
    return name


@pytest.mark.parametrize("raw", [-1, 1 << 40, (1 << 64) - 1])
def test_a_pack_that_claims_impossible_sizes_is_damaged_and_hides_no_other(tmp_path: Path, raw: int) -> None:
    repository = open_repository(tmp_path)
    [chunk] = store(repository, [CHUNK])
    hostile = write_pack(repository.backend, raw)
    repository.synchronise()
    assert list(repository.damaged_packs) == [hostile], raw
    assert repository.chunks.read(chunk) == CHUNK
    repository.backend.delete(hostile)
    repository.synchronise()
    assert repository.damaged_packs == {}
    repository.close()


def test_a_repository_that_cannot_be_opened_leaves_no_file_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_repository(tmp_path).close()
    before = len(os.listdir("/proc/self/fd"))

    def refuse(self: LocalBackend, directory: str) -> dict[str, int]:
        raise IntegrityError(f"{directory} is gone")

    with monkeypatch.context() as patched:
        patched.setattr(LocalBackend, "list", refuse)
        with pytest.raises(IntegrityError, match="packs is gone"):
            open_repository(tmp_path)
    with pytest.raises(ForeignRepositoryError):
        Repository.open_or_create(tmp_path / "repo", "sqlite:/srv/other.db", SYSTEM)
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_process_beside_leaves_no_pipe_open_when_it_dies(tmp_path: Path) -> None:
    repository = open_repository(tmp_path)
    before = len(os.listdir("/proc/self/fd"))
    writer = repository.writer(CodecSettings(), {}, 1 << 20, beside=True)
    assert isinstance(writer, ProcessChunkWriter)
    assert writer.put(CHUNK, "test").result()
    writer._process.kill()
    with pytest.raises(StorageError, match="ended too early"):
        writer.put(CHUNK + b"x", "test").result()
    writer.close()
    assert len(os.listdir("/proc/self/fd")) == before
    repository.close()


def test_a_label_that_is_cut_inside_a_letter_stops_no_save(tmp_path: Path) -> None:
    repository = open_repository(tmp_path)
    writer = repository.writer(CodecSettings(), {}, 1 << 20, beside=True)
    try:
        assert writer.put(CHUNK, "x" + "ä" * 40_000).result()
        assert writer.seal().size
    finally:
        writer.close()
    repository.close()
