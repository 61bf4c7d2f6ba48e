"""Compaction: cold chunks get smaller, nothing changes, and a run may end or be killed anywhere."""

from __future__ import annotations

import dataclasses

import pytest

from maos_ckpt import compact as compaction
from maos_ckpt.codec.compression import Codec, compress
from maos_ckpt.compact import compact, densest
from maos_ckpt.errors import InterruptedByUserError
from maos_ckpt.model import Progress, VerifyLevel
from maos_ckpt.prune import prune
from maos_ckpt.seams import SYSTEM, SystemClock
from maos_ckpt.verify import verify

from .conftest import Shelf


@pytest.fixture(autouse=True)
def everything_is_cold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "COLD_AFTER", 1)
    monkeypatch.setattr(compaction, "SMALL_BYTES", 100_000)


def series(shelf: Shelf, number: int) -> None:
    for seed in range(number):
        shelf.change(seed)
        shelf.save()


def sound(shelf: Shelf) -> bool:
    return verify(shelf.reopen(), [], VerifyLevel.FULL).ok


def test_cold_packs_become_fewer_and_smaller_and_everything_still_verifies(shelf: Shelf) -> None:
    series(shelf, 10)
    before = shelf.repository.stored_bytes()
    packs = len(shelf.packs())
    with shelf.repository.lease("compact"):
        result = compact(shelf.repository, 60)
    assert not result.more
    assert result.packs == packs - 1
    assert len(shelf.packs()) == 2
    assert before - shelf.repository.stored_bytes() == result.bytes_before - result.bytes_after
    assert result.bytes_after < 0.97 * result.bytes_before
    assert sound(shelf)
    again = compact(shelf.reopen(), 60)
    assert (again.packs, again.more) == (0, False)


def test_small_packs_of_earlier_runs_are_joined_as_they_are(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    series(shelf, 4)
    with shelf.repository.lease("compact"):
        compact(shelf.repository, 60)
    dense = set(shelf.packs())
    series(shelf, 8)
    monkeypatch.setattr(compaction, "SMALL_BYTES", 100 << 20)
    with shelf.repository.lease("compact"):
        result = compact(shelf.repository, 60)
    assert result.packs >= compaction.JOINED_MIN
    assert len(shelf.packs()) == 2
    assert not dense & set(shelf.packs())
    assert sound(shelf)


def test_what_newest_checkpoints_added_is_left_alone(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "COLD_AFTER", 20)
    series(shelf, 3)
    packs = shelf.packs()
    assert compact(shelf.repository, 60).packs == 0
    assert shelf.packs() == packs


def test_a_run_that_ends_in_the_middle_of_a_pack_is_gone_on_with(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock lets each run carry three chunks over."""

    class Ticking(SystemClock):
        at_s = 0.0

        def monotonic_s(self) -> float:
            self.at_s += 1
            return self.at_s

    # Nothing is small, so that three chunks a run are enough to come to an end.
    monkeypatch.setattr(compaction, "SMALL_BYTES", 1000)
    series(shelf, 2)
    big = max(shelf.packs(), key=lambda path: path.stat().st_size)
    shelf.repository.seams = dataclasses.replace(SYSTEM, clock=Ticking())
    results = []
    while not results or results[-1].more:
        with shelf.repository.lease("compact"):
            results.append(compact(shelf.repository, 4.5))
        assert len(results) < 100
    assert len(results) > 2
    assert all(one.bytes_after for one in results[:-1])
    shelf.reopen()
    with shelf.repository.lease("prune"):
        prune(shelf.repository, 0)
    assert not big.exists()
    assert sound(shelf)


def test_a_run_that_is_stopped_leaves_everything_as_it_was(shelf: Shelf) -> None:
    series(shelf, 3)
    packs = shelf.packs()
    steps = []

    def stop(progress: Progress) -> None:
        steps.append(progress)
        if len(steps) == 5:
            raise InterruptedByUserError("stopped")

    with shelf.repository.lease("compact"), pytest.raises(InterruptedByUserError):
        compact(shelf.repository, 60, stop)
    assert shelf.packs() == packs
    assert list((shelf.path / "tmp").iterdir()) == []
    assert sound(shelf)


def test_a_damaged_chunk_keeps_its_pack(shelf: Shelf) -> None:
    series(shelf, 3)
    big = max(shelf.packs(), key=lambda path: path.stat().st_size)
    data = bytearray(big.read_bytes())
    data[len(data) // 2] ^= 1
    big.chmod(0o600)
    big.write_bytes(data)
    assert compact(shelf.reopen(), 60).packs == 0
    assert big.read_bytes() == data


def test_a_form_is_taken_only_where_it_is_smaller() -> None:
    text = b"".join(b'{"role": "user", "content": "line %d"}' % n for n in range(2000))
    stored = compress(Codec.ZSTD, 1, text)
    codec, payload = densest(Codec.ZSTD, stored, text)
    assert len(payload) < len(stored)
    assert densest(codec, payload, text) == (codec, payload)
    noise = SYSTEM.random.token(4096)
    assert densest(Codec.NONE, noise, noise) == (Codec.NONE, noise)
