"""Retention keeps what it says, frees what nobody needs, and never anything else."""

from __future__ import annotations

import sqlite3

import pytest

from maos_ckpt import prune as pruning
from maos_ckpt.capture.save import SaveRequest, save_checkpoint
from maos_ckpt.diff import diff_states
from maos_ckpt.model import Trigger, VerifyLevel
from maos_ckpt.prune import prune
from maos_ckpt.seams import SYSTEM
from maos_ckpt.verify import verify

from .conftest import Shelf


def series(shelf: Shelf, number: int) -> list[str]:
    ids = []
    for seed in range(number):
        shelf.change(seed)
        ids.append(shelf.save().id)
    return ids


def test_the_last_ones_and_the_pinned_stay_and_still_verify_in_full(shelf: Shelf) -> None:
    ids = series(shelf, 7)
    repository = shelf.repository
    with repository.lease("prune"):
        repository.set_marks(repository.resolve(ids[1]), pinned=True)
        result = prune(repository, 3)
    assert set(result.removed) == {ids[0], ids[2], ids[3]}
    assert result.kept == {
        ids[1]: "pinned",
        ids[4]: "one of the last 3",
        ids[5]: "one of the last 3",
        ids[6]: "one of the last 3",
    }
    repository = shelf.reopen()
    assert verify(repository, [], VerifyLevel.FULL).ok
    assert diff_states(repository, shelf.source, ids[6], "live").summary.total == 0


def test_a_dry_run_changes_nothing_and_foretells_what_happens(shelf: Shelf) -> None:
    ids = series(shelf, 5)
    before = {path: path.read_bytes() for path in shelf.path.rglob("*") if path.is_file() and "cache" not in path.parts}
    foretold = prune(shelf.repository, 1, dry_run=True)
    after = {path: path.read_bytes() for path in shelf.path.rglob("*") if path.is_file() and "cache" not in path.parts}
    assert before == after
    with shelf.repository.lease("prune"):
        done = prune(shelf.repository, 1)
    assert foretold.removed == done.removed == tuple(reversed(ids[:-1]))
    assert foretold.kept.keys() == done.kept.keys()
    assert done.bytes_freed > 0


def test_bytes_that_nobody_needs_are_given_back(shelf: Shelf) -> None:
    series(shelf, 6)
    full = shelf.repository.stored_bytes()
    with shelf.repository.lease("prune"):
        result = prune(shelf.repository, 1)
    left = shelf.reopen().stored_bytes()
    assert left < full
    assert full - left == result.bytes_freed
    assert verify(shelf.repository, [], VerifyLevel.FULL).ok


def test_repeats_of_an_idle_system_push_nothing_out(shelf: Shelf) -> None:
    ids = series(shelf, 3)
    repeats = []
    for _ in range(4):
        with shelf.repository.lease("save"):
            request = SaveRequest(Trigger.SCHEDULE)
            repeats.append(save_checkpoint(shelf.repository, shelf.source, request, lambda _: None, SYSTEM))
    assert all(one.capture.unchanged for one in repeats)
    with shelf.repository.lease("prune"):
        result = prune(shelf.repository, 3)
    assert set(result.kept) == {*ids, repeats[-1].id}


def test_no_limit_keeps_everything(shelf: Shelf) -> None:
    ids = series(shelf, 3)
    with shelf.repository.lease("prune"):
        result = prune(shelf.repository, 0)
    assert result.removed == ()
    assert set(result.kept) == set(ids)


def test_nothing_is_freed_while_something_is_damaged(shelf: Shelf) -> None:
    """An unreadable manifest may need any chunk, so no pack may go."""
    series(shelf, 4)
    newest = max((shelf.path / "manifests").iterdir())
    newest.write_bytes(b"garbage")
    packs = shelf.packs()
    repository = shelf.reopen()
    with repository.lease("prune"):
        result = prune(repository, 1)
    assert shelf.packs() == packs
    assert "damaged" in result.kept["packs"]


def test_space_is_given_back_on_a_disk_too_full_for_the_index(shelf: Shelf) -> None:
    ids = series(shelf, 3)
    shelf.repository.close()
    for name in ("chunks.sqlite", "chunks.sqlite-wal", "chunks.sqlite-shm"):
        (shelf.path / "cache" / name).unlink(missing_ok=True)
    # A folder of that name refuses as a full disk does: SQLite cannot make its file.
    (shelf.path / "cache" / "chunks.sqlite-wal").mkdir()
    repository = shelf.reopen()
    with repository.lease("prune"):
        result = prune(repository, 1)
    assert set(result.removed) == set(ids[:2])
    assert verify(repository, [], VerifyLevel.FULL).ok


def test_a_pack_that_is_rewritten_to_itself_stays(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same payloads in the same order give a pack of the same name."""
    series(shelf, 1)
    (pack,) = shelf.packs()
    # As if every pack were one of which little is needed.
    monkeypatch.setattr(pruning, "_LIVE_SHARE_MIN", 2.0)
    with shelf.repository.lease("prune"):
        assert prune(shelf.repository, 0).bytes_freed == 0
    assert shelf.packs() == [pack]
    assert verify(shelf.reopen(), [], VerifyLevel.FULL).ok


def test_what_a_crashed_save_left_behind_is_given_back(shelf: Shelf) -> None:
    series(shelf, 2)
    newest = max((shelf.path / "manifests").iterdir())
    newest.unlink()
    repository = shelf.reopen()
    with repository.lease("prune"):
        result = prune(repository, 0)
    assert result.bytes_freed > 0
    assert verify(shelf.reopen(), [], VerifyLevel.FULL).ok


def test_many_small_packs_become_one(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each save adds a pack that may be needed for long; a day of saves must not leave thousands of files."""
    monkeypatch.setattr("maos_ckpt.prune._SMALL_PACKS_MAX", 6)
    ids = series(shelf, 6)
    repository = shelf.repository
    with repository.lease("prune"):
        assert prune(repository, 0).bytes_freed == 0
    assert len(shelf.packs()) == 6
    shelf.change(6)
    ids.append(shelf.save().id)
    before = repository.stored_bytes()
    with repository.lease("prune"):
        freed = prune(repository, 0).bytes_freed
    repository = shelf.reopen()
    assert len(shelf.packs()) == 1
    assert before - repository.stored_bytes() == freed
    assert [one.id for one in repository.checkpoints()] == ids[::-1]
    assert verify(repository, [], VerifyLevel.FULL).ok


def test_a_small_pack_that_is_needed_whole_survives(shelf: Shelf) -> None:
    """Its framing outweighs its payload, so it counts as thin, and rewritten it has its own name again."""
    shelf.save()
    with sqlite3.connect(shelf.directory / "maos.db") as database:
        database.execute("UPDATE messages SET message='B' WHERE id=(SELECT min(id) FROM messages)")
    shelf.save()
    with shelf.repository.lease("prune"):
        prune(shelf.repository, 10)
    assert verify(shelf.reopen(), [], VerifyLevel.FULL).ok
