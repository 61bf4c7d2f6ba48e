"""What is going on: progress, tiers, and the engine at a glance."""

from __future__ import annotations

from dataclasses import dataclass, field

from maos_ckpt.model.alerts import Alert
from maos_ckpt.model.checkpoint import Checkpoint
from maos_ckpt.model.drills import DrillStatus


@dataclass(frozen=True, slots=True)
class Progress:
    """One step of a running operation. `total` is 0 while unknown; items and bytes count what is done so far."""

    operation: str
    phase: str
    done: int = 0
    total: int = 0
    bytes: int = 0
    detail: str = ""


@dataclass(frozen=True, slots=True)
class RunningOperation:
    """The operation that the engine is carrying out now."""

    operation: str
    started_at_ms: int
    progress: Progress


#: Names of tiers: the repository itself, and its remote copy.
LOCAL_TIER = "local"
REMOTE_TIER = "s3"


@dataclass(frozen=True, slots=True)
class TierStatus:
    """One place where checkpoints are kept, at a glance.

    Args:
        name: `local` or `s3`.
        state: `ok`, `full` (beyond its bound), `behind` (something waits), `away` (no answer), `refused` (credentials),
            `held elsewhere` (another machine writes to this system), `foreign` (another repository lies there) or
            `damaged` (packs are missing there).
        checkpoints, bytes: what it holds.
        pending, pending_bytes: checkpoints that wait to be replicated there, and what is to be sent for them.
        since_ms: since when replications fail, None where the last one did not.
        oldest_pending_at_ms: when the oldest of these was taken.
        last_success_at_ms: when a replication last went through.
        reason: one sentence about what is wrong, or "".
        breaker: `open` while the remote side is left alone after failures in a row, `half_open` during a trial, else
            `closed`; "" where nothing was tried.
        next_try_ms: when the next replication is tried after one that failed.
        scrub_share: how much of it the look at all objects in turn has read in this round, from 0 to 1.
        scrubbed_at_ms: when the last such round ended.
        damaged: objects that it found damaged or missing.
    """

    name: str
    location: str
    state: str
    checkpoints: int
    bytes: int
    pending: int = 0
    pending_bytes: int = 0
    since_ms: int | None = None
    oldest_pending_at_ms: int | None = None
    last_success_at_ms: int | None = None
    reason: str = ""
    breaker: str = ""
    next_try_ms: int | None = None
    scrub_share: float = 0.0
    scrubbed_at_ms: int | None = None
    damaged: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """What a console shows at a glance. `role` is `engine` where this process schedules saves, `observer` where
    another one does (`owner` says which). `next_run_at_ms` is None where nothing is scheduled. `damaged_manifests` are
    the names of manifests that cannot be read: as many checkpoints are missing from every list. `alerts` are those that
    stand, the worst first."""

    source: str
    repository: str
    role: str
    owner: str
    interval_s: float
    next_run_at_ms: int | None
    last_success: Checkpoint | None
    last_error: str
    last_error_at_ms: int | None
    running: RunningOperation | None
    checkpoints: int
    repository_bytes: int
    missed_ticks: int
    read_only: bool = False
    unfinished_recovery: str = ""
    damaged_manifests: tuple[str, ...] = ()
    tiers: tuple[TierStatus, ...] = ()
    drill: DrillStatus | None = None
    events: tuple[str, ...] = field(default=())
    alerts: tuple[Alert, ...] = ()
