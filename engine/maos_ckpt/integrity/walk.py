"""A checkpoint's trees, walked: what cannot be read, and the records and checkpoints that it takes with it."""

from __future__ import annotations

from dataclasses import dataclass, field

from maos_ckpt.codec.compression import Codec
from maos_ckpt.codec.values import display_key
from maos_ckpt.errors import IntegrityError
from maos_ckpt.model import Checkpoint, Collection, Finding, Severity, VerifyLevel
from maos_ckpt.repository.descriptors import decode_descriptors
from maos_ckpt.repository.manifests import manifest_name
from maos_ckpt.repository.repository import Repository
from maos_ckpt.tree.cursor import decode_node, root_entry
from maos_ckpt.tree.large import leaf_bytes
from maos_ckpt.tree.nodes import ID_BYTES, LEVEL_MAX, Entry, Leaf


@dataclass(slots=True)
class Damage:
    """One faulty chunk: what is wrong, where it lies, and what it takes with it."""

    message: str
    object: str
    records: list[str] = field(default_factory=list)
    checkpoints: list[str] = field(default_factory=list)

    def touch(self, checkpoint: str, place: str) -> None:
        """A checkpoint, and these of its records, need the chunk."""
        if checkpoint not in self.checkpoints:
            self.checkpoints.append(checkpoint)
        if place not in self.records:
            self.records.append(place)


class Walk:
    """Checks checkpoints one after the other; what they share is read once.

    Attributes:
        damage: faulty chunks by id.
        far: packs that were not to be read, and the checkpoints that count on each.
        findings: what is wrong with checkpoints themselves.
        objects, bytes: chunks decoded, and their plain bytes.
    """

    def __init__(self, repository: Repository, level: VerifyLevel) -> None:
        self._repository = repository
        self._level = level
        self._good: set[bytes] = set()
        #: Nodes that were found good to the last byte of what is below them, at a lesser level.
        self._read: set[bytes] = set()
        self.damage: dict[bytes, Damage] = {}
        self.findings: list[Finding] = []
        self.far: dict[str, set[str]] = {}
        self._far_met = 0
        self.objects = 0
        self.bytes = 0

    def note(self, chunk: bytes, message: str, name: str) -> None:
        """A chunk in that object is known to be faulty."""
        self.damage[chunk] = Damage(message, name)

    def check(self, checkpoint: Checkpoint, *, in_full: bool = False) -> bool:
        """Whether everything is well with a checkpoint, as deep as the level says, or to the last byte."""
        if in_full and self._level is not VerifyLevel.FULL:
            level, good, self._level, self._good = self._level, self._good, VerifyLevel.FULL, self._read
            try:
                return self.check(checkpoint)
            finally:
                self._level, self._good = level, good
        ok = True
        try:
            described = decode_descriptors(self._repository.chunks.get(checkpoint.descriptors))
            if len(described) != len(checkpoint.collections):
                raise IntegrityError("A checkpoint describes other collections than it holds.")
        except IntegrityError as error:
            if not self._is_far(error, checkpoint):
                ok = False
                damage = self.damage.setdefault(checkpoint.descriptors, Damage(error.message, ""))
                damage.touch(checkpoint.id, "all collections")
        for collection in checkpoint.collections:
            ok = self._check_collection(checkpoint, collection) and ok
        for derived in checkpoint.trees[len(checkpoint.collections) :]:
            # Told like any other damage, but nothing of the state is lost with it.
            self._check_collection(checkpoint, derived)
        return ok

    def _check_collection(self, checkpoint: Checkpoint, collection: Collection) -> bool:
        if collection.root is None:
            return collection.records == 0
        try:
            entry = root_entry(self._repository.chunks, collection.root)
        except IntegrityError as error:
            if self._is_far(error, checkpoint):
                return True
            damage = self.damage.setdefault(collection.root, Damage(error.message, str(error.data.get("object", ""))))
            damage.touch(checkpoint.id, f"{collection.path}: all {collection.records} records")
            return False
        if (entry.count, entry.bytes) != (collection.records, collection.bytes):
            message = f"{collection.path} holds {entry.count} records, the manifest says {collection.records}."
            self._find("counts", message, checkpoint)
            return False
        return self._walk(checkpoint, collection, entry, None)

    def _walk(self, checkpoint: Checkpoint, collection: Collection, entry: Entry, upper: bytes | None) -> bool:
        """Check a node and all below it; `upper` is the first key after it."""
        if entry.id in self._good:
            return True
        ok, far = False, self._far_met
        try:
            if entry.level > LEVEL_MAX:
                raise IntegrityError("A tree is deeper than trees are.")
            if entry.id in self.damage:
                raise IntegrityError(self.damage[entry.id].message)
            ok = self._check_node(checkpoint, collection, entry, upper)
        except IntegrityError as error:
            if self._is_far(error, checkpoint):
                return True
            place = f"{collection.path}: {entry.count} records from {display_key(entry.key)}"
            damage = self.damage.setdefault(entry.id, Damage(error.message, str(error.data.get("object", ""))))
            damage.touch(checkpoint.id, place)
            return False
        if ok and self._far_met == far:
            self._good.add(entry.id)
        return ok

    def _is_far(self, error: IntegrityError, checkpoint: Checkpoint) -> bool:
        """Whether a node was not to be read where it lies, which is no damage."""
        pack = error.data.get("far")
        if pack is not None:
            self._far_met += 1
            self.far.setdefault(str(pack), set()).add(checkpoint.id)
        return pack is not None

    def _check_node(self, checkpoint: Checkpoint, collection: Collection, entry: Entry, upper: bytes | None) -> bool:
        if entry.level == 0 and self._level is not VerifyLevel.FULL:
            self._look_up(entry.id)
            return True
        if self._level is VerifyLevel.FULL:
            self.bytes += len(self._repository.chunks.read(entry.id))
            self.objects += 1
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
            self.bytes += len(self._repository.chunks.read(leaf.pieces[at : at + ID_BYTES]))

    def _look_up(self, chunk: bytes) -> None:
        found = self._repository.index.find(chunk)
        if found is None:
            raise IntegrityError(f"The chunk {chunk.hex()[:16]} is missing from the repository.")
        if found[1].codec != Codec.ZSTD_DELTA:
            return
        base = self._repository.index.find_base(found[1].base)
        if base is None:
            raise IntegrityError(f"The base of the chunk {chunk.hex()[:16]} is missing.", object=found[0])
        if base[1].id in self.damage:
            raise IntegrityError(f"The base of the chunk {chunk.hex()[:16]} is damaged.", object=found[0])

    def _find(self, kind: str, message: str, checkpoint: Checkpoint) -> None:
        self.findings.append(Finding(Severity.ERROR, kind, message, manifest_name(checkpoint.seq), (checkpoint.id,)))
