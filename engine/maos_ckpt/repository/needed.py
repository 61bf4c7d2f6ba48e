"""Which stored chunks a checkpoint needs: its trees walked down to the pieces of large values."""

from __future__ import annotations

from collections.abc import Callable

from maos_ckpt.codec.compression import Codec
from maos_ckpt.errors import IntegrityError
from maos_ckpt.model import Checkpoint
from maos_ckpt.repository.manifests import manifest_name
from maos_ckpt.repository.repository import Repository
from maos_ckpt.tree.cursor import decode_node, root_entry
from maos_ckpt.tree.nodes import ID_BYTES, Entry, decode_leaf

#: What to do about a chunk that cannot be read: raise, or return to walk on beside it.
OnDamage = Callable[[IntegrityError], None]


def refuse(error: IntegrityError) -> None:
    """An `OnDamage` for those to whom an answer that is too small would be wrong."""
    raise error


def needed_chunks(repository: Repository, checkpoint: Checkpoint, needed: set[bytes], damage: OnDamage) -> None:
    """Add the ids of all chunks that a checkpoint needs, but for bases of deltas; what is in `needed` is not entered.

    Raises:
        IntegrityError: where `damage` does.
    """
    needed.add(checkpoint.descriptors)
    for collection in checkpoint.trees:
        if collection.root is not None:
            try:
                root = root_entry(repository.chunks, collection.root)
            except IntegrityError as error:
                needed.add(collection.root)
                damage(error)
            else:
                _walk(repository, root, needed, damage)


def _walk(repository: Repository, root: Entry, needed: set[bytes], damage: OnDamage) -> None:
    stack = [root]
    while stack:
        entry = stack.pop()
        if entry.id in needed:
            continue
        needed.add(entry.id)
        try:
            if entry.level:
                node = decode_node(repository.chunks, entry)
                assert isinstance(node, list)
                stack.extend(node)
            elif entry.pieces:
                pieces = decode_leaf(repository.chunks.get(entry.id)).pieces
                needed.update(pieces[at : at + ID_BYTES] for at in range(0, len(pieces), ID_BYTES))
        except IntegrityError as error:
            damage(error)


def needed_places(repository: Repository, needed: set[bytes], damage: OnDamage) -> dict[bytes, str]:
    """Where these chunks and the bases of deltas among them lie: id → pack.

    Raises:
        IntegrityError: where `damage` does.
    """
    places: dict[bytes, str] = {}
    for chunk in needed:
        found = repository.index.find(chunk)
        if found is None:
            damage(IntegrityError(f"the chunk {chunk.hex()[:16]} is missing"))
            continue
        places[chunk] = found[0]
        if found[1].codec == Codec.ZSTD_DELTA:
            base = repository.index.find_base(found[1].base)
            if base is None:
                damage(IntegrityError(f"the base of the chunk {chunk.hex()[:16]} is missing"))
            else:
                places[base[1].id] = base[0]
    return places


def pending(repository: Repository) -> list[Checkpoint]:
    """Checkpoints that the remote copy does not have yet, oldest first; asks nobody."""
    there = repository.remote_copy.memory.below("manifests")
    return [one for one in reversed(repository.checkpoints()) if manifest_name(one.seq) not in there]
