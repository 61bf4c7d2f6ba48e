"""Copied deltas: any zstd reader gives back what they were made of."""

from __future__ import annotations

import random

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from maos_ckpt.codec.compression import Codec, decompress
from maos_ckpt.codec.copying import NEW_BYTES_MAX, common_runs, copy_delta

#: Around what one block may hold, and far beyond it.
SIZES = (0, 1, 40, 1000, 40_000, 131_071, 131_072, 131_073, 131_075, 262_146)


@st.composite
def edited(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A base, random or full of repetitions, and what a few edits make of it."""
    rng = draw(st.randoms(use_true_random=False))
    size = draw(st.sampled_from(SIZES))
    base = rng.randbytes(size) if draw(st.booleans()) else (b'{"status": "pending", "n": %d}' % size) * (size // 30)
    raw = bytearray(base)
    for _ in range(draw(st.integers(0, 6))):
        at, length = rng.randrange(len(raw) + 1), rng.randrange(300)
        raw[at : at + rng.choice((0, length))] = rng.randbytes(rng.choice((0, length, 3)))
    return base, bytes(raw)


@settings(max_examples=80, deadline=None)
@given(edited())
def test_what_was_copied_comes_back(case: tuple[bytes, bytes]) -> None:
    base, raw = case
    payload = copy_delta(raw, base)
    if payload is not None:
        assert decompress(Codec.ZSTD_DELTA, payload, len(raw), base) == raw
        assert len(payload) <= NEW_BYTES_MAX + 4000


@settings(max_examples=30, deadline=None)
@given(edited())
def test_runs_are_the_same_bytes_in_both_and_in_order(case: tuple[bytes, bytes]) -> None:
    base, raw = case
    at = 0
    for begin, origin, length in common_runs(raw, base) or ():
        assert begin >= at
        assert raw[begin : begin + length] == base[origin : origin + length]
        at = begin + length


def test_a_changed_leaf_costs_little_more_than_what_is_new_in_it() -> None:
    rng = random.Random(1)
    base = rng.randbytes(200_000)
    raw = base[:50_000] + b"new" * 30 + base[50_000:120_000] + base[120_500:190_000] + b"!" + base[190_001:]
    payload = copy_delta(raw, base)
    assert payload is not None
    assert len(payload) < 91 + 100
    # Nothing of it is our own: the frame says its size, and the dictionary is the base as it is.
    assert zstandard.frame_content_size(payload) == len(raw)
    dictionary = zstandard.ZstdCompressionDict(base, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    assert zstandard.ZstdDecompressor(dict_data=dictionary).decompress(payload) == raw


@pytest.mark.parametrize("new", [b"", bytes(1), random.Random(2).randbytes(100_000)])
def test_what_has_little_in_common_with_its_base_is_left_to_the_compressor(new: bytes) -> None:
    assert copy_delta(new, random.Random(3).randbytes(100_000)) is None


def test_repetitions_are_not_taken_for_what_stands_further_on() -> None:
    rng = random.Random(4)
    row = b'{"id": "task-%05d", "status": "pending", "priority": 3, "agent": "analyst-%08x", "at": %d, "error": null}'
    rows = [row % (number, rng.getrandbits(32), number * 7) for number in range(1000)]
    changed = list(rows)
    for number in range(100, 1000, 200):
        changed[number] = rows[number].replace(b'"pending"', b'"completed"')
    payload = copy_delta(b"".join(changed), b"".join(rows))
    assert payload is not None
    assert len(payload) < 1000
