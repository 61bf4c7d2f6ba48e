"""Over thousands of saves the choice of codecs follows the data: no bad moment of it counts for ever."""

from __future__ import annotations

import random

from maos_ckpt.codec.compression import Codec
from maos_ckpt.codec.policy import RETRIAL_CHUNKS, CodecPolicy, CodecSettings
from maos_ckpt.seams import SYSTEM

LABEL = "memory/sessions"
CHUNK_BYTES = 20_000


def policy(expected_bytes: int = 1 << 20) -> CodecPolicy:
    return CodecPolicy(CodecSettings(deadline_s=1000.0), SYSTEM.clock, expected_bytes)


def text(rng: random.Random, length: int) -> bytes:
    words = [rng.randbytes(3).hex() for _ in range(200)]
    return " ".join(rng.choice(words) for _ in range(length // 6)).encode()


def stored(choice: CodecPolicy, raw: bytes) -> Codec:
    """The codec that a chunk got."""
    codec, level = choice.choose(LABEL, len(raw))
    choice.compress(LABEL, codec, level, raw)
    return codec


def test_a_collection_that_nothing_shrank_is_compressed_once_its_data_can_be() -> None:
    rng, choice = random.Random(1), policy()
    for _ in range(20):
        stored(choice, rng.randbytes(CHUNK_BYTES))
    assert stored(choice, rng.randbytes(CHUNK_BYTES)) is Codec.NONE
    got = [stored(choice, text(rng, CHUNK_BYTES)) for _ in range(20 * RETRIAL_CHUNKS)]
    assert Codec.NONE not in got[-RETRIAL_CHUNKS:]


def test_so_it_is_in_a_save_of_everything_where_trials_are_dear() -> None:
    rng, choice = random.Random(2), policy(expected_bytes=1 << 30)
    stored(choice, rng.randbytes(CHUNK_BYTES))
    got = [stored(choice, text(rng, CHUNK_BYTES)) for _ in range(20 * RETRIAL_CHUNKS)]
    assert got[0] is Codec.NONE
    assert Codec.NONE not in got[-RETRIAL_CHUNKS:]


def test_small_chunks_that_do_not_shrink_say_little_of_large_ones() -> None:
    rng, choice = random.Random(3), policy()
    stored(choice, text(rng, CHUNK_BYTES))
    for _ in range(200):
        stored(choice, rng.randbytes(300))
    assert stored(choice, text(rng, CHUNK_BYTES)) is not Codec.NONE


def test_a_candidate_that_was_passed_over_is_measured_again() -> None:
    rng, choice = random.Random(4), policy()
    stored(choice, rng.randbytes(CHUNK_BYTES))
    before = {one: measure.ratio for one, measure in choice.measures[LABEL].items()}
    for _ in range(10 * RETRIAL_CHUNKS):
        stored(choice, text(rng, CHUNK_BYTES))
    assert all(measure.ratio > before[one] for one, measure in choice.measures[LABEL].items())
