"""Reading trees: nodes verified on the way, leaves in order, one record by its key."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import Protocol

from maos_ckpt.errors import UNREADABLE, IntegrityError
from maos_ckpt.tree.large import leaf_bytes
from maos_ckpt.tree.nodes import ID_BYTES, LEAF, Entry, Leaf, decode_index, decode_leaf, node_kind


class ChunkSource(Protocol):
    """Where stored chunks come from."""

    def get(self, chunk: bytes) -> bytes:
        """A chunk's plain bytes, checked against its name."""
        ...


def root_entry(source: ChunkSource, root: bytes) -> Entry:
    """The entry of a tree's root node, computed from the node itself."""
    plain = source.get(root)
    if node_kind(plain) == LEAF:
        leaf = decode_leaf(plain)
        return Entry(0, leaf.keys[0], root, len(leaf.keys), leaf_bytes(leaf), len(leaf.pieces) // ID_BYTES)
    entries = decode_index(plain)
    return Entry(
        entries[0].level + 1,
        entries[0].key,
        root,
        sum(one.count for one in entries),
        sum(one.bytes for one in entries),
        sum(one.pieces for one in entries),
    )


def decode_node(source: ChunkSource, entry: Entry) -> Leaf | list[Entry]:
    """The node behind an entry: a leaf's records or an index node's entries.

    Raises:
        IntegrityError: the node is missing, damaged, or not what its parent says of it.
    """
    plain = source.get(entry.id)
    if entry.level == 0:
        leaf = decode_leaf(plain)
        if leaf.keys[0] != entry.key or len(leaf.keys) != entry.count:
            raise IntegrityError("A stored leaf is not the one its parent names.", chunk=entry.id.hex())
        return leaf
    entries = decode_index(plain)
    if entries[0].level != entry.level - 1 or entries[0].key != entry.key:
        raise IntegrityError("A stored index node is not the one its parent names.", chunk=entry.id.hex())
    return entries


def leaf_entries(source: ChunkSource, root: bytes) -> Iterator[Entry]:
    """All leaves in key order, without reading them."""
    stack = [root_entry(source, root)]
    while stack:
        entry = stack.pop()
        if entry.level == 0:
            yield entry
        else:
            node = decode_node(source, entry)
            assert isinstance(node, list)
            stack.extend(reversed(node))


def records(
    source: ChunkSource, root: bytes | None, low: bytes = b"", high: bytes | None = None
) -> Iterator[tuple[bytes, bytes]]:
    """(key, value) of all records with `low <= key < high`, in key order; `high` None has no end."""
    if root is None:
        return
    stack = [root_entry(source, root)]
    while stack:
        node = decode_node(source, stack.pop())
        if isinstance(node, Leaf):
            for key, value in zip(node.keys, node.values, strict=True):
                if key >= low and (high is None or key < high):
                    yield key, value
            continue
        first = max(bisect_right([one.key for one in node], low) - 1, 0)
        stack.extend(one for one in reversed(node[first:]) if high is None or one.key < high)


def find(source: ChunkSource, root: bytes | None, key: bytes) -> bytes | None:
    """One record's value by its key, or None."""
    for found, value in records(source, root, key, key + b"\0"):
        if found == key:
            return value
    return None


class Predecessors:
    """For rising keys: the id of the node that holds a key at some level of an older tree.

    Reads index nodes only, each once, and keeps one path of them in memory.
    """

    def __init__(self, source: ChunkSource, root: bytes | None) -> None:
        self._source = source
        self._paths: dict[int, tuple[list[Entry], list[bytes]]] = {}
        self._root = None if root is None else root_entry(source, root)

    def find(self, level: int, key: bytes) -> bytes | None:
        """The node's id, or None where the older tree has no such level."""
        if self._root is None or level > self._root.level:
            return None
        if level == self._root.level:
            return self._root.id
        try:
            return self._descend(level, key)
        except UNREADABLE:
            # A damaged older tree costs the delta, not the save.
            return None

    def _descend(self, level: int, key: bytes) -> bytes:
        assert self._root is not None
        entry = self._root
        while entry.level > level:
            entries, keys = self._node(entry)
            entry = entries[max(bisect_right(keys, key) - 1, 0)]
        return entry.id

    def _node(self, entry: Entry) -> tuple[list[Entry], list[bytes]]:
        cached = self._paths.get(entry.level)
        if cached is None or cached[0][0].key != entry.key:
            node = decode_node(self._source, entry)
            assert isinstance(node, list)
            cached = self._paths[entry.level] = (node, [one.key for one in node])
        return cached
