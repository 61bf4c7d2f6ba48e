"""Building a tree from leaves in key order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from maos_ckpt.errors import IntegrityError
from maos_ckpt.tree.cursor import Predecessors
from maos_ckpt.tree.cutter import OpenLeaf, cut_leaves
from maos_ckpt.tree.nodes import (
    CHILDREN_MIN,
    ENTRY_OVERHEAD_BYTES,
    ID_BYTES,
    INDEX_SHAPE,
    LEVEL_MAX,
    Entry,
    encode_index,
    encode_leaf,
    ends_node,
)
from maos_ckpt.tree.sink import ChunkSink, Done, Pending

Records = Iterator[tuple[list[bytes], list[bytes]]]
#: Index nodes are mostly hashes, which nothing shrinks. Measured as chunks of their collection, they would have its
#: records stored uncompressed.
INDEX_LABEL = "index nodes"


@dataclass(frozen=True, slots=True)
class Root:
    """A finished tree: `entry` None where it holds nothing."""

    entry: Entry | None

    @property
    def id(self) -> bytes | None:
        """The root chunk's id."""
        return None if self.entry is None else self.entry.id

    @property
    def count(self) -> int:
        """Records."""
        return 0 if self.entry is None else self.entry.count

    @property
    def bytes(self) -> int:
        """Logical bytes: keys and values."""
        return 0 if self.entry is None else self.entry.bytes


@dataclass(frozen=True, slots=True)
class _Child:
    """A node on its way into its parent; its id may still be computed."""

    key: bytes
    count: int
    bytes: int
    pieces: int
    pending: Pending


class _Level:
    """The open index node of one level, and closed ones that wait for their children's ids.

    `closed_any` says that a node of this level was closed already.
    """

    def __init__(self) -> None:
        self.open: list[_Child] = []
        self.closed: deque[list[_Child]] = deque()
        self.closed_any = False
        self._bytes = 0

    def push(self, level: int, child: _Child) -> None:
        self.open.append(child)
        item = len(child.key) + ENTRY_OVERHEAD_BYTES
        self._bytes += item
        if len(self.open) >= CHILDREN_MIN and ends_node(INDEX_SHAPE, level, child.key, item, self._bytes):
            self.close()

    def close(self) -> None:
        self.closed_any = True
        self.closed.append(self.open)
        self.open, self._bytes = [], 0


class TreeBuilder:
    """Takes leaves in key order, stores them and the index nodes above them.

    An index node is stored when the ids of its children are known; they may be computed elsewhere meanwhile.

    Args:
        sink: where nodes are stored.
        label: the collection, passed on to the sink with its leaves.
        previous: finds, for a key and level, the node that stood there in the tree before; delta bases come from it.
    """

    def __init__(self, sink: ChunkSink, label: str, previous: Predecessors | None = None) -> None:
        self._sink = sink
        self._label = label
        self._previous = previous
        self._levels: list[_Level] = []
        self._last_key: bytes | None = None

    def add(self, leaf: OpenLeaf) -> None:
        """Append a leaf that `cut_leaves` made."""
        if self._last_key is not None and leaf.keys[0] <= self._last_key:
            raise IntegrityError("Records came out of order; nothing was stored under a name.")
        self._last_key = leaf.keys[-1]
        pieces = b"".join(leaf.pieces)
        before = self._previous.find(0, leaf.keys[0]) if self._previous else None
        pending = self._sink.put(encode_leaf(leaf.keys, leaf.values, pieces), self._label, before)
        self._push(0, _Child(leaf.keys[0], len(leaf.keys), leaf.bytes, len(pieces) // ID_BYTES, pending))
        for level in range(len(self._levels)):
            self._settle(level, wait=False)

    def add_stored(self, entry: Entry, last_key: bytes) -> None:
        """Append a leaf of another tree as it is; it must end by a boundary, and the builder must stand on one."""
        self._last_key = last_key
        self._push(0, _Child(entry.key, entry.count, entry.bytes, entry.pieces, Done(entry.id)))

    def _push(self, level: int, child: _Child) -> None:
        if level == len(self._levels):
            if level >= LEVEL_MAX:
                raise IntegrityError(f"A tree of more than {LEVEL_MAX} levels cannot be stored.")
            self._levels.append(_Level())
        self._levels[level].push(level + 1, child)

    def _settle(self, level: int, *, wait: bool) -> None:
        """Store closed index nodes above `level`, in order; without `wait` only those whose children are done."""
        closed = self._levels[level].closed
        while closed and (wait or closed[0][-1].pending.done()):
            self._push(level + 1, self._store_index(level + 1, closed.popleft()))

    def _store_index(self, level: int, children: list[_Child]) -> _Child:
        entries = [
            Entry(level - 1, one.key, one.pending.result(), one.count, one.bytes, one.pieces) for one in children
        ]
        before = self._previous.find(level, entries[0].key) if self._previous else None
        return _Child(
            entries[0].key,
            sum(one.count for one in entries),
            sum(one.bytes for one in entries),
            sum(one.pieces for one in entries),
            self._sink.put(encode_index(level, entries), INDEX_LABEL, before),
        )

    def finish(self) -> Root:
        """Close all open nodes; the root is the lowest node that holds everything."""
        level = 0
        while level < len(self._levels):
            current = self._levels[level]
            if level == len(self._levels) - 1 and len(current.open) == 1 and not current.closed_any:
                one = current.open[0]
                return Root(Entry(level, one.key, one.pending.result(), one.count, one.bytes, one.pieces))
            if current.open:
                current.close()
            self._settle(level, wait=True)
            level += 1
        return Root(None)


def build(records: Records, sink: ChunkSink, label: str, previous: Predecessors | None = None) -> Root:
    """A tree of these records, given in batches of (keys, values) in key order."""
    builder = TreeBuilder(sink, label, previous)
    for leaf in cut_leaves(records):
        builder.add(leaf)
    return builder.finish()
