"""A checkpoint and what it is made of: components, collections, how to read them, how the cut was taken."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

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


class CollectionKind(StrEnum):
    """What a collection's records are, and so which writer puts them back; `objects` are of a running program."""

    TABLE = "table"
    SCHEMA = "schema"
    LINES = "lines"
    FILES = "files"
    OBJECTS = "objects"


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
class Referrers:
    """A derived tree that says which records refer to an agent (FORMAT.md, "Referrers").

    `tree` holds a record for each reference; `of` are the collections, of this checkpoint or an earlier one, that it
    is true for, and whose trees are kept with it: what changed since is their difference to the present ones.
    `descriptors` is the chunk that says how to read them.
    """

    tree: Collection
    of: tuple[Collection, ...]
    descriptors: bytes


@dataclass(frozen=True, slots=True)
class MissingPart:
    """A collection that could not be captured, and why; nothing is known of it, so a recovery leaves it as it is."""

    component: str
    collection: str
    reason: str

    @property
    def path(self) -> str:
        """`component/collection`."""
        return f"{self.component}/{self.collection}"


@dataclass(frozen=True, slots=True)
class CaptureInfo:
    """How the cut was taken.

    `lock_s`: longest time a lock on the source was held. `skew_s`: time between the first and the last opening of the
    cut. `unchanged`: nothing had changed, so the source was not read. `notes`: what an operator should know. `held`: a
    hook held the system still while all was opened, for `pause_s`. `missing`: what makes the checkpoint a partial one.
    """

    lock_s: float = 0.0
    skew_s: float = 0.0
    unchanged: bool = False
    notes: tuple[str, ...] = ()
    held: bool = False
    pause_s: float = 0.0
    missing: tuple[MissingPart, ...] = ()


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A committed, immutable checkpoint with its changeable marks (tags, pin, state).

    `stored_bytes` is what this save added to the repository; `logical_bytes` what the state amounts to. `digest` is
    the SHA-512 of the canonical collection list (FORMAT.md, "State digest"); `descriptors` the chunk that says how
    to read the collections; `pack` the object that this save added, "" where it added none or that is not known;
    `referrers` is derived, None where nobody has taken the time yet.
    `marked`: pin and tags are what somebody made them after the commit. `audit` names the newest entry that the audit
    log had then.
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
    referrers: Referrers | None = None
    audit: bytes = b""

    @property
    def trees(self) -> tuple[Collection, ...]:
        """All that is to be kept for this checkpoint: its collections, and what was derived from them."""
        derived = () if self.referrers is None else (self.referrers.tree, *self.referrers.of)
        return self.collections + derived

    @property
    def records(self) -> int:
        """Records over all collections."""
        return sum(one.records for one in self.collections)

    @property
    def logical_bytes(self) -> int:
        """Bytes of all records, before compression and deduplication."""
        return sum(one.bytes for one in self.collections)

    @property
    def partial(self) -> bool:
        """Whether a part of the state could not be captured."""
        return bool(self.capture.missing)

    @property
    def components(self) -> tuple[str, ...]:
        """Component names in the order of first appearance."""
        return tuple(dict.fromkeys(one.component for one in self.collections))
