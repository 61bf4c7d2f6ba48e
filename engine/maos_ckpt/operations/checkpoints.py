"""Saving, looking, checking and removing: everything about checkpoints that leaves the source as it is."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Sequence

from maos_ckpt import diff as differences
from maos_ckpt import history as histories
from maos_ckpt import scrub as scrubbing
from maos_ckpt import verify as verification
from maos_ckpt.capture.save import TAGS_MAX, SaveRequest, save_checkpoint
from maos_ckpt.client import ProgressSink
from maos_ckpt.codec.compression import Codec
from maos_ckpt.codec.policy import CodecSettings
from maos_ckpt.config import Config
from maos_ckpt.errors import ConflictError, IntegrityError, SourceError, UsageError
from maos_ckpt.events import CheckpointCreated, CheckpointMarked, CheckpointsRemoved, VerificationCompleted
from maos_ckpt.ids import short_id
from maos_ckpt.integrity.headers import mend_header
from maos_ckpt.model import (
    Checkpoint,
    DiffResult,
    ObjectRepair,
    Trigger,
    VerifyLevel,
    VerifyResult,
    VerifyTier,
)
from maos_ckpt.model.contents import History
from maos_ckpt.operations.audit import audited, verified
from maos_ckpt.operations.keeping import apply_retention, needed_by_recoveries
from maos_ckpt.operations.tiers import tiers
from maos_ckpt.operations.workspace import LEASE_WAIT_S, Workspace
from maos_ckpt.repository.repository import Repository
from maos_ckpt.states import LIVE, LiveState, StoredState, open_state

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
    """One checkpoint now; with `keep_last`, and after every scheduled one, retention is applied."""
    _check_tags(tags)
    # A MAOS of which nothing is left is told apart from a directory that never was one by its repository.
    known = workspace.repository.is_dir()
    with workspace.writing("save", create=True, allow_missing=known) as (repository, source):
        _refuse_lost_database(workspace, repository)
        if known:
            workspace.open_source()
        codec, partial = codec_settings(workspace.config), workspace.config.barrier.partial == "allow"
        request = SaveRequest(trigger, description, tuple(tags), codec=codec, partial=partial)
        checkpoint = save_checkpoint(repository, source, request, progress, workspace.seams)
        workspace.record(created(checkpoint))
        if keep_last or trigger is Trigger.SCHEDULE:
            apply_retention(workspace, repository, keep_last, progress)
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
        missing=tuple(one.path for one in checkpoint.capture.missing),
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


def only_far(workspace: Workspace) -> int:
    """How many checkpoints the remote copy holds, as far as it is remembered, whose manifests are not here."""
    with workspace.reading(news=False) as repository:
        return len(repository.strays())


def show(workspace: Workspace, name: str) -> Checkpoint:
    """One checkpoint."""
    with workspace.reading() as repository:
        return repository.resolve(name)


def diff(workspace: Workspace, before: str, after: str, limit: int, progress: ProgressSink) -> DiffResult:
    """What differs between two checkpoints, or a checkpoint and the live state."""
    with workspace.reading() as repository:
        source = workspace.live_source(repository) if LIVE in (before, after) else None
        return differences.diff_states(repository, source, before, after, limit=limit, progress=progress)


def verify(
    workspace: Workspace,
    names: Sequence[str],
    level: VerifyLevel,
    progress: ProgressSink,
    *,
    tier: VerifyTier = VerifyTier.ALL,
    repair: bool = False,
) -> VerifyResult:
    """Check stored checkpoints, all where `names` is empty; what is found damaged is marked so, or repaired."""
    if tier is VerifyTier.S3 and workspace.remote is None:
        raise UsageError("There is no remote copy to verify.", kept="Nothing was checked.", hint="Leave out --tier s3.")
    mended: list[ObjectRepair] = []
    if repair:
        workspace.refuse_if_read_only("repair")
        mended = mend_header(workspace.repository, workspace.remote, LEASE_WAIT_S, workspace.seams)
    opened = workspace.marking("repair") if repair else workspace.reading()
    with opened as repository, workspace.journalled("verify"):
        chosen = [repository.resolve(name) for name in names]
        complete = workspace.config.storage.primary == "local"
        result = verification.verify(repository, chosen, level, progress, tier=tier, repair=repair, complete=complete)
        if not names and tier is not VerifyTier.S3:
            result = verified(workspace, repository, result, repair=repair)
    if result.ok and not names and level is not VerifyLevel.QUICK and tier is VerifyTier.ALL:
        scrubbing.forget_damage(repository)
    result = dataclasses.replace(
        result,
        repaired=(*mended[:1], *result.repaired),
        quarantined=(*mended[1:], *result.quarantined),
    )
    workspace.record(
        VerificationCompleted(
            workspace.now_ms(),
            level.value,
            result.ok,
            result.objects,
            result.bytes,
            len(result.findings),
            checkpoints=tuple(one.id for one in chosen),
            everything=not names and tier is not VerifyTier.S3,
        )
    )
    return result


def scrub(workspace: Workspace, progress: ProgressSink) -> VerifyResult:
    """Look at the next slice of what is stored, in each tier that can be read now; see `scrub.scrub`.

    What is wrong goes to the journal, and so does the end of a round.
    """
    with workspace.reading() as repository, workspace.journalled("scrub"):
        # Where replication has found the remote copy away, its circuit is left alone here as well.
        remote = all(one.state in ("ok", "behind", "damaged") for one in tiers(repository))
        done = scrubbing.scrub(repository, workspace.config.scrub_days, progress, remote=remote)
    result = done.result
    if done.round_ended or not result.ok:
        workspace.record(
            VerificationCompleted(
                workspace.now_ms(),
                result.level.value,
                result.ok,
                result.objects,
                result.bytes,
                len(result.findings),
                scrub=True,
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
        _check_tags(add)
        tags = [tag for tag in dict.fromkeys([*checkpoint.tags, *add]) if tag not in remove]
        if len(tags) > TAGS_MAX:
            raise UsageError(f"A checkpoint carries at most {TAGS_MAX} tags.", kept="Nothing was changed.")
        return _marked(workspace, repository.set_marks(checkpoint, tags=tags))


def _check_tags(tags: Sequence[str]) -> None:
    if any(not tag.strip() for tag in tags):
        raise UsageError("A tag has at least one character.", kept="Nothing was changed.")


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
        needed = needed_by_recoveries(repository).get(checkpoint.id)
        if needed:
            raise ConflictError(
                f"{checkpoint.id} is not deleted: {needed}.",
                kept="Nothing was changed.",
                hint="It can be deleted after the next recovery.",
                id=checkpoint.id,
            )
        if checkpoint.pinned:
            raise ConflictError(
                f"{checkpoint.id} is pinned, so it is not deleted.",
                kept="Nothing was changed.",
                hint=f"`maos-ckpt unpin {checkpoint.id}` first.",
                id=checkpoint.id,
            )
        with audited(workspace, "delete", about=(checkpoint.id,)):
            repository.remove(checkpoint)
        workspace.record(CheckpointsRemoved(workspace.now_ms(), (checkpoint.id,), 0, "deleted"))
    return checkpoint


def records(
    workspace: Workspace, name: str, component: str | None, pattern: str | None
) -> Iterator[differences.BrowsedRecord]:
    """A checkpoint's records, or with `live` the live state's; `pattern` is a glob over the key, or over
    `component/collection/key`."""
    with workspace.reading() as repository, state_of(workspace, repository, name, lambda _: None) as state:
        yield from differences.browse(state, component, pattern)


@contextlib.contextmanager
def state_of(
    workspace: Workspace, repository: Repository, name: str, progress: ProgressSink
) -> Iterator[StoredState | LiveState]:
    """The state that a checkpoint's name, or `live`, means."""
    source = workspace.live_source(repository) if name == LIVE else None
    with open_state(repository, source, name, progress, "records") as state:
        yield state


def history(workspace: Workspace, key: str, limit: int = histories.VERSIONS_TOLD) -> History:
    """How the records with this key changed over the checkpoints: the newest `limit` versions, oldest first."""
    with workspace.reading() as repository:
        before = repository.checkpoints()
        try:
            found = histories.history(repository, key, limit)
            if not found.unread or repository.checkpoints() == before:
                return found
        except IntegrityError:
            if repository.checkpoints() == before:
                raise
        # Retention took one on the way; the others are still there to be asked.
        return histories.history(repository, key, limit)
