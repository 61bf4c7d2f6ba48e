"""What is known of engine, repository and journal now; right also after a restart, since it is read, not remembered."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass, field
from itertools import islice

from maos_ckpt.backends.base import HEADER_NAME
from maos_ckpt.backends.local import LocalBackend
from maos_ckpt.errors import CkptError, KeyRefusedError, NotFoundError, PermissionRefusedError, UnavailableError
from maos_ckpt.events import CheckpointCreated, OperationFailed
from maos_ckpt.journal import Entry, Journal
from maos_ckpt.model import LOCAL_TIER, REMOTE_TIER, Checkpoint, CheckpointState, Ratios, TierStatus
from maos_ckpt.operations.outcome import Outcome, last_outcome, remembered_outcome
from maos_ckpt.operations.tiers import NOT_ASKED, failed_state, tiers
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.ratios import ratios
from maos_ckpt.recovery.alone import Recovering, running_recovery
from maos_ckpt.recovery.journal import pending
from maos_ckpt.repository.cache_place import NAME as CACHE
from maos_ckpt.repository.keyring import ENCRYPTION
from maos_ckpt.repository.remote_memory import RemoteMemory

#: What clears a failure of each operation; of any other, as of a pin or a new key, the next checkpoint: by then the
#: repository can be written.
_SUCCESS = {
    "restore": "RecoveryCompleted",
    "undo": "RecoveryCompleted",
    "rescue": "RecoveryCompleted",
    "verify": "VerificationCompleted",
    "repair": "VerificationCompleted",
    "scrub": "VerificationCompleted",
    "prune": "CheckpointsRemoved",
    "drill": "DrillCompleted",
}
#: How far back in the journal the last failure is looked for.
ENTRIES_SEARCHED_MAX = 5000
#: What was written while one operation ran is among so many.
RECENT_MAX = 200


@dataclass(frozen=True, slots=True)
class Failure:
    """The newest failure that no later success has made good."""

    operation: str
    kind: str
    message: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class LastSuccess:
    """The newest checkpoint, by its id, when it was taken, and what could not be captured then."""

    id: str
    created_at_ms: int
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RepositoryState:
    """A repository at a glance.

    Args:
        stored_bytes: what it takes here; `all_bytes` with packs that only the remote copy holds.
        damaged_manifests: names of manifests that cannot be read; `damaged_checkpoints` are ids of those so marked.
        encrypted, opened_by: whether it is, and the id of the key slot that opened it, "" where none did.
        locked: why it did not open, "" where it did; then only what can be told without the key is told.
        outcome: how replication goes, None where there is no remote copy or nothing was tried.
    """

    last_success: LastSuccess | None
    checkpoints: int
    stored_bytes: int
    logical_bytes: int
    failure: Failure | None
    damaged_manifests: tuple[str, ...] = ()
    tiers: tuple[TierStatus, ...] = ()
    ratios: Ratios = field(default_factory=Ratios)
    all_bytes: int = 0
    damaged_checkpoints: tuple[str, ...] = ()
    outcome: Outcome | None = None
    encrypted: bool = False
    opened_by: str = ""
    locked: str = ""


def repository_state(workspace: Workspace) -> RepositoryState:
    """The state of a repository as it is known here; asks the remote copy only where there is no home yet.

    Without a home it is empty, and the tiers tell whether the remote copy answers.
    """
    try:
        with workspace.reading(news=False) as repository:
            checkpoints = repository.checkpoints()
            return RepositoryState(
                last_success=_newest(checkpoints),
                checkpoints=len(checkpoints),
                stored_bytes=repository.stored_bytes(),
                logical_bytes=sum(one.logical_bytes for one in checkpoints),
                all_bytes=sum(repository.packs().values()) + sum(repository.backend.list("manifests").values()),
                damaged_checkpoints=tuple(one.id for one in checkpoints if one.state is CheckpointState.DAMAGED),
                outcome=None if repository.remote is None else last_outcome(repository),
                failure=last_failure(workspace.journal),
                damaged_manifests=tuple(repository.damaged_manifests()),
                tiers=tiers(repository, workspace.config.storage),
                ratios=ratios(repository, checkpoints),
                encrypted=ENCRYPTION in repository.header.features,
                opened_by=workspace.key.slot(repository.header.id),
            )
    except NotFoundError:
        return _without_home(workspace, None)
    except KeyRefusedError as error:
        if not (workspace.repository / HEADER_NAME).exists():
            return _without_home(workspace, error)
        return _without_key(workspace, error)
    except (UnavailableError, PermissionRefusedError) as error:
        if workspace.remote is None or (workspace.repository / HEADER_NAME).exists():
            raise
        return _without_home(workspace, error)


def _newest(checkpoints: list[Checkpoint]) -> LastSuccess | None:
    if not checkpoints:
        return None
    one = checkpoints[0]
    return LastSuccess(one.id, one.created_at_ms, tuple(gone.path for gone in one.capture.missing))


def _without_home(workspace: Workspace, error: CkptError | None) -> RepositoryState:
    found = [TierStatus(LOCAL_TIER, str(workspace.repository), "ok", 0, 0)]
    remote = workspace.remote
    if remote is not None:
        state = "ok" if error is None else failed_state(error.kind)
        found.append(TierStatus(REMOTE_TIER, remote.s3.location, state, 0, 0, reason=error.message if error else ""))
    return RepositoryState(None, 0, 0, 0, None, tiers=tuple(found))


def _without_key(workspace: Workspace, error: CkptError) -> RepositoryState:
    """What names and sizes of objects, the journal, and the memory of the remote copy say."""
    backend = LocalBackend(workspace.repository, workspace.seams)
    manifests, packs = backend.list("manifests"), backend.list("packs")
    found = [TierStatus(LOCAL_TIER, backend.location, "ok", len(manifests), sum(packs.values()))]
    outcome = None
    if workspace.remote is not None:
        location = workspace.remote.s3.location
        with contextlib.closing(RemoteMemory(backend.root / CACHE / "remote.sqlite", location)) as memory:
            there = memory.below("manifests")
            outcome = remembered_outcome(memory)
            failed = "" if outcome is None else outcome.kind
            waiting = len(manifests.keys() - there.keys())
            state = failed_state(failed) if failed else "behind" if waiting else "ok"
            reason = outcome.message if outcome is not None else "" if memory.complete else NOT_ASKED
            size = sum(memory.below("packs").values())
        found.append(TierStatus(REMOTE_TIER, location, state, len(there), size, pending=waiting, reason=reason))
    return RepositoryState(
        _last_journalled(workspace.journal),
        len(manifests),
        sum(manifests.values()) + sum(packs.values()),
        0,
        last_failure(workspace.journal),
        tiers=tuple(found),
        outcome=outcome,
        encrypted=True,
        locked=error.message,
    )


def _last_journalled(journal: Journal) -> LastSuccess | None:
    for name, fields in islice(journal.newest_first(), ENTRIES_SEARCHED_MAX):
        at_ms = fields.get("at_ms")
        if name == CheckpointCreated.__name__ and isinstance(at_ms, int):
            return LastSuccess(str(fields.get("checkpoint", "")), at_ms)
    return None


def last_failure(journal: Journal) -> Failure | None:
    """See `Failure`."""
    seen: set[str] = set()
    for name, fields in islice(journal.newest_first(), ENTRIES_SEARCHED_MAX):
        if name == "OperationFailed":
            failure = _failure(fields)
            if _SUCCESS.get(failure.operation, CheckpointCreated.__name__) not in seen:
                return failure
        seen.add(name)
    return None


def failed_since(journal: Journal, operation: str, since_ms: int) -> bool:
    """Whether one of the journal's newest entries says that an operation of this name failed at that time or later."""
    for name, fields in islice(journal.newest_first(), RECENT_MAX):
        if name == OperationFailed.__name__:
            failure = _failure(fields)
            if failure.operation == operation and failure.at_ms >= since_ms:
                return True
    return False


def _failure(fields: dict[str, object]) -> Failure:
    at_ms = fields["at_ms"]
    return Failure(
        str(fields.get("operation", "")),
        str(fields.get("kind", "")),
        str(fields.get("message", "")),
        at_ms if isinstance(at_ms, int) else 0,
    )


def recent_events(workspace: Workspace, limit: int) -> list[Entry]:
    """The journal's newest entries, newest first."""
    return list(islice(workspace.journal.newest_first(), max(limit, 0)))


def next_run_at_ms(since_ms: int, interval_s: float, now_ms: int) -> int:
    """When an engine that began to tick at `since_ms` takes its next checkpoint, as seen from outside."""
    interval_ms = interval_s * 1000
    ticks = max(math.floor((now_ms - since_ms) / interval_ms) + 1, 0)
    return int(since_ms + ticks * interval_ms)


def unfinished_recovery(workspace: Workspace) -> str:
    """One sentence about a recovery that a crash interrupted and that the next operation will settle, else ""."""
    return "" if recovery_under_way(workspace) is not None else pending(workspace.repository)


def recovery_under_way(workspace: Workspace) -> Recovering | None:
    """The recovery or undo that some process carries out now, or None."""
    return running_recovery(workspace.repository, workspace.seams)
