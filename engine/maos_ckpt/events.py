"""What has happened, as frozen values with past-tense names; the journal, the console and machines read the same
ones."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from maos_ckpt.model import Progress


@dataclass(frozen=True, slots=True)
class Event:
    """Root of all events; `at_ms` is wall time."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class EngineStarted(Event):
    """An engine took up its schedule."""

    source: str
    interval_s: float


@dataclass(frozen=True, slots=True)
class EngineStopped(Event):
    """An engine ended cleanly."""


@dataclass(frozen=True, slots=True)
class CheckpointCreated(Event):
    """A checkpoint was committed; `missing` names what could not be captured, so that it is a partial one."""

    checkpoint: str
    trigger: str
    records: int
    logical_bytes: int
    stored_bytes: int
    duration_s: float
    lock_s: float
    unchanged: bool
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CheckpointsReplicated(Event):
    """Checkpoints became durable in the remote copy."""

    checkpoints: tuple[str, ...]
    bytes_sent: int


@dataclass(frozen=True, slots=True)
class ReplicationStalled(Event):
    """The remote copy cannot be brought up to date; saves go on, and what waits is sent later."""

    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class SpoolOverflowed(Event):
    """Checkpoints were removed that the remote copy does not have: more bytes wait for it than are kept for that."""

    checkpoints: tuple[str, ...]
    waiting_bytes: int
    bytes_max: int


@dataclass(frozen=True, slots=True)
class SpaceBoundExceeded(Event):
    """The repository takes more bytes than it should, and nothing in it may make room."""

    stored_bytes: int
    bytes_max: int


@dataclass(frozen=True, slots=True)
class PacksCompacted(Event):
    """Cold chunks were compressed harder: so many packs of so many bytes went, for a new one of so many."""

    packs: int
    bytes_before: int
    bytes_after: int


@dataclass(frozen=True, slots=True)
class TicksMissed(Event):
    """The schedule passed without a save because one was still running or the machine slept."""

    count: int
    reason: str


@dataclass(frozen=True, slots=True)
class OperationFailed(Event):
    """A save, recovery, verification or prune failed; nothing committed was lost."""

    operation: str
    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class OperationProgressed(Event):
    """A running operation moved on; not kept in the journal."""

    progress: Progress


@dataclass(frozen=True, slots=True)
class RecoveryCompleted(Event):
    """A plan was applied to the live state and verified (or not); `part`: an undo of a part of what was done."""

    checkpoint: str
    digest: str
    safety_checkpoint: str
    reason: str
    changes: int
    verified: bool
    undo: bool
    duration_s: float
    part: bool = False


@dataclass(frozen=True, slots=True)
class RecoveryResumed(Event):
    """A recovery that a crash had interrupted was finished or taken back."""

    checkpoint: str
    outcome: str


@dataclass(frozen=True, slots=True)
class CheckpointsRemoved(Event):
    """Checkpoints were deleted, or pruned by the retention policy."""

    checkpoints: tuple[str, ...]
    bytes_freed: int
    cause: str


@dataclass(frozen=True, slots=True)
class CheckpointMarked(Event):
    """A checkpoint was pinned, unpinned or tagged."""

    checkpoint: str
    pinned: bool
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VerificationCompleted(Event):
    """A verification ended; with `scrub` it was the engine's own look at a slice of what is stored."""

    level: str
    ok: bool
    objects: int
    bytes: int
    findings: int
    scrub: bool = False
    #: Those that were named; `everything` where none was, and all were checked.
    checkpoints: tuple[str, ...] = ()
    everything: bool = False


@dataclass(frozen=True, slots=True)
class DrillCompleted(Event):
    """A recovery was rehearsed in a scratch copy; `passed` where every scenario that applied did, else `failed` names
    them. `report_sha256` (hex) is of the report as JSON, which lies beside `evidence`."""

    drill: str
    checkpoint: str
    passed: bool
    scenarios: tuple[str, ...]
    failed: tuple[str, ...]
    rto_s: float | None
    rpo_s: float | None
    duration_s: float
    trigger: str
    reason: str
    who: str
    evidence: str
    report_sha256: str


@dataclass(frozen=True, slots=True)
class CacheAsked(Event):
    """An operation read what lies in the remote copy: so many reads the cache answered, and so many it could not."""

    hits: int
    misses: int


@dataclass(frozen=True, slots=True)
class AlertRaised(Event):
    """A condition that an operator must know of holds; `repeated` where it was told before and still does.

    Every event of one incident has the same `key`."""

    alert: str
    severity: str
    message: str
    key: str
    runbook: str
    repeated: bool


@dataclass(frozen=True, slots=True)
class AlertCleared(Event):
    """The condition behind an alert holds no more, after `lasted_s`."""

    alert: str
    key: str
    lasted_s: float


@dataclass(frozen=True, slots=True)
class ConnectionLost(Event):
    """A remote engine stopped answering, and is tried again; told by the client that noticed, in no journal."""

    reason: str


@dataclass(frozen=True, slots=True)
class ConnectionRestored(Event):
    """A remote engine answers again; told as `ConnectionLost`. With `missed` there were more events in between than it
    kept, or it was started anew: what is known of it is to be read again."""

    missed: bool


#: Closed registry: the journal knows these names and no others.
EVENT_TYPES: dict[str, type[Event]] = {
    cls.__name__: cls
    for cls in (
        EngineStarted,
        EngineStopped,
        CheckpointCreated,
        CheckpointsReplicated,
        ReplicationStalled,
        SpoolOverflowed,
        SpaceBoundExceeded,
        PacksCompacted,
        TicksMissed,
        OperationFailed,
        RecoveryCompleted,
        RecoveryResumed,
        CheckpointsRemoved,
        CheckpointMarked,
        VerificationCompleted,
        DrillCompleted,
        CacheAsked,
        AlertRaised,
        AlertCleared,
    )
}


def event_fields(event: Event) -> dict[str, object]:
    """An event's fields as a JSON-compatible mapping, without its name."""
    return dataclasses.asdict(event)


def public_name(name: str) -> str:
    """What an event is called outside of Python: `CheckpointCreated` is `checkpointCreated`."""
    return name[:1].lower() + name[1:]


def public_field(name: str) -> str:
    """What a field is called outside of Python: camel case, a time (`…_ms`) without its unit, a duration (`…_s`) in
    `…Seconds`."""
    if name.endswith("_ms"):
        name = name.removesuffix("_ms")
    elif name.endswith("_s"):
        name = name.removesuffix("_s") + "_seconds"
    first, *rest = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)
