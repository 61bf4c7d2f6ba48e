"""The nouns of the system as frozen values; standard library only, so that a remote console loads nothing else.

Units: sizes in bytes, times in milliseconds since 1970-01-01 UTC (`_ms`), durations in float seconds (`_s`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from maos_ckpt.selection import MergePolicy as MergePolicy
from maos_ckpt.selection import Selection as Selection

#: What SQLite calls a value, after reading: NULL, INTEGER, REAL, TEXT, BLOB. Text that is not UTF-8 travels as
#: `codec.values.RawText`, typed `object` here because this module knows no codec.
Value = None | int | float | str | bytes | object
Row = tuple[Value, ...]
#: A chunk's id, 32 bytes. Named, since inside a class with a field `bytes` that name no longer means the type.
ChunkId = bytes

#: The five components an operator recovers by name, in the order a recovery writes them.
COMPONENTS = ("agents", "tasks", "memory", "queue", "system")
#: Home of MAOS tables that this version has no mapping for.
COMPONENT_OTHER = "other"
#: The single component of a plain `sqlite:` source.
COMPONENT_DATABASE = "database"


class Trigger(StrEnum):
    """Why a checkpoint was taken."""

    SCHEDULE = "schedule"
    MANUAL = "manual"
    SAFETY = "safety"
    API = "api"


class CheckpointState(StrEnum):
    """How far a checkpoint has got; `damaged` is set by a verification that found a fault in it."""

    COMMITTED = "committed"
    REPLICATED = "replicated"
    DAMAGED = "damaged"


class ChangeKind(StrEnum):
    """What happened to a record between two states."""

    ADDED = "added"
    MODIFIED = "modified"
    REMOVED = "removed"


class CollectionKind(StrEnum):
    """What a collection's records are, and so which writer puts them back."""

    TABLE = "table"
    SCHEMA = "schema"
    LINES = "lines"
    FILES = "files"


@dataclass(frozen=True, slots=True)
class Descriptor:
    """How to read one collection's records.

    A record is the row `keys + columns`. `rowid` says that the first of `columns` is SQLite's hidden rowid, which is
    put back where it is free but never counts as a difference. `origin` is the table's name, or the files' root
    (`work`, `home`, `claude`); two collections may share one table (MAOS's key_value_store does).
    """

    component: str
    name: str
    kind: CollectionKind
    keys: tuple[str, ...]
    columns: tuple[str, ...]
    origin: str
    rowid: bool = False

    @property
    def path(self) -> str:
        """`component/collection`, as the command line writes it."""
        return f"{self.component}/{self.name}"


@dataclass(frozen=True, slots=True)
class Collection:
    """One collection of a checkpoint: its tree's root (None where empty), record count and logical bytes."""

    component: str
    name: str
    root: ChunkId | None
    records: int
    bytes: int

    @property
    def path(self) -> str:
        """`component/collection`."""
        return f"{self.component}/{self.name}"


@dataclass(frozen=True, slots=True)
class CaptureInfo:
    """How the cut was taken.

    `lock_s`: longest time a lock on the source was held. `skew_s`: time between the first and the last opening of the
    cut. `unchanged`: nothing had changed, so the source was not read. `notes`: what an operator should know.
    """

    lock_s: float = 0.0
    skew_s: float = 0.0
    unchanged: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A committed, immutable checkpoint with its changeable marks (tags, pin, state).

    `stored_bytes` is what this save added to the repository; `logical_bytes` what the state amounts to. `digest` is
    the SHA-512 of the canonical collection list (FORMAT.md, "State digest"); `descriptors` the chunk that says how
    to read the collections; `pack` the object that this save added, "" where it added none or that is not known.
    `marked`: pin and tags are what somebody made them after the commit.
    """

    id: str
    seq: int
    parent: str | None
    created_at_ms: int
    description: str
    tags: tuple[str, ...]
    pinned: bool
    trigger: Trigger
    state: CheckpointState
    source: str
    collections: tuple[Collection, ...]
    stored_bytes: int
    duration_s: float
    capture: CaptureInfo
    digest: bytes
    descriptors: bytes
    marked: bool = False
    pack: str = ""

    @property
    def records(self) -> int:
        """Records over all collections."""
        return sum(one.records for one in self.collections)

    @property
    def logical_bytes(self) -> int:
        """Bytes of all records, before compression and deduplication."""
        return sum(one.bytes for one in self.collections)

    @property
    def components(self) -> tuple[str, ...]:
        """Component names in the order of first appearance."""
        return tuple(dict.fromkeys(one.component for one in self.collections))


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field of a modified record; `path` is a column, or a place inside its JSON as in `metadata.task` or
    `conversation_history[12]`. `before` and `after` are display texts (untrusted), None where absent.

    `before_json` and `after_json` are the typed values as JSON text (`fields`, "JSON values"); None where the value is
    absent, or is a text that is shown as it is.
    """

    path: str
    before: str | None
    after: str | None
    before_json: str | None = None
    after_json: str | None = None


@dataclass(frozen=True, slots=True)
class RecordChange:
    """One record that differs between two states, for display; `key` is a display text. `reason`: why a plan holds a
    record that was not chosen itself."""

    component: str
    collection: str
    key: str
    kind: ChangeKind
    fields: tuple[FieldChange, ...] = ()
    reason: str = ""


@dataclass(slots=True)
class Counts:
    """Changes by kind."""

    added: int = 0
    modified: int = 0
    removed: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.added + self.modified + self.removed

    def count(self, kind: ChangeKind, number: int = 1) -> None:
        """Add `number` changes of a kind."""
        setattr(self, kind.value, getattr(self, kind.value) + number)


@dataclass(frozen=True, slots=True)
class DiffResult:
    """What differs between two states. `changes` holds at most the asked number; `summary` counts all. `findings`:
    columns that only one side has, told once for all records."""

    before: str
    after: str
    summary: Counts
    by_component: dict[str, Counts]
    changes: tuple[RecordChange, ...]
    truncated: bool
    findings: tuple[Finding, ...] = ()


class Severity(StrEnum):
    """How much a finding matters."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something a plan or a verification found. `object` names what, `affected` the records or checkpoints touched."""

    severity: Severity
    kind: str
    message: str
    object: str = ""
    affected: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """The record-level changes that turn the live state into the selected part of a checkpoint.

    `digest` (64 hex digits) covers checkpoint, selection and every touched live record: equal digest, equal plan.
    `changes` is bounded for display; `summary` counts all. An empty plan (summary.total == 0) means nothing to do.
    `kept`, `conflicts`: differing live records that the merge policy leaves as they are, and among the selected ones
    those for which it cannot tell; findings name the first of them.
    """

    checkpoint: str
    selection: Selection
    digest: str
    summary: Counts
    by_component: dict[str, Counts]
    changes: tuple[RecordChange, ...]
    truncated: bool
    findings: tuple[Finding, ...]
    write_bytes: int
    estimated_s: float
    running: tuple[str, ...] = ()
    kept: int = 0
    conflicts: int = 0


#: Kinds of findings that, unless they are mere information, say what a recovery leaves as it is though it is selected.
LEFT_OUT_KINDS = frozenset({"columns", "conflict", "keys", "retyped", "schema", "unread"})


@dataclass(frozen=True, slots=True)
class RecoveryResult:
    """What a recovery did. `verified`: planning again gave an empty plan. `resume_commands`: exact shell lines that
    continue agents whose transcript was put back. `skipped`: files left alone, each with the reason; also in `notes`.
    """

    plan: Plan
    applied: bool
    verified: bool
    safety_checkpoint: str | None
    duration_s: float
    stall_s: float = 0.0
    resume_commands: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()

    @property
    def partial(self) -> bool:
        """Whether a part of the selection could not be put back; `skipped` and the plan's findings name it."""
        found = self.plan.findings
        return bool(self.skipped) or any(
            one.kind in LEFT_OUT_KINDS and one.severity is not Severity.INFO for one in found
        )


class VerifyLevel(StrEnum):
    """How deep a verification reads: objects and sizes; each pack's checksum; each chunk decoded, roots rebuilt."""

    QUICK = "quick"
    STANDARD = "standard"
    FULL = "full"


class VerifyTier(StrEnum):
    """Where a verification reads: the local repository, the remote copy, or both."""

    LOCAL = "local"
    S3 = "s3"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class TierRead:
    """What was read of one tier, `local` or `s3`: objects and stored bytes; whether that went past the read cache."""

    tier: str
    objects: int
    bytes: int
    cache_bypassed: bool = True


@dataclass(frozen=True, slots=True)
class ObjectRepair:
    """A stored object that was repaired, put aside, or cannot be repaired; `detail` says how, where or why."""

    tier: str
    object: str
    detail: str


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """What a verification read, found and repaired.

    `ok`: nothing is wrong, or not any more. `unrepaired`: objects that are damaged or missing still. `last_good`: where
    checkpoints are damaged, the newest one that is whole.
    """

    level: VerifyLevel
    ok: bool
    checkpoints: int
    objects: int
    bytes: int
    findings: tuple[Finding, ...]
    duration_s: float
    tiers: tuple[TierRead, ...] = ()
    repaired: tuple[ObjectRepair, ...] = ()
    quarantined: tuple[ObjectRepair, ...] = ()
    unrepaired: tuple[ObjectRepair, ...] = ()
    last_good: str = ""


@dataclass(frozen=True, slots=True)
class PruneResult:
    """What a prune removed (or would, where `dry_run`) and what it kept; `kept` and `reasons` give for each kept and
    each removed one the reason, by id."""

    removed: tuple[str, ...]
    kept: dict[str, str]
    bytes_freed: int
    dry_run: bool
    reasons: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CompactResult:
    """What compressing cold packs harder did: how many packs went with how many bytes, the bytes of the one made, which
    may hold only a part of a pack that goes later, and whether there is more to do."""

    packs: int
    bytes_before: int
    bytes_after: int
    more: bool
    duration_s: float


@dataclass(frozen=True, slots=True)
class Ratios:
    """How much smaller the stored form is than what it stands for; None where there is nothing to compare.

    Args:
        codec: plain bytes of the distinct stored chunks by the bytes of their payloads.
        dedup: logical bytes of all checkpoints by the plain bytes of the distinct stored chunks.
        whole: logical bytes of all checkpoints by the bytes of all packs and manifests.
    """

    codec: float | None = None
    dedup: float | None = None
    whole: float | None = None


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
            `held elsewhere` (another machine writes to this system) or `foreign` (another repository lies there).
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
    the names of manifests that cannot be read: as many checkpoints are missing from every list."""

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
    events: tuple[str, ...] = field(default=())
