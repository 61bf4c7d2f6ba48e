"""What retention takes and leaves: safety checkpoints by a rule of their own, and nothing that somebody looks at."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from maos_ckpt.capture.save import SaveRequest, save_checkpoint
from maos_ckpt.config import Config
from maos_ckpt.errors import ConflictError
from maos_ckpt.model import Checkpoint, Selection, Trigger
from maos_ckpt.operations import checkpoints, keeping, recoveries
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.repository.chunks import ChunkStore
from maos_ckpt.repository.holds import HOLD_S, held, hold_planned, hold_shown
from maos_ckpt.repository.repository import Repository
from maos_ckpt.retention import SAFETY_KEPT, SAFETY_KEPT_S, retention
from maos_ckpt.seams import SYSTEM, Clock, Seams, SystemClock

from .conftest import Shelf


class _Later(SystemClock):
    """The wall clock, so many seconds ahead."""

    def __init__(self, seconds: float) -> None:
        self._ahead_ms = int(seconds * 1000)

    def now_ms(self) -> int:
        return super().now_ms() + self._ahead_ms


def seams_with(clock: Clock) -> Seams:
    return dataclasses.replace(SYSTEM, clock=clock)


def workspace_of(shelf: Shelf) -> Workspace:
    return Workspace(shelf.path, shelf.source.spec, shelf.home, Config(), SYSTEM)


def safety(shelf: Shelf) -> Checkpoint:
    with shelf.repository.lease("save"):
        request = SaveRequest(Trigger.SAFETY, "before a recovery", pinned=True)
        return save_checkpoint(shelf.repository, shelf.source, request, lambda _: None, SYSTEM)


def ignore(_: object) -> None:
    """Progress nobody watches."""


def test_old_safety_checkpoints_go_unless_they_are_among_the_last_ones(shelf: Shelf) -> None:
    old = [safety(shelf).id for _ in range(SAFETY_KEPT + 2)]
    newest = shelf.save()
    found = shelf.repository.checkpoints()
    now_ms = newest.created_at_ms
    young = retention(found, 1, {}, now_ms)
    assert young.removed == {}
    assert young.kept[old[0]] == "a safety checkpoint of the last 7 days"
    # Time passes as checkpoints are taken: a clock alone that says so makes nothing old.
    assert retention(found, 1, {}, now_ms + SAFETY_KEPT_S * 1000 + 1).removed == {}
    found[0] = newest = dataclasses.replace(newest, seq=newest.seq + 8, created_at_ms=now_ms + SAFETY_KEPT_S * 1000 + 1)
    late = retention(found, 1, {}, newest.created_at_ms)
    assert set(late.removed) == set(old[:2])
    assert "older than 7 days" in late.removed[old[0]]
    assert late.kept == {
        newest.id: "one of the last 1",
        **dict.fromkeys(old[2:], f"one of the last {SAFETY_KEPT} safety checkpoints"),
    }


def test_a_safety_checkpoint_is_pinned_only_by_a_person(shelf: Shelf) -> None:
    one = safety(shelf)
    assert one.pinned
    late_ms = one.created_at_ms + 10 * SAFETY_KEPT_S * 1000
    # A verification's mark must not pass for a person's pin.
    shelf.repository.set_marks(one, damaged=True)
    assert not shelf.reopen().resolve(one.id).pinned
    shelf.repository.set_marks(one, pinned=True)
    others = [safety(shelf) for _ in range(SAFETY_KEPT)]
    assert len(others) == SAFETY_KEPT
    assert retention(shelf.reopen().checkpoints(), 1, {}, late_ms).kept[one.id] == "pinned"


def test_every_removed_one_has_its_reason(shelf: Shelf) -> None:
    first = shelf.save()
    shelf.change(1)
    shelf.save()
    result = keeping.prune(workspace_of(shelf), 1, True, ignore)
    assert result.removed == (first.id,)
    assert result.reasons == {first.id: "not one of the last 1"}


def test_what_is_on_a_screen_or_in_a_plan_is_not_taken(shelf: Shelf) -> None:
    shown, planned, neither = shelf.save(), shelf.save(), shelf.save()
    shelf.change(1)
    newest = shelf.save()
    workspace = workspace_of(shelf)
    hold_shown(shelf.repository, "a-screen", [shown.id])
    recoveries.plan(workspace, planned.id, Selection(), 10, ignore)
    result = keeping.prune(workspace, 1, False, ignore)
    assert result.removed == (neither.id,)
    assert result.kept == {
        newest.id: "one of the last 1",
        planned.id: "a plan of it was shown lately",
        shown.id: "shown on a console",
    }
    # Another set on the same screen replaces the first, and a person may delete what is held.
    hold_shown(shelf.repository, "a-screen", [planned.id])
    assert keeping.prune(workspace, 1, False, ignore).removed == (shown.id,)
    assert checkpoints.delete(workspace, planned.id).id == planned.id


def test_a_hold_runs_out(shelf: Shelf) -> None:
    one = shelf.save()
    hold_shown(shelf.repository, "a-screen", [one.id])
    hold_planned(shelf.repository, one.id)
    for late_s, holds in ((HOLD_S - 60, True), (HOLD_S + 60, False)):
        repository = Repository.open(shelf.path, seams_with(_Later(late_s)))
        assert bool(held(repository)) is holds
        repository.close()
    assert list((shelf.path / "cache" / "holds").iterdir()) == []


def test_a_hold_from_before_the_clock_was_set_back_does_not_last_for_ever(shelf: Shelf) -> None:
    one = shelf.save()
    ahead = Repository.open(shelf.path, seams_with(_Later(86_400)))
    hold_shown(ahead, "a-screen", [one.id])
    ahead.close()
    assert held(shelf.repository) == {}


def test_what_undo_needs_stays_and_is_not_deleted_by_hand(shelf: Shelf) -> None:
    workspace = workspace_of(shelf)
    first = shelf.save()
    shelf.change(1)
    result = recoveries.recover(workspace, first.id, Selection(), None, "a test", 10, ignore)
    assert result.safety_checkpoint
    for seed in range(2, 4):
        shelf.change(seed)
        shelf.save()
    late = Workspace(shelf.path, shelf.source.spec, shelf.home, Config(), seams_with(_Later(8 * 86_400)))
    for _ in range(SAFETY_KEPT):
        safety(shelf)
    assert keeping.prune(late, 1, False, ignore).kept[result.safety_checkpoint] == "undo goes back to it"
    with pytest.raises(ConflictError, match="undo goes back to it"):
        checkpoints.delete(workspace, result.safety_checkpoint)
    assert recoveries.undo(workspace, None, "", 10, ignore).verified


def test_a_read_only_look_holds_nothing_and_fails_nothing(shelf: Shelf, tmp_path: Path) -> None:
    one = shelf.save()
    repository = Repository.open(shelf.path, SYSTEM, read_only=True)
    hold_shown(repository, "a-screen", [one.id])
    assert held(repository) == {}
    repository.close()


def test_a_history_goes_on_where_retention_takes_a_checkpoint_on_the_way(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The prune happens between two reads of the walk, where another process' would."""
    for seed in range(5):
        shelf.change(seed)
        shelf.save()
    workspace = workspace_of(shelf)
    newest = shelf.repository.checkpoints()[0]
    record = next(one for one in checkpoints.records(workspace, newest.id, "tasks", None))
    whole = checkpoints.history(workspace, record.key)
    asked: list[bytes] = []
    read = ChunkStore.read

    def read_beside_a_prune(self: ChunkStore, chunk: bytes) -> bytes:
        asked.append(chunk)
        if len(asked) == 2:
            assert len(keeping.prune(workspace, 1, False, ignore).removed) == 4
        return read(self, chunk)

    monkeypatch.setattr(ChunkStore, "read", read_beside_a_prune)
    assert whole.versions
    assert [one.checkpoint for one in checkpoints.history(workspace, record.key).versions] == [newest.id]
