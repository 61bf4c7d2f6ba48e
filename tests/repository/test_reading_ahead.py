"""Reading ahead serves those who go on, and costs those who want one record nothing."""

from __future__ import annotations

import random

import pytest

from maos_ckpt.tree.cursor import find, records
from maos_ckpt.tree.large import load_row, references
from maos_ckpt.tree.nodes import ID_BYTES
from tests.integrity.conftest import Pair, pair

__all__ = ["pair"]


def test_one_large_record_brings_none_of_its_neighbours(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(1)
    for _ in range(12):
        pair.add(rng.randbytes(150_000).hex())
    (notes,) = [one for one in pair.save().collections if one.name == "notes"]
    pair.replicate()
    large = [(key, value) for key, value in records(pair.home.chunks, notes.root) if references(value)]
    assert len(large) == 12
    for name in pair.home.backend.list("packs"):
        pair.home.backend.delete(name)
    pair.reopen()
    read: list[int] = []
    whole = pair.bucket.read_range

    def counted(name: str, offset: int, length: int) -> bytes:
        read.append(length)
        return whole(name, offset, length)

    monkeypatch.setattr(pair.bucket, "read_range", counted)
    key, value = large[3]
    assert find(pair.home.chunks, notes.root, key) == value
    path = sum(read)
    load_row(value, pair.home.chunks.get)
    ids = {
        one
        for _, found in references(value)
        for one in (found[at : at + ID_BYTES] for at in range(0, len(found), ID_BYTES))
    }
    assert len(ids) > 2
    needed = sum(found[1].stored for one in ids if (found := pair.home.index.find(one)))
    pair.home.close()
    assert needed <= sum(read) - path <= 1.01 * needed
    pair.reopen()
    requests = len(read)
    for _, one in records(pair.home.chunks, notes.root):
        load_row(one, pair.home.chunks.get)
    pieces = sum(len(found) // ID_BYTES for _, value in large for _, found in references(value))
    assert len(read) - requests < pieces / 2, "whoever reads all of them still reads ahead"
