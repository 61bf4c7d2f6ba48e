"""What is known of engine, repository and journal now; right also after a restart, since it is read, not remembered."""

from __future__ import annotations

import math
from dataclasses import dataclass

from maos_ckpt.journal import Entry, Journal
from maos_ckpt.model import Checkpoint
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.recovery.journal import pending

#: What clears a failure of each operation.
_SUCCESS = {
    "save": "CheckpointCreated",
    "restore": "RecoveryCompleted",
    "undo": "RecoveryCompleted",
    "verify": "VerificationCompleted",
    "prune": "CheckpointsRemoved",
}
#: How far back in the journal the last failure is looked for.
ENTRIES_SEARCHED_MAX = 5000


@dataclass(frozen=True, slots=True)
class Failure:
    """The newest failure that no later success of the same operation has made good."""

    operation: str
    kind: str
    message: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class RepositoryState:
    """A repository at a glance; `damaged_manifests` are the names of manifests that cannot be read."""

    last_success: Checkpoint | None
    checkpoints: int
    stored_bytes: int
    logical_bytes: int
    failure: Failure | None
    damaged_manifests: tuple[str, ...] = ()


def repository_state(workspace: Workspace) -> RepositoryState:
    """The state of a repository; empty where there is none yet."""
    with workspace.reading() as repository:
        checkpoints = repository.checkpoints()
        return RepositoryState(
            last_success=checkpoints[0] if checkpoints else None,
            checkpoints=len(checkpoints),
            stored_bytes=repository.stored_bytes(),
            logical_bytes=sum(one.logical_bytes for one in checkpoints),
            failure=last_failure(workspace.journal),
            damaged_manifests=tuple(repository.damaged_manifests()),
        )


def last_failure(journal: Journal) -> Failure | None:
    """See `Failure`."""
    seen: set[str] = set()
    for count, (name, fields) in enumerate(journal.newest_first()):
        if count >= ENTRIES_SEARCHED_MAX:
            break
        if name == "OperationFailed":
            failure = _failure(fields)
            if _SUCCESS.get(failure.operation) not in seen:
                return failure
        seen.add(name)
    return None


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
    entries: list[Entry] = []
    for entry in workspace.journal.newest_first():
        if len(entries) >= limit:
            break
        entries.append(entry)
    return entries


def next_run_at_ms(since_ms: int, interval_s: float, now_ms: int) -> int:
    """When an engine that began to tick at `since_ms` takes its next checkpoint, as seen from outside."""
    interval_ms = interval_s * 1000
    ticks = max(math.floor((now_ms - since_ms) / interval_ms) + 1, 0)
    return int(since_ms + ticks * interval_ms)


def unfinished_recovery(workspace: Workspace) -> str:
    """One sentence about a recovery that a crash interrupted and that the next operation will settle, else ""."""
    return pending(workspace.repository)
