"""Chunks stored in threads beside the caller are those that were put, each once, or an error where they cannot be."""

from __future__ import annotations

import random
from contextlib import closing

import pytest

from maos_ckpt.capture.background import AHEAD_MAX, BackgroundWriter
from maos_ckpt.codec.policy import CodecSettings
from maos_ckpt.errors import StorageError
from maos_ckpt.fs import SystemFilesystem
from maos_ckpt.repository.repository import Repository
from maos_ckpt.tree.nodes import chunk_id, encode_leaf
from tests.upkeep.conftest import Shelf

CHUNKS = 4 * AHEAD_MAX


def leaves(seed: int) -> list[bytes]:
    rng = random.Random(seed)
    return [encode_leaf([b"%d" % one], [rng.randbytes(5000)], b"") for one in range(CHUNKS)]


def changed(plain: bytes) -> bytes:
    return plain[:-9] + b"different"


def store(repository: Repository, plains: list[bytes], before: list[bytes] | None = None) -> int:
    with closing(BackgroundWriter(repository.writer(CodecSettings(), {}, 0))) as writer:
        # Everything twice, so that equal chunks are at work at the same time.
        puts = [
            (plain, writer.put(plain, "label", chunk_id(before[at]) if before else None))
            for at, plain in enumerate(plains)
            for _ in range(2)
        ]
        assert all(pending.result() == chunk_id(plain) for plain, pending in puts)
        return writer.seal().size


def test_chunks_and_deltas_put_twice_are_stored_once_and_read_back(shelf: Shelf) -> None:
    repository = shelf.repository
    before, after = leaves(1), [changed(one) for one in leaves(1)]
    with repository.lease("save"):
        stored_bytes = [store(repository, before), store(repository, after, before)]
    assert stored_bytes[1] < stored_bytes[0] / 20
    for plain in (*before, *after):
        assert repository.chunks.read(chunk_id(plain)) == plain
    packs = [repository.reader.index(name, size) for name, size in repository.index.packs().items()]
    assert sorted(map(len, packs)) == [CHUNKS, CHUNKS]


def test_what_was_not_sealed_leaves_nothing_behind(shelf: Shelf) -> None:
    with shelf.repository.lease("save"):
        writer = BackgroundWriter(shelf.repository.writer(CodecSettings(), {}, 0))
        for plain in leaves(2):
            writer.put(plain, "label")
        writer.close()
    assert not shelf.repository.index.packs()
    assert not list((shelf.path / "tmp").iterdir())


def test_a_full_disk_reaches_the_caller(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with shelf.repository.lease("save"):
        writer = BackgroundWriter(shelf.repository.writer(CodecSettings(), {}, 0))
        with monkeypatch.context() as patched:
            patched.setattr(SystemFilesystem, "write", refuse)
            with closing(writer), pytest.raises(StorageError):
                writer.put(leaves(3)[0], "label").result()
