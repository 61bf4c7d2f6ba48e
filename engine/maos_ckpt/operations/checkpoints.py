"""Saving, looking, checking and removing: everything about checkpoints that leaves the source as it is."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from maos_ckpt import diff as differences
from maos_ckpt import export as exporting
from maos_ckpt import history as histories
from maos_ckpt import prune as pruning
from maos_ckpt import verify as verification
from maos_ckpt.capture.save import TAGS_MAX, SaveRequest, save_checkpoint
from maos_ckpt.client import ProgressSink
from maos_ckpt.codec.compression import Codec
from maos_ckpt.codec.policy import CodecSettings
from maos_ckpt.config import Config
from maos_ckpt.errors import CkptError, ConflictError, IntegrityError, SourceError, UsageError
from maos_ckpt.events import CheckpointCreated, CheckpointMarked, CheckpointsRemoved, VerificationCompleted
from maos_ckpt.ids import short_id
from maos_ckpt.model import Checkpoint, DiffResult, PruneResult, Trigger, VerifyLevel, VerifyResult
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.recovery import journal as recoveries
from maos_ckpt.repository import holds
from maos_ckpt.repository.repository import Repository

LIVE = "live"
#: Automatic clean-up removes manifests after every save, and looks for stored bytes to give back after so many.
RECLAIM_SAVES = 20
#: The collection that holds a database's own description; it is never empty where there is a database.
_SCHEMA_COLLECTION = "schema"


def save(
    workspace: Workspace,
    trigger: Trigger,
    description: str,
    tags: Sequence[str],
    progress: ProgressSink,
    *,
    keep_last: int = 0,
) -> Checkpoint:
    """One checkpoint now; with `keep_last`, retention is applied where there are more checkpoints than that."""
    with workspace.writing("save", create=True) as (repository, source):
        _refuse_lost_database(workspace, repository)
        request = SaveRequest(trigger, description, tuple(tags), codec=codec_settings(workspace.config))
        checkpoint = save_checkpoint(repository, source, request, progress, workspace.seams)
        workspace.record(created(checkpoint))
        if keep_last:
            _apply_retention(workspace, repository, keep_last, progress)
    return checkpoint


def _refuse_lost_database(workspace: Workspace, repository: Repository) -> None:
    """A MAOS may live without a database, but one that had it has lost it: saving that again and again would in the end
    push the last checkpoints that hold it out of the repository."""
    database, latest = workspace.database, repository.latest()
    if database is None or latest is None or os.path.lexists(database):
        return
    if any(one.name == _SCHEMA_COLLECTION and one.records for one in latest.collections):
        raise SourceError(
            f"{database} is gone; the last checkpoint still holds it.",
            kept="Every checkpoint is untouched, and none was taken of the state without it.",
            hint=f"`maos-ckpt restore {short_id(latest.id)}` brings it back.",
            path=str(database),
            checkpoint=latest.id,
        )


def _apply_retention(workspace: Workspace, repository: Repository, keep_last: int, progress: ProgressSink) -> None:
    checkpoints = repository.checkpoints()
    if all(one.pinned for one in checkpoints[keep_last:]):
        return
    reclaim = checkpoints[0].seq % RECLAIM_SAVES == 0
    # The checkpoint is committed: that old ones cannot be removed now must not make its save a failure.
    with contextlib.suppress(CkptError), workspace.journalled("prune"):
        _prune(workspace, repository, keep_last, progress, reclaim=reclaim)


def codec_settings(config: Config) -> CodecSettings:
    """What the configuration says about compression, for a save."""
    name = config.compression.codec
    codec = None if name == "auto" else Codec[name.upper()]
    return CodecSettings(codec, config.compression.level, config.performance.max_save_time_ms / 1000)


def created(checkpoint: Checkpoint) -> CheckpointCreated:
    """The event that tells of a new checkpoint."""
    return CheckpointCreated(
        at_ms=checkpoint.created_at_ms,
        checkpoint=checkpoint.id,
        trigger=checkpoint.trigger.value,
        records=checkpoint.records,
        logical_bytes=checkpoint.logical_bytes,
        stored_bytes=checkpoint.stored_bytes,
        duration_s=checkpoint.duration_s,
        lock_s=checkpoint.capture.lock_s,
        unchanged=checkpoint.capture.unchanged,
    )


def list_checkpoints(workspace: Workspace, limit: int, tag: str | None = None) -> list[Checkpoint]:
    """Newest first, at most `limit`; with `tag` only those that carry it."""
    with workspace.reading() as repository:
        found = [one for one in repository.checkpoints() if tag is None or tag in one.tags]
    return found[:limit]


def damaged_manifests(workspace: Workspace) -> dict[str, str]:
    """Manifests that cannot be read, and so are missing from every list: object name → what is wrong."""
    with workspace.reading() as repository:
        return repository.damaged_manifests()


def show(workspace: Workspace, name: str) -> Checkpoint:
    """One checkpoint."""
    with workspace.reading() as repository:
        return repository.resolve(name)


def diff(workspace: Workspace, before: str, after: str, limit: int, progress: ProgressSink) -> DiffResult:
    """What differs between two checkpoints, or a checkpoint and the live state."""
    with workspace.reading() as repository:
        source = workspace.live_source(repository) if LIVE in (before, after) else None
        return differences.diff_states(repository, source, before, after, limit=limit, progress=progress)


def verify(workspace: Workspace, names: Sequence[str], level: VerifyLevel, progress: ProgressSink) -> VerifyResult:
    """Check stored checkpoints, all where `names` is empty; what is found damaged is marked so."""
    with workspace.reading() as repository, workspace.journalled("verify"):
        chosen = [repository.resolve(name) for name in names]
        result = verification.verify(repository, chosen, level, progress)
    workspace.record(
        VerificationCompleted(
            workspace.now_ms(), level.value, result.ok, result.objects, result.bytes, len(result.findings)
        )
    )
    return result


def set_pinned(workspace: Workspace, name: str, pinned: bool) -> Checkpoint:
    """Pin or unpin."""
    with workspace.marking("pin" if pinned else "unpin") as repository:
        return _marked(workspace, repository.set_marks(repository.resolve(name), pinned=pinned))


def change_tags(workspace: Workspace, name: str, add: Sequence[str], remove: Sequence[str]) -> Checkpoint:
    """Add tags to a checkpoint and take others away.

    Raises:
        UsageError: that would make more than `TAGS_MAX`.
    """
    with workspace.marking("tag") as repository:
        checkpoint = repository.resolve(name)
        tags = [tag for tag in dict.fromkeys([*checkpoint.tags, *add]) if tag not in remove]
        if len(tags) > TAGS_MAX:
            raise UsageError(f"A checkpoint carries at most {TAGS_MAX} tags.", kept="Nothing was changed.")
        return _marked(workspace, repository.set_marks(checkpoint, tags=tags))


def _marked(workspace: Workspace, checkpoint: Checkpoint) -> Checkpoint:
    workspace.record(CheckpointMarked(workspace.now_ms(), checkpoint.id, checkpoint.pinned, checkpoint.tags))
    return checkpoint


def delete(workspace: Workspace, name: str) -> Checkpoint:
    """Remove a checkpoint; its space comes back with the next prune.

    Raises:
        ConflictError: it is pinned, or the last recovery cannot be taken back or ended without it.
    """
    with workspace.marking("delete") as repository:
        checkpoint = repository.resolve(name)
        if checkpoint.pinned:
            raise ConflictError(
                f"{checkpoint.id} is pinned, so it is not deleted.",
                kept="Nothing was changed.",
                hint=f"`maos-ckpt unpin {checkpoint.id}` first.",
                id=checkpoint.id,
            )
        needed = _needed_by_recoveries(repository).get(checkpoint.id)
        if needed:
            raise ConflictError(
                f"{checkpoint.id} is not deleted: {needed}.",
                kept="Nothing was changed.",
                hint="It can be deleted after the next recovery.",
                id=checkpoint.id,
            )
        repository.remove(checkpoint)
        workspace.record(CheckpointsRemoved(workspace.now_ms(), (checkpoint.id,), 0, "deleted"))
    return checkpoint


def prune(workspace: Workspace, keep_last: int, dry_run: bool, progress: ProgressSink) -> PruneResult:
    """Apply retention and give space back; `dry_run` only says what would go."""
    if dry_run:
        with workspace.reading() as repository:
            return pruning.prune(repository, keep_last, held=_held(repository), dry_run=True, progress=progress)
    with workspace.marking("prune") as repository:
        return _prune(workspace, repository, keep_last, progress)


def _held(repository: Repository) -> dict[str, str]:
    """What stays whatever the policy says: id → why."""
    return {**holds.held(repository), **_needed_by_recoveries(repository)}


def _needed_by_recoveries(repository: Repository) -> dict[str, str]:
    under_way, last = recoveries.under_way(repository.path), recoveries.last_done(repository)
    needed = {} if last is None else {last.safety: "undo goes back to it"}
    if under_way is not None:
        needed |= dict.fromkeys((under_way.checkpoint, under_way.safety), "an interrupted recovery needs it")
    return needed


def _prune(
    workspace: Workspace, repository: Repository, keep_last: int, progress: ProgressSink, *, reclaim: bool = True
) -> PruneResult:
    result = pruning.prune(repository, keep_last, held=_held(repository), reclaim=reclaim, progress=progress)
    if result.removed or result.bytes_freed:
        workspace.record(CheckpointsRemoved(workspace.now_ms(), result.removed, result.bytes_freed, "retention"))
    return result


def records(
    workspace: Workspace, name: str, component: str | None, pattern: str | None
) -> Iterator[differences.BrowsedRecord]:
    """A checkpoint's records; `pattern` is a glob over the key, or over `component/collection/key`."""
    with workspace.reading() as repository:
        yield from differences.browse(repository, repository.resolve(name), component, pattern)


def history(workspace: Workspace, key: str) -> list[histories.Version]:
    """How the records with this key changed over the checkpoints, oldest first."""
    with workspace.reading() as repository:
        before = repository.checkpoints()
        try:
            return histories.history(repository, key)
        except IntegrityError:
            if repository.checkpoints() == before:
                raise
            # Retention took one on the way; the others are still there to be asked.
            return histories.history(repository, key)


def export(workspace: Workspace, name: str, directory: Path, progress: ProgressSink) -> list[exporting.ExportedFile]:
    """A checkpoint as plain files below `directory`."""
    with workspace.reading() as repository:
        checkpoint = repository.resolve(name)
        return exporting.export(repository, checkpoint, directory, progress, workspace.seams)
