"""A delta whose base a prune took is no stored chunk: what comes back to be as it was is stored anew."""

from __future__ import annotations

from pathlib import Path

from maos_ckpt.codec.compression import Codec
from maos_ckpt.repository.index import ChunkIndex
from maos_ckpt.repository.packs import BASE_BYTES, Stored


def test_a_delta_without_its_base_does_not_count_as_stored(tmp_path: Path) -> None:
    index = ChunkIndex(tmp_path / "chunks.sqlite")
    base, delta = b"b" * 32, b"d" * 32
    leaning = Stored(delta, Codec.ZSTD_DELTA, 100, 10, 8, base[:BASE_BYTES])
    index.add_pack("packs/aa/full", 100, [Stored(base, Codec.ZSTD, 100, 50, 8)])
    index.add_pack("packs/bb/delta", 50, [leaning])
    assert index.has(delta)
    index.remove_pack("packs/aa/full")
    # Nobody needed either, and the delta's pack stays for what else is in it.
    assert not index.has(delta)
    assert index.find(delta) == ("packs/bb/delta", leaning)
    whole = Stored(delta, Codec.ZSTD, 100, 60, 8)
    index.add_pack("packs/cc/whole", 100, [whole])
    assert index.has(delta)
    assert index.find(delta) == ("packs/cc/whole", whole)


def test_of_two_deltas_the_one_whose_base_is_there_is_read(tmp_path: Path) -> None:
    index = ChunkIndex(tmp_path / "chunks.sqlite")
    delta, there, gone = b"d" * 32, b"t" * 32, b"g" * 32
    index.add_pack("packs/aa/small", 50, [Stored(delta, Codec.ZSTD_DELTA, 100, 5, 8, gone[:BASE_BYTES])])
    larger = Stored(delta, Codec.ZSTD_DELTA, 100, 20, 8, there[:BASE_BYTES])
    index.add_pack("packs/bb/larger", 50, [larger, Stored(there, Codec.ZSTD, 100, 50, 40)])
    assert index.has(delta)
    assert index.find(delta) == ("packs/bb/larger", larger)
