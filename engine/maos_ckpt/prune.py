"""Retention and space: which checkpoints stay, and which stored bytes nobody needs any more.

Order, so that a crash anywhere leaves only bytes too many: manifests go first; what is still needed is then marked from
the manifests that are left; a pack that is rewritten is durable in its new form before the old one goes; a pack leaves
the index before it leaves the disk. If any stored structure cannot be read, no pack is touched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from maos_ckpt.codec.compression import Codec
from maos_ckpt.errors import IntegrityError
from maos_ckpt.model import Checkpoint, Progress, PruneResult, Trigger
from maos_ckpt.repository.manifests import manifest_name
from maos_ckpt.repository.packs import PackWriter, Stored
from maos_ckpt.repository.repository import Repository
from maos_ckpt.tree.cursor import decode_node, root_entry
from maos_ckpt.tree.nodes import ID_BYTES, Entry, chunk_id, decode_leaf

ProgressSink = Callable[[Progress], None]
#: A pack is rewritten when less than this share of it is still needed, …
_LIVE_SHARE_MIN = 0.5
#: … or when this many bytes are not, whatever their share.
_DEAD_BYTES_MAX = 64 << 20


def retained(checkpoints: list[Checkpoint], keep_last: int) -> dict[str, str]:
    """Which of these (newest first) stay, and why: id → reason. `keep_last` 0 keeps all.

    Scheduled checkpoints that found nothing changed repeat an older one; they are not counted, and only the newest
    checkpoint of all stays although it is one. Else an idle night would push out every state of the day before.
    """
    kept: dict[str, str] = {}
    counted = 0
    for number, one in enumerate(checkpoints):
        if one.pinned:
            kept[one.id] = "safety checkpoint, pinned" if one.trigger is Trigger.SAFETY else "pinned"
        elif keep_last == 0:
            kept[one.id] = "no limit is set"
        elif _repeats(one):
            if number == 0:
                kept[one.id] = "the newest"
        elif counted < keep_last:
            counted += 1
            kept[one.id] = f"one of the last {keep_last}"
    return kept


def _repeats(checkpoint: Checkpoint) -> bool:
    return checkpoint.trigger is Trigger.SCHEDULE and checkpoint.capture.unchanged and not checkpoint.tags


def prune(
    repository: Repository,
    keep_last: int,
    *,
    dry_run: bool = False,
    reclaim: bool = True,
    progress: ProgressSink = lambda _: None,
) -> PruneResult:
    """Remove checkpoints beyond the policy, and (`reclaim`) the bytes that only they needed.

    The caller holds the lease.

    Raises:
        StorageError: the storage refuses; what is left is consistent.
    """
    checkpoints = repository.checkpoints()
    kept = retained(checkpoints, keep_last)
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
    return PruneResult(tuple(one.id for one in removed), kept, freed, dry_run)


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
        needed.add(checkpoint.descriptors)
        for collection in checkpoint.collections:
            if collection.root is not None:
                _mark_tree(repository, root_entry(repository.chunks, collection.root), needed)
    needed.update(list(_bases(repository, needed)))
    return needed


def _mark_tree(repository: Repository, root: Entry, needed: set[bytes]) -> None:
    stack = [root]
    while stack:
        entry = stack.pop()
        if entry.id in needed:
            continue
        needed.add(entry.id)
        if entry.level:
            node = decode_node(repository.chunks, entry)
            assert isinstance(node, list)
            stack.extend(node)
        elif entry.pieces:
            pieces = decode_leaf(repository.chunks.get(entry.id)).pieces
            needed.update(pieces[at : at + ID_BYTES] for at in range(0, len(pieces), ID_BYTES))


def _bases(repository: Repository, needed: set[bytes]) -> Iterator[bytes]:
    for chunk in needed:
        found = repository.index.find(chunk)
        if found is None:
            raise IntegrityError(f"the chunk {chunk.hex()[:16]} is missing")
        if found[1].codec == Codec.ZSTD_DELTA:
            base = repository.index.find_base(found[1].base)
            if base is None:
                raise IntegrityError(f"the base of the chunk {chunk.hex()[:16]} is missing")
            yield base[1].id


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
