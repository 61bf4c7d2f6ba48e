"""What is kept, for how long and in how many bytes: the configuration's policy carried out on a repository."""

from __future__ import annotations

import contextlib
import itertools

from maos_ckpt import compact as compaction
from maos_ckpt import prune as pruning
from maos_ckpt.client import ProgressSink
from maos_ckpt.config import Config
from maos_ckpt.errors import CkptError
from maos_ckpt.events import CheckpointsRemoved, PacksCompacted, SpaceBoundExceeded, SpoolOverflowed
from maos_ckpt.model import CompactResult, PruneResult
from maos_ckpt.operations.audit import Note, audited, record
from maos_ckpt.operations.tiers import waiting_bytes
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.recovery import journal as recoveries
from maos_ckpt.recovery import referrers
from maos_ckpt.repository import holds
from maos_ckpt.repository.repository import Repository
from maos_ckpt.retention import Rules
from maos_ckpt.space import Bound

#: Automatic clean-up removes manifests after every save, and looks for stored bytes to give back after so many.
RECLAIM_SAVES = 20
#: That space has run out is told again after so many other events.
_ALARM_ENTRIES = 200


def prune(workspace: Workspace, keep_last: int, dry_run: bool, progress: ProgressSink) -> PruneResult:
    """Apply retention and give space back; `dry_run` only says what would go."""
    if not dry_run:
        with workspace.marking("prune") as repository:
            with audited(workspace, "prune") as note:
                result = _prune(workspace, repository, keep_last, progress)
                _tell(note, result)
            return result
    with workspace.reading() as repository:
        return pruning.prune(
            repository,
            keep_last,
            rules=rules(workspace.config, repository),
            bound=bound(workspace.config, repository),
            held=_held(repository),
            dry_run=True,
            progress=progress,
        )


def apply_retention(workspace: Workspace, repository: Repository, keep_last: int, progress: ProgressSink) -> None:
    """Retention after a save, under its lease: no failure of it is one of the save."""
    checkpoints = repository.checkpoints()
    limit = bound(workspace.config, repository)
    beyond = bool(keep_last) and not all(one.pinned for one in checkpoints[keep_last:])
    if not beyond and (limit is None or repository.stored_bytes() <= limit.bytes_max):
        return
    reclaim = checkpoints[0].seq % RECLAIM_SAVES == 0
    # The checkpoint is committed: that old ones cannot be removed now must not make its save a failure.
    with contextlib.suppress(CkptError), workspace.journalled("prune"):
        result = _prune(workspace, repository, keep_last, progress, reclaim=reclaim)
        if result.removed:
            detail = f"{len(result.removed)} checkpoints"
            record(workspace, "prune", reason="retention after a save", detail=detail, about=result.removed)


def _tell(note: Note, result: PruneResult) -> None:
    note.about = result.removed
    note.detail = f"{len(result.removed)} checkpoints, {result.bytes_freed} bytes"


def rules(config: Config, repository: Repository) -> Rules:
    """What the configuration keeps beyond the newest ones, and what waits for the remote copy now."""
    keeping = config.retention
    waiting = {} if repository.remote is None else waiting_bytes(repository)
    return Rules(keeping.hourly, keeping.daily, keeping.weekly, keeping.tags, waiting, config.storage.spool_size_bytes)


def bound(config: Config, repository: Repository) -> Bound | None:
    """How many local bytes the configuration allows; None where it sets no bound."""
    storage = config.storage
    if not storage.local.max_size_bytes:
        return None
    return Bound(storage.local.max_size_bytes, evict=storage.primary == "s3" and repository.remote is not None)


def _held(repository: Repository) -> dict[str, str]:
    """What stays whatever the policy says: id → why."""
    return {**holds.held(repository), **needed_by_recoveries(repository)}


def needed_by_recoveries(repository: Repository) -> dict[str, str]:
    """What undo or an interrupted recovery needs: id → why."""
    under_way, last = recoveries.under_way(repository.path), recoveries.last_done(repository)
    needed = {} if last is None else {last.safety: "undo goes back to it"}
    for pinned in last.pins.chain if last is not None and last.pins is not None else ():
        needed |= dict.fromkeys((pinned.checkpoint, pinned.safety), "undo needs it to know what was changed")
    if under_way is not None:
        for pinned in under_way.pins.chain if under_way.pins is not None else ():
            needed |= dict.fromkeys((pinned.checkpoint, pinned.safety), "an interrupted recovery needs it")
        needed |= dict.fromkeys((under_way.checkpoint, under_way.safety), "an interrupted recovery needs it")
    return needed


def _prune(
    workspace: Workspace, repository: Repository, keep_last: int, progress: ProgressSink, *, reclaim: bool = True
) -> PruneResult:
    policy, limit = rules(workspace.config, repository), bound(workspace.config, repository)
    result = pruning.prune(
        repository,
        keep_last,
        rules=policy,
        bound=limit,
        held=_held(repository),
        reclaim=reclaim,
        progress=progress,
    )
    now_ms = workspace.now_ms()
    if result.removed or result.bytes_freed:
        workspace.record(CheckpointsRemoved(now_ms, result.removed, result.bytes_freed, "retention"))
    lost = tuple(one for one in result.removed if one in policy.waiting)
    if lost:
        workspace.record(SpoolOverflowed(now_ms, lost, sum(policy.waiting.values()), policy.spool_bytes_max))
    if limit is not None and "space" in result.kept and not _told_lately(workspace, SpaceBoundExceeded.__name__):
        workspace.record(SpaceBoundExceeded(now_ms, repository.stored_bytes(), limit.bytes_max))
    return result


def _told_lately(workspace: Workspace, name: str) -> bool:
    newest = itertools.islice(workspace.journal.newest_first(), _ALARM_ENTRIES)
    return any(entry[0] == name for entry in newest)


def compact(workspace: Workspace, slice_s: float, progress: ProgressSink) -> CompactResult:
    """Compress cold packs harder for at most about `slice_s` seconds."""
    with workspace.marking("compact") as repository:
        referrers.work_out(repository, progress)
        result = compaction.compact(repository, slice_s, progress)
        if result.bytes_after:
            event = PacksCompacted(workspace.now_ms(), result.packs, result.bytes_before, result.bytes_after)
            workspace.record(event)
    return result
