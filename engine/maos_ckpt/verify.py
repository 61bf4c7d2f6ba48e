"""Checking stored checkpoints, at three depths, and naming what a fault touches.

*quick* reads manifests and index nodes and looks their nodes and leaves up; *standard* also reads every pack that is
needed against its checksum; *full* also decodes every chunk, rebuilds counts and sizes, and compares the SHA-512 of the
state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from maos_ckpt.codec.compression import Codec
from maos_ckpt.codec.values import display_key
from maos_ckpt.errors import IntegrityError
from maos_ckpt.model import Checkpoint, Collection, Finding, Progress, Severity, VerifyLevel, VerifyResult
from maos_ckpt.repository.descriptors import decode_descriptors
from maos_ckpt.repository.manifests import ManifestCollection, manifest_name, state_digest
from maos_ckpt.repository.needed import needed_chunks, needed_places
from maos_ckpt.repository.packs import pack_digest
from maos_ckpt.repository.repository import Repository
from maos_ckpt.tree.cursor import decode_node, root_entry
from maos_ckpt.tree.large import leaf_bytes
from maos_ckpt.tree.nodes import ID_BYTES, LEVEL_MAX, Entry, Leaf, chunk_id

ProgressSink = Callable[[Progress], None]
#: Findings listed; the last one says how many more there are.
FINDINGS_MAX = 1000


@dataclass(slots=True)
class _Damage:
    """One faulty chunk: what is wrong, where it lies, and what it takes with it."""

    message: str
    object: str
    records: list[str] = field(default_factory=list)
    checkpoints: list[str] = field(default_factory=list)

    def touch(self, checkpoint: str, place: str) -> None:
        if checkpoint not in self.checkpoints:
            self.checkpoints.append(checkpoint)
        if place not in self.records:
            self.records.append(place)


def verify(
    repository: Repository,
    checkpoints: Sequence[Checkpoint],
    level: VerifyLevel,
    progress: ProgressSink = lambda _: None,
) -> VerifyResult:
    """Check these checkpoints (all committed ones where none is given); nothing is repaired or removed.

    Damage is marked on the checkpoints it touches, where the repository may be written.
    """
    everything = not checkpoints
    chosen = repository.checkpoints() if everything else list(checkpoints)
    return _Verifier(repository, level, progress).run(chosen, everything=everything)


class _Verifier:
    def __init__(self, repository: Repository, level: VerifyLevel, progress: ProgressSink) -> None:
        self._repository = repository
        self._level = level
        self._progress = progress
        self._started_s = repository.seams.clock.monotonic_s()
        self._good: set[bytes] = set()
        self._damage: dict[bytes, _Damage] = {}
        self._findings: list[Finding] = []
        self._objects = 0
        self._bytes = 0

    def run(self, checkpoints: list[Checkpoint], *, everything: bool) -> VerifyResult:
        self._check_packs(None if everything else checkpoints)
        # Where others were asked for, they are no fault of theirs, but `latest` may have been meant to be one of them.
        severity = Severity.ERROR if everything else Severity.WARNING
        for name, why in self._repository.damaged_manifests().items():
            self._find(severity, "manifest", why, name)
        damaged: set[str] = set()
        for number, checkpoint in enumerate(checkpoints):
            self._progress(Progress("verify", checkpoint.id, number, len(checkpoints), self._bytes))
            if not self._check_checkpoint(checkpoint):
                damaged.add(checkpoint.id)
        removed = self._removed(checkpoints)
        for chunk, damage in self._damage.items():
            affected = tuple(one for one in (*damage.checkpoints, *damage.records) if one not in removed)
            if removed.issuperset(damage.checkpoints):
                continue
            if affected:
                self._find(Severity.ERROR, "chunk", damage.message, damage.object or chunk.hex(), affected)
        self._mark([one for one in checkpoints if one.id not in removed], damaged)
        ok = not any(one.severity is Severity.ERROR for one in self._findings)
        took_s = round(self._repository.seams.clock.monotonic_s() - self._started_s, 3)
        return VerifyResult(
            self._level, ok, len(checkpoints), self._objects, self._bytes, tuple(self._bounded()), took_s
        )

    def _bounded(self) -> list[Finding]:
        if len(self._findings) <= FINDINGS_MAX:
            return self._findings
        more = len(self._findings) - FINDINGS_MAX
        return [*self._findings[:FINDINGS_MAX], Finding(Severity.ERROR, "more", f"There are {more} more findings.")]

    def _find(
        self, severity: Severity, kind: str, message: str, name: str = "", affected: tuple[str, ...] = ()
    ) -> None:
        self._findings.append(Finding(severity, kind, message, name, affected))

    # Objects

    def _removed(self, checkpoints: list[Checkpoint]) -> set[str]:
        """Ids of those that retention took while they were being checked; that their chunks are gone is no damage."""
        there = self._repository.backend.list("manifests")
        return {one.id for one in checkpoints if manifest_name(one.seq) not in there}

    def _check_packs(self, checkpoints: list[Checkpoint] | None) -> None:
        """Look at all packs, and read those that these checkpoints need; all where None is given."""
        # A pack that is gone is known by the chunks that are missing with it, unless a prune took it: then by none.
        self._repository.synchronise()
        known, there = self._repository.index.packs(), self._repository.backend.list("packs")
        for name, error in self._repository.damaged_packs.items():
            self._find(Severity.ERROR, "pack", error.message, name)
        read = set(known) if checkpoints is None else self._needed_packs(checkpoints)
        for name in sorted(known.keys() & there.keys()):
            if there[name] != known[name]:
                message = f"The pack {name} has {there[name]} bytes, not {known[name]}."
                self._find(Severity.ERROR, "pack", message, name)
            self._objects += 1
            if self._level is not VerifyLevel.QUICK and name in read:
                self._check_pack(name)

    def _needed_packs(self, checkpoints: list[Checkpoint]) -> set[str]:
        if self._level is VerifyLevel.QUICK:
            return set()

        def pass_over(_: IntegrityError) -> None:
            """What cannot be read is found again, and named, when the checkpoint itself is checked."""

        needed: set[bytes] = set()
        for checkpoint in checkpoints:
            needed_chunks(self._repository, checkpoint, needed, pass_over)
        return set(needed_places(self._repository, needed, pass_over).values())

    def _check_pack(self, name: str) -> None:
        self._progress(Progress("verify", "packs", self._objects, 0, self._bytes, name))
        try:
            digest, size = self._repository.reader.digest(name)
        except IntegrityError as error:
            # A prune beside this may have removed it since the listing; then the index does not know it any more.
            self._repository.synchronise()
            if name in self._repository.backend.list("packs"):
                self._find(Severity.ERROR, "pack", error.message, name)
            return
        self._bytes += size
        if digest == pack_digest(name):
            return
        self._find(Severity.ERROR, "pack", f"The pack {name} does not match its checksum.", name)
        for stored in self._repository.index.pack_chunks(name):
            try:
                if chunk_id(self._repository.chunks.decode(name, stored)) != stored.id:
                    raise IntegrityError("A chunk is not what its name says.")
            except IntegrityError as error:
                self._damage[stored.id] = _Damage(error.message, name)

    # Checkpoints

    def _check_checkpoint(self, checkpoint: Checkpoint) -> bool:
        name = manifest_name(checkpoint.seq)
        self._objects += 1
        listed = [
            ManifestCollection(one.component, one.name, one.root or b"", one.records, one.bytes)
            for one in checkpoint.collections
        ]
        ok = True
        if state_digest(listed) != checkpoint.digest:
            ok = False
            self._find(
                Severity.ERROR, "digest", "The state digest does not match the manifest.", name, (checkpoint.id,)
            )
        try:
            described = decode_descriptors(self._repository.chunks.get(checkpoint.descriptors))
            if len(described) != len(checkpoint.collections):
                raise IntegrityError("A checkpoint describes other collections than it holds.")
        except IntegrityError as error:
            ok = False
            damage = self._damage.setdefault(checkpoint.descriptors, _Damage(error.message, ""))
            damage.touch(checkpoint.id, "all collections")
        for collection in checkpoint.collections:
            ok = self._check_collection(checkpoint, collection) and ok
        return ok

    def _check_collection(self, checkpoint: Checkpoint, collection: Collection) -> bool:
        if collection.root is None:
            return collection.records == 0
        try:
            entry = root_entry(self._repository.chunks, collection.root)
        except IntegrityError as error:
            damage = self._damage.setdefault(collection.root, _Damage(error.message, str(error.data.get("object", ""))))
            damage.touch(checkpoint.id, f"{collection.path}: all {collection.records} records")
            return False
        if (entry.count, entry.bytes) != (collection.records, collection.bytes):
            message = f"{collection.path} holds {entry.count} records, the manifest says {collection.records}."
            self._find(Severity.ERROR, "counts", message, manifest_name(checkpoint.seq), (checkpoint.id,))
            return False
        return self._walk(checkpoint, collection, entry, None)

    def _walk(self, checkpoint: Checkpoint, collection: Collection, entry: Entry, upper: bytes | None) -> bool:
        """Check a node and all below it; `upper` is the first key after it."""
        if entry.id in self._good:
            return True
        ok = False
        try:
            if entry.level > LEVEL_MAX:
                raise IntegrityError("A tree is deeper than trees are.")
            if entry.id in self._damage:
                raise IntegrityError(self._damage[entry.id].message)
            ok = self._check_node(checkpoint, collection, entry, upper)
        except IntegrityError as error:
            place = f"{collection.path}: {entry.count} records from {display_key(entry.key)}"
            damage = self._damage.setdefault(entry.id, _Damage(error.message, str(error.data.get("object", ""))))
            damage.touch(checkpoint.id, place)
            return False
        if ok:
            self._good.add(entry.id)
        return ok

    def _check_node(self, checkpoint: Checkpoint, collection: Collection, entry: Entry, upper: bytes | None) -> bool:
        if entry.level == 0 and self._level is not VerifyLevel.FULL:
            self._look_up(entry.id)
            return True
        if self._level is VerifyLevel.FULL:
            self._bytes += len(self._repository.chunks.read(entry.id))
            self._objects += 1
        node = decode_node(self._repository.chunks, entry)
        if isinstance(node, Leaf):
            self._check_leaf(node, entry, upper)
            return True
        if (sum(one.count for one in node), sum(one.bytes for one in node)) != (entry.count, entry.bytes):
            raise IntegrityError("An index node's counts are not the sum of its children's.")
        bounds = [*(one.key for one in node[1:]), upper]
        # All children are looked at, so that one fault does not hide the next.
        results = [self._walk(checkpoint, collection, one, bound) for one, bound in zip(node, bounds, strict=True)]
        return all(results)

    def _check_leaf(self, leaf: Leaf, entry: Entry, upper: bytes | None) -> None:
        ascending = all(a < b for a, b in zip(leaf.keys, leaf.keys[1:], strict=False))
        if not ascending or (upper is not None and leaf.keys[-1] >= upper):
            raise IntegrityError("A leaf's keys are out of order.")
        if leaf_bytes(leaf) != entry.bytes:
            raise IntegrityError("A leaf has another size than its parent says.")
        for at in range(0, len(leaf.pieces), ID_BYTES):
            self._bytes += len(self._repository.chunks.read(leaf.pieces[at : at + ID_BYTES]))

    def _look_up(self, chunk: bytes) -> None:
        found = self._repository.index.find(chunk)
        if found is None:
            raise IntegrityError(f"The chunk {chunk.hex()[:16]} is missing from the repository.")
        if found[1].codec == Codec.ZSTD_DELTA and self._repository.index.find_base(found[1].base) is None:
            raise IntegrityError(f"The base of the chunk {chunk.hex()[:16]} is missing.", object=found[0])

    def _mark(self, checkpoints: list[Checkpoint], damaged: set[str]) -> None:
        if self._repository.read_only:
            return
        for checkpoint in checkpoints:
            was = checkpoint.state == "damaged"
            # Only a look at everything can clear a mark that an earlier look has set.
            clears = self._level is VerifyLevel.FULL and was and checkpoint.id not in damaged
            if clears or (checkpoint.id in damaged and not was):
                self._repository.set_marks(checkpoint, damaged=checkpoint.id in damaged)
