"""Idle time: cold packs are compressed between saves, never so long that the next one is late."""

from __future__ import annotations

import msgspec

from maos_ckpt import compact as compaction
from maos_ckpt import wire
from maos_ckpt.engine.child import Child
from maos_ckpt.engine.idle import MARGIN_S, SAVES, SAVES_BUSY, SLICE_S_MAX, SLICE_S_MIN, IdleTime
from maos_ckpt.errors import LeaseHeldError
from maos_ckpt.events import PacksCompacted
from maos_ckpt.model import CompactResult, Trigger, VerifyLevel
from maos_ckpt.operations import checkpoints, keeping
from maos_ckpt.operations.registry import OPERATIONS, CompactArguments
from maos_ckpt.operations.workspace import Workspace


class Compactions:
    """Notes how long each was allowed, and says whether there is more to do."""

    def __init__(self) -> None:
        self.slices_s: list[float] = []
        self.more = False
        self.refused = False

    def __call__(self, slice_s: float) -> CompactResult:
        self.slices_s.append(slice_s)
        if self.refused:
            raise LeaseHeldError("in use")
        return CompactResult(1, 2, 1, self.more, slice_s)


def used(idle: IdleTime, compactions: Compactions, saves: int, left_s: float) -> int:
    before = len(compactions.slices_s)
    for _ in range(saves):
        idle.use(left_s)
    return len(compactions.slices_s) - before


def test_it_runs_seldom_and_more_often_while_there_is_something_to_do() -> None:
    compactions = Compactions()
    idle = IdleTime(compactions)
    assert used(idle, compactions, SAVES_BUSY - 1, 26) == 0
    assert used(idle, compactions, 1, 26) == 1
    assert used(idle, compactions, SAVES - 1, 26) == 0
    compactions.more = True
    assert used(idle, compactions, 1, 26) == 1
    assert used(idle, compactions, SAVES_BUSY, 26) == 1
    compactions.refused = True
    assert used(idle, compactions, SAVES_BUSY, 26) == 1
    assert used(idle, compactions, SAVES - 1, 26) == 0
    assert not idle.running


def test_it_leaves_time_before_the_next_save_and_is_not_begun_for_less() -> None:
    compactions = Compactions()
    idle = IdleTime(compactions)
    assert used(idle, compactions, 100, MARGIN_S + SLICE_S_MIN - 0.1) == 0
    idle.use(MARGIN_S + 3)
    assert compactions.slices_s == [3]
    used(idle, compactions, SAVES, 3600)
    assert compactions.slices_s[-1] == SLICE_S_MAX


def test_a_worker_compacts_and_tells_of_it(workspace: Workspace) -> None:
    assert workspace.database is not None
    agents = workspace.database.parent / ".claude" / "agents"
    agents.mkdir(parents=True, exist_ok=True)
    for number in range(compaction.COLD_AFTER + compaction.JOINED_MIN):
        (agents / f"agent-{number}.md").write_text(f"agent {number}\n" * 50)
        checkpoints.save(workspace, Trigger.MANUAL, "", (), lambda _: None)
    request = wire.Request("compact", workspace.place, msgspec.Raw(wire.encode(CompactArguments(30.0))))
    result = Child().run(request, OPERATIONS["compact"].result, lambda _: None)
    assert isinstance(result, CompactResult)
    assert result.packs >= compaction.JOINED_MIN
    assert result.bytes_after < result.bytes_before
    name, fields = next(iter(workspace.journal.newest_first()))
    assert name == PacksCompacted.__name__
    assert fields["packs"] == result.packs
    assert checkpoints.verify(workspace, [], VerifyLevel.FULL, lambda _: None).ok
    assert keeping.compact(workspace, 30.0, lambda _: None).packs == 0
