"""Retention and space: which checkpoints stay, and which stored bytes nobody needs any more.

Order, so that a crash anywhere leaves only bytes too many: manifests go first; what is still needed is then marked from
the manifests that are left; a pack that is rewritten is durable in its new form before the old one goes; a pack leaves
the index before it leaves the disk. If any stored structure cannot be read, no pack is touched.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from maos_ckpt.codec.compression import Codec
from maos_ckpt.errors import IntegrityError
from maos_ckpt.model import Checkpoint, Progress, PruneResult, Trigger
from maos_ckpt.repository.manifests import manifest_name
from maos_ckpt.repository.needed import needed_chunks, needed_places, refuse
from maos_ckpt.repository.packs import PackWriter, Stored
from maos_ckpt.repository.repository import Repository
from maos_ckpt.tree.nodes import chunk_id

ProgressSink = Callable[[Progress], None]
#: Safety checkpoints stay while they are among so many newest …
SAFETY_KEPT = 10
#: … or younger than this.
SAFETY_KEPT_S = 7 * 86_400
#: A pack is rewritten when less than this share of it is still needed, …
_LIVE_SHARE_MIN = 0.5
#: … or when this many bytes are not, whatever their share.
_DEAD_BYTES_MAX = 64 << 20


@dataclass(frozen=True, slots=True)
class Retention:
    """Which checkpoints stay and which go, each with the reason: id → reason."""

    kept: dict[str, str]
    removed: dict[str, str]


def retention(checkpoints: list[Checkpoint], keep_last: int, held: Mapping[str, str], now_ms: int) -> Retention:
    """What the policy says of these checkpoints (newest first). `keep_last` 0 keeps all.

    Scheduled checkpoints that found nothing changed repeat an older one; they are not counted, and only the newest
    checkpoint of all stays although it is one. Else an idle night would push out every state of the day before. Safety
    checkpoints are not counted either: they have their own number and age.

    Args:
        held: id → reason, for checkpoints that stay whatever the policy says.
    """
    kept: dict[str, str] = {}
    removed: dict[str, str] = {}
    counted = safeties = 0
    for number, one in enumerate(checkpoints):
        counts = one.trigger is not Trigger.SAFETY and not _repeats(one) and not one.pinned
        counted += counts
        safeties += one.trigger is Trigger.SAFETY
        if one.pinned:
            kept[one.id] = "pinned"
        elif keep_last == 0:
            kept[one.id] = "no limit is set"
        elif one.id in held:
            kept[one.id] = held[one.id]
        elif counts and counted <= keep_last:
            kept[one.id] = f"one of the last {keep_last}"
        elif number == 0:
            kept[one.id] = "the newest"
        elif one.trigger is Trigger.SAFETY and safeties <= SAFETY_KEPT:
            kept[one.id] = f"one of the last {SAFETY_KEPT} safety checkpoints"
        elif one.trigger is Trigger.SAFETY and now_ms - one.created_at_ms < SAFETY_KEPT_S * 1000:
            kept[one.id] = f"a safety checkpoint of the last {SAFETY_KEPT_S // 86_400} days"
        else:
            removed[one.id] = _why_removed(one, keep_last)
    return Retention(kept, removed)


def _repeats(checkpoint: Checkpoint) -> bool:
    return checkpoint.trigger is Trigger.SCHEDULE and checkpoint.capture.unchanged and not checkpoint.tags


def _why_removed(checkpoint: Checkpoint, keep_last: int) -> str:
    if checkpoint.trigger is Trigger.SAFETY:
        return f"a safety checkpoint older than {SAFETY_KEPT_S // 86_400} days and not one of the last {SAFETY_KEPT}"
    if _repeats(checkpoint):
        return "nothing had changed: it repeats the one before it"
    return f"not one of the last {keep_last}"


def prune(
    repository: Repository,
    keep_last: int,
    *,
    held: Mapping[str, str] = MappingProxyType({}),
    dry_run: bool = False,
    reclaim: bool = True,
    progress: ProgressSink = lambda _: None,
) -> PruneResult:
    """Remove checkpoints beyond the policy, and (`reclaim`) the bytes that only they needed.

    The caller holds the lease. For `held` see `retention`.

    Raises:
        StorageError: the storage refuses; what is left is consistent.
    """
    checkpoints = repository.checkpoints()
    policy = retention(checkpoints, keep_last, held, repository.seams.clock.now_ms())
    kept = policy.kept
    removed = [one for one in checkpoints if one.id not in kept]
    staying = [one for one in checkpoints if one.id in kept]
    sizes = repository.backend.list("manifests")
    freed = sum(sizes[manifest_name(one.seq)] for one in removed)
    if not dry_run:
        # The oldest go first: whatever interrupts this, the newest are the ones that stay.
        for one in reversed(removed):
            repository.remove(one)
    if reclaim:
        try:
            needed = mark(repository, staying, progress)
        except IntegrityError as error:
            kept["packs"] = f"no stored bytes were freed, because something is damaged: {error.message}"
        else:
            freed += _sweep(repository, needed, kept, dry_run=dry_run, progress=progress)
    return PruneResult(tuple(policy.removed), kept, freed, dry_run, policy.removed)


def mark(repository: Repository, checkpoints: list[Checkpoint], progress: ProgressSink) -> set[bytes]:
    """Ids of all chunks that these checkpoints need, bases of deltas included.

    Raises:
        IntegrityError: something on the way cannot be read, so the answer would be too small.
    """
    if repository.damaged_manifests():
        raise IntegrityError("a manifest cannot be read")
    if repository.damaged_packs:
        raise IntegrityError("a pack cannot be read")
    needed: set[bytes] = set()
    for number, checkpoint in enumerate(checkpoints):
        progress(Progress("prune", "mark", number, len(checkpoints)))
        needed_chunks(repository, checkpoint, needed, refuse)
    return set(needed_places(repository, needed, refuse))


@dataclass(slots=True)
class _PackUse:
    """What of one pack is still needed."""

    name: str
    bytes: int
    live: list[Stored] = field(default_factory=list)

    @property
    def live_bytes(self) -> int:
        return sum(one.stored for one in self.live)


def _sweep(
    repository: Repository, needed: set[bytes], kept: dict[str, str], *, dry_run: bool, progress: ProgressSink
) -> int:
    """Drop or rewrite packs; the bytes that frees."""
    uses = [_use(repository, name, size, needed) for name, size in repository.index.packs().items()]
    dead = [use for use in uses if not use.live]
    thin = [
        use
        for use in uses
        if use.live and (use.live_bytes < use.bytes * _LIVE_SHARE_MIN or use.bytes - use.live_bytes > _DEAD_BYTES_MAX)
    ]
    if dry_run:
        return sum(use.bytes for use in dead) + sum(use.bytes - use.live_bytes for use in thin)
    freed = 0
    for number, use in enumerate(dead):
        progress(Progress("prune", "sweep", number, len(dead)))
        repository.drop_pack(use.name)
        freed += use.bytes
    if thin:
        try:
            freed += _rewrite(repository, thin, progress)
        except IntegrityError as error:
            kept["packs"] = f"packs were not rewritten: {error.message}"
    return freed


def _use(repository: Repository, name: str, size: int, needed: set[bytes]) -> _PackUse:
    use = _PackUse(name, size)
    for stored in repository.index.pack_chunks(name):
        if stored.id in needed:
            home = repository.index.find(stored.id)
            # Of a chunk that two packs hold, the copy that reads prefer is the one that counts; so does a full copy
            # that deltas lean on.
            if home is not None and (home[0] == name or stored.codec != Codec.ZSTD_DELTA):
                use.live.append(stored)
    return use


def _rewrite(repository: Repository, thin: list[_PackUse], progress: ProgressSink) -> int:
    """Carry what is needed of thin packs over into one new pack, then drop them."""
    writer = PackWriter(repository.backend, repository.seams.fs)
    try:
        for number, use in enumerate(thin):
            progress(Progress("prune", "rewrite", number, len(thin), detail=use.name))
            for stored in use.live:
                # A damaged chunk must not get a fresh checksum around it: then everything stays as it is.
                if chunk_id(repository.chunks.decode(use.name, stored)) != stored.id:
                    raise IntegrityError(f"a chunk in {use.name} is damaged", object=use.name)
                payload = repository.reader.payload(use.name, stored.offset, stored.stored)
                writer.add(stored.id, stored.codec, stored.raw, payload, stored.base)
        sealed = writer.seal()
        added = 0
        if sealed is not None:
            added = sealed[1]
            repository.index.add_pack(*sealed, writer.chunks)
    finally:
        writer.abandon()
    for use in thin:
        repository.drop_pack(use.name)
    return sum(use.bytes for use in thin) - added
