"""Carrying retention out: checkpoints that the policy does not keep go, and stored bytes that nobody needs any more.

Order, so that a crash anywhere leaves only bytes too many: manifests go first; what is still needed is then marked from
the manifests that are left; a pack that is rewritten is durable in its new form, and read back, before the old one
goes; a pack leaves the index before it leaves the disk. If a stored structure cannot be read, no pack is touched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from maos_ckpt.errors import CkptError, IntegrityError, PermissionRefusedError, UnavailableError
from maos_ckpt.model import Checkpoint, Progress, PruneResult
from maos_ckpt.repository.manifests import manifest_name
from maos_ckpt.repository.needed import needed_chunks, needed_places, refuse
from maos_ckpt.repository.pack_writer import PackWriter
from maos_ckpt.repository.packs import SealedPack, Stored
from maos_ckpt.repository.replacing import seal_checked
from maos_ckpt.repository.repository import Repository
from maos_ckpt.retention import Retention, Rules, retention
from maos_ckpt.space import ROOM_SHARE, Bound, evict, too_many

ProgressSink = Callable[[Progress], None]
#: A pack is rewritten when less than this share of it is still needed, …
_LIVE_SHARE_MIN = 0.5
#: … or when this many bytes are not, whatever their share.
_DEAD_BYTES_MAX = 64 << 20
#: Every save adds a pack, of which a part may be needed for long. When there are so many smaller ones …
_SMALL_PACKS_MAX = 64
#: … than this, all of them are carried over into one.
_SMALL_PACK_BYTES = 4 << 20
#: Where space has run out, packs are rewritten sooner.
_LIVE_SHARE_MIN_FULL = ROOM_SHARE
#: Most that one prune reads from the remote copy to rewrite packs that lie only there: bytes, and requests.
_READ_BYTES_MAX = 16 << 20
_READ_CHUNKS_MAX = 256


def prune(
    repository: Repository,
    keep_last: int,
    *,
    rules: Rules | None = None,
    bound: Bound | None = None,
    held: Mapping[str, str] = MappingProxyType({}),
    dry_run: bool = False,
    reclaim: bool = True,
    progress: ProgressSink = lambda _: None,
) -> PruneResult:
    """Remove checkpoints beyond the policy, and (`reclaim`) the bytes that only they needed.

    The caller holds the lease. For `rules` and `held` see `retention`. Where the repository takes more than its
    `bound`, bytes are given back in any case, and what may make room does; `kept["space"]` says so where that is not
    enough.

    Raises:
        StorageError: the storage refuses; what is left is consistent.
    """
    checkpoints = repository.checkpoints()
    policy = retention(checkpoints, keep_last, held, repository.seams.clock.now_ms(), rules)
    work = _Prune(repository, policy, checkpoints, dry_run, progress)
    work.remove(policy.removed)
    if bound is not None and work.stored_bytes > bound.bytes_max:
        work.make_room(bound)
    elif reclaim:
        work.sweep(_LIVE_SHARE_MIN)
    return PruneResult(tuple(work.removed), policy.kept, work.freed, dry_run, work.removed)


class _Prune:
    """One run. `removed` is what went (or would), newest first, with the reasons."""

    def __init__(
        self,
        repository: Repository,
        policy: Retention,
        checkpoints: list[Checkpoint],
        dry_run: bool,
        progress: ProgressSink,
    ) -> None:
        self._repository = repository
        self._kept = policy.kept
        self._yielding = policy.yielding
        self._checkpoints = checkpoints
        self._dry_run = dry_run
        self._progress = progress
        self._local = repository.backend.list("manifests") | repository.backend.list("packs")
        #: Objects that are gone, or would be, with the bytes that this frees; a new one frees less than nothing.
        self._gone: dict[str, int] = {}
        self._evicted: dict[str, int] = {}
        self.removed: dict[str, str] = {}

    @property
    def freed(self) -> int:
        """Bytes that are free now, or would be, those of packs included that only the remote copy holds."""
        return sum(self._gone.values())

    @property
    def stored_bytes(self) -> int:
        """Bytes that the repository takes locally now, or would after what was done so far."""
        if not self._dry_run:
            return self._repository.stored_bytes()
        gone = self._gone | self._evicted
        return sum(self._local.values()) - sum(size for name, size in gone.items() if name in self._local)

    @property
    def _staying(self) -> list[Checkpoint]:
        return [one for one in self._checkpoints if one.id not in self.removed]

    def remove(self, reasons: Mapping[str, str]) -> None:
        """Remove these checkpoints (full ids)."""
        going = [one for one in self._checkpoints if one.id in reasons]
        # The oldest go first: whatever interrupts this, the newest are the ones that stay.
        for one in reversed(going):
            self._kept.pop(one.id, None)
            self._gone[manifest_name(one.seq)] = self._local[manifest_name(one.seq)]
            if not self._dry_run:
                self._repository.remove(one)
        gone = self.removed | dict(reasons)
        self.removed = {one.id: gone[one.id] for one in self._checkpoints if one.id in gone}

    def sweep(self, live_share_min: float) -> None:
        """Give the bytes back that no checkpoint needs any more."""
        try:
            needed = mark(self._repository, self._staying, self._progress)
        except IntegrityError as error:
            self._kept["packs"] = f"no stored bytes were freed, because something is damaged: {error.message}"
        except (UnavailableError, PermissionRefusedError) as error:
            # Trees of old checkpoints may lie in the remote copy alone.
            self._kept["packs"] = f"no stored bytes were freed, because the remote copy cannot be read: {error.message}"
        else:
            self._drop(needed, live_share_min)

    def make_room(self, bound: Bound) -> None:
        """Come back below the bound: by what nobody needs, then by what the remote copy holds, then by checkpoints."""
        self.sweep(_LIVE_SHARE_MIN)
        goal_bytes = int(bound.bytes_max * ROOM_SHARE)
        if self.stored_bytes > bound.bytes_max and bound.evict:
            self._evict(self.stored_bytes - goal_bytes)
        if self.stored_bytes > bound.bytes_max and self._yielding:
            self._yield(bound, goal_bytes)
        if self.stored_bytes > bound.bytes_max:
            self._kept["space"] = (
                f"the repository takes {self.stored_bytes:,} bytes, more than the {bound.bytes_max:,} that it should: "
                "everything left is protected, or needed by what is"
            )

    def _evict(self, wanted_bytes: int) -> None:
        try:
            evicted = evict(self._repository, self._staying, wanted_bytes, dry_run=self._dry_run)
        except CkptError as error:
            self._kept["local packs"] = f"no packs made room for others: {error.message}"
            return
        if evicted:
            size = sum(evicted.values())
            self._evicted |= evicted
            self._kept["local packs"] = f"{len(evicted):,} of {size:,} bytes are read from the remote copy from now on"

    def _yield(self, bound: Bound, goal_bytes: int) -> None:
        try:
            going = too_many(self._repository, self._staying, self._yielding, goal_bytes)
        except CkptError as error:
            self._kept["packs"] = f"no checkpoint made room, because what it would free is not known: {error.message}"
            return
        self.remove(dict.fromkeys(going, f"to make room: the repository should take {bound.bytes_max:,} bytes at most"))
        self.sweep(_LIVE_SHARE_MIN_FULL)

    def _drop(self, needed: set[bytes], live_share_min: float) -> None:
        """Drop packs that nobody needs, and rewrite those of which little is needed."""
        repository = self._repository
        uses = [pack_use(repository, name, size, needed) for name, size in repository.index.packs().items()]
        dead = [use for use in uses if not use.live]
        living = [use for use in uses if use.live]
        small = sum(use.bytes < _SMALL_PACK_BYTES for use in living)
        thin = [
            use
            for use in living
            if use.live_bytes < use.payload_bytes * live_share_min
            or use.dead_bytes > _DEAD_BYTES_MAX
            or (small > _SMALL_PACKS_MAX and use.bytes < _SMALL_PACK_BYTES)
        ]
        here = repository.backend.list("packs")
        near = [use for use in thin if use.name in here]
        far = _worth_reading(use for use in thin if use.name not in here)
        if self._dry_run:
            self._gone |= {use.name: use.bytes for use in dead}
            self._gone |= {use.name: use.dead_bytes for use in [*near, *far]}
            return
        for number, use in enumerate(dead):
            self._progress(Progress("prune", "sweep", number, len(dead)))
            repository.drop_pack(use.name)
            self._freed(use.name, use.bytes)
        for some in (near, far):
            # Apart, so that the remote copy being away costs nothing else.
            self._replace(some)

    def _replace(self, thin: list[PackUse]) -> None:
        if not thin:
            return
        try:
            fresh = _rewrite(self._repository, thin, self._progress)
        except (IntegrityError, UnavailableError) as error:
            self._kept["packs"] = f"packs were not rewritten: {error.message}"
            return
        for name, size in [(fresh.name, -fresh.size), *((use.name, use.bytes) for use in thin)]:
            self._freed(name, size)

    def _freed(self, name: str, size: int) -> None:
        self._gone[name] = self._gone.get(name, 0) + size


def mark(repository: Repository, checkpoints: list[Checkpoint], progress: ProgressSink) -> set[bytes]:
    """Ids of all chunks that these checkpoints need, bases of deltas included.

    Raises:
        IntegrityError: something on the way cannot be read, so the answer would be too small.
    """
    if repository.damaged_manifests():
        raise IntegrityError("a manifest cannot be read")
    if repository.damaged_packs:
        raise IntegrityError("a pack cannot be read")
    if repository.strays():
        raise IntegrityError("the remote copy holds checkpoints that are not here yet")
    needed: set[bytes] = set()
    for number, checkpoint in enumerate(checkpoints):
        progress(Progress("prune", "mark", number, len(checkpoints)))
        needed_chunks(repository, checkpoint, needed, refuse)
    return set(needed_places(repository, needed, refuse))


@dataclass(slots=True)
class PackUse:
    """What of one pack is still needed."""

    name: str
    bytes: int
    payload_bytes: int = 0
    live: list[Stored] = field(default_factory=list)

    @property
    def live_bytes(self) -> int:
        """Bytes of the payloads that are."""
        return sum(one.stored for one in self.live)

    @property
    def dead_bytes(self) -> int:
        """Bytes of the payloads that are not; a pack's own index counts for neither."""
        return self.payload_bytes - self.live_bytes


def _worth_reading(thin: Iterable[PackUse]) -> list[PackUse]:
    """Those packs of the remote copy that are rewritten now: most is freed by least reading, and within bounds."""
    chosen: list[PackUse] = []
    read_bytes = chunks = 0
    for use in sorted(thin, key=lambda use: use.live_bytes / use.payload_bytes):
        read_bytes += use.live_bytes
        chunks += len(use.live)
        if use.live_bytes > use.dead_bytes or read_bytes > _READ_BYTES_MAX or chunks > _READ_CHUNKS_MAX:
            break
        chosen.append(use)
    return chosen


def pack_use(repository: Repository, name: str, size: int, needed: set[bytes]) -> PackUse:
    """Which chunks of a pack count: those in `needed`, unless reads prefer another copy of them."""
    use = PackUse(name, size)
    for stored in repository.index.pack_chunks(name):
        use.payload_bytes += stored.stored
        if stored.id in needed:
            home = repository.index.find(stored.id)
            # Of a chunk that two packs hold, the copy that reads prefer is the one that counts: also for deltas that
            # lean on it, since a full copy is preferred to every other.
            if home is not None and home[0] == name:
                use.live.append(stored)
    return use


def _rewrite(repository: Repository, thin: list[PackUse], progress: ProgressSink) -> SealedPack:
    """Carry what is needed of thin packs over into one new pack, then drop them; the new one."""
    writer = PackWriter(repository.backend, repository.seams.fs, repository.sealer)
    try:
        for number, use in enumerate(thin):
            progress(Progress("prune", "rewrite", number, len(thin), detail=use.name))
            for stored in use.live:
                # A damaged chunk must not get a fresh checksum around it: then everything stays as it is.
                if repository.chunks.name(repository.chunks.decode(use.name, stored)) != stored.id:
                    raise IntegrityError(f"a chunk in {use.name} is damaged", object=use.name)
                payload = repository.reader.payload(use.name, stored)
                writer.add(stored.id, stored.codec, stored.raw, payload, stored.base)
        sealed = seal_checked(repository, writer)
    finally:
        writer.abandon()
    for use in thin:
        # The same payloads in the same order give the same pack again.
        if use.name != sealed.name:
            repository.drop_pack(use.name)
    return sealed
