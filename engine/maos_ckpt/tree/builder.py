"""Building a tree from leaves in key order, and editing one."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from maos_ckpt.errors import IntegrityError
from maos_ckpt.tree.cursor import ChunkSource, Predecessors, decode_node, leaf_entries, root_entry
from maos_ckpt.tree.cutter import OpenLeaf, cut_leaves
from maos_ckpt.tree.large import refer
from maos_ckpt.tree.nodes import (
    ENTRY_OVERHEAD_BYTES,
    ID_BYTES,
    INDEX_SHAPE,
    LEVEL_MAX,
    Entry,
    Leaf,
    encode_index,
    encode_leaf,
    ends_node,
)
from maos_ckpt.tree.sink import ChunkSink, Done, Pending

Records = Iterator[tuple[list[bytes], list[bytes]]]


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
        if ends_node(INDEX_SHAPE, level, child.key, item, self._bytes):
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
        label: the collection, passed on to the sink.
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
            self._sink.put(encode_index(level, entries), self._label, before),
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


@dataclass(frozen=True, slots=True)
class Replacement:
    """Records with `low <= key < high` are replaced by `keys` → `values` (in key order, inside the range)."""

    low: bytes
    high: bytes
    keys: list[bytes]
    values: list[bytes]


def edit(
    root: bytes | None,
    replacements: Iterable[Replacement],
    source: ChunkSource,
    sink: ChunkSink,
    label: str,
) -> Root:
    """The tree that results from replacing ranges, given in key order and not overlapping.

    Leaves outside all ranges are taken over unread, as soon as boundaries meet again.
    """
    changes = list(replacements)
    if not changes:
        return Root(None if root is None else root_entry(source, root))
    entries = [] if root is None else list(leaf_entries(source, root))
    previous = Predecessors(source, root)
    builder = TreeBuilder(sink, label, previous)
    for item in _recut(entries, changes, source):
        if isinstance(item, OpenLeaf):
            builder.add(item)
        else:
            builder.add_stored(*item)
    return builder.finish()


def _recut(
    entries: list[Entry], replacements: list[Replacement], source: ChunkSource
) -> Iterator[OpenLeaf | tuple[Entry, bytes]]:
    """Old leaves that stay as they are, as (entry, last key bound), and new leaves in between, in key order."""
    at = 0
    position = 0
    while position < len(entries) or at < len(replacements):
        if position < len(entries) and not _touched(entries, position, replacements, at):
            # The last leaf may have ended without a boundary, but nothing follows it then.
            yield entries[position], entries[position].key
            position += 1
            continue
        records = _Merged(entries, position, replacements, at, source)
        yield from records.leaves()
        position, at = records.position, records.at


def _touched(entries: list[Entry], position: int, replacements: list[Replacement], at: int) -> bool:
    if at == len(replacements):
        return False
    if position + 1 == len(entries):
        return True
    return replacements[at].low < entries[position + 1].key


class _Merged:
    """Old records and replacements merged and cut, until a new boundary falls on an old one."""

    def __init__(
        self, entries: list[Entry], position: int, replacements: list[Replacement], at: int, source: ChunkSource
    ) -> None:
        self.position = position
        self.at = at
        self._entries = entries
        self._replacements = replacements
        self._source = source

    def leaves(self) -> Iterator[OpenLeaf]:
        """New leaves; stops where the old leaves can be taken over again."""
        for leaf in cut_leaves(self._batches()):
            yield leaf
            # `_batches` is a generator: what it has handed out so far is known here. When a leaf ends exactly with
            # the last record handed out, and no replacement reaches into the next old leaf, the old boundaries fit.
            if leaf.keys[-1] == self._last_key and not self._more():
                return

    def _more(self) -> bool:
        if self.position >= len(self._entries):
            return self.at < len(self._replacements)
        return _touched(self._entries, self.position, self._replacements, self.at)

    def _batches(self) -> Records:
        self._last_key = b""
        while self.position < len(self._entries) or self.at < len(self._replacements):
            keys, values = self._next_batch()
            if keys:
                self._last_key = keys[-1]
                yield keys, values

    def _next_batch(self) -> tuple[list[bytes], list[bytes]]:
        old: Leaf | None = None
        limit: bytes | None = None
        if self.position < len(self._entries):
            node = decode_node(self._source, self._entries[self.position])
            assert isinstance(node, Leaf)
            old = node
            self.position += 1
            if self.position < len(self._entries):
                limit = self._entries[self.position].key
        keys = list(old.keys) if old else []
        values = list(refer(old)) if old else []
        return _replace(keys, values, self._changes_below(limit))

    def _changes_below(self, limit: bytes | None) -> list[Replacement]:
        """The replacements before `limit`; what reaches beyond it is left for the next leaf."""
        begin = self.at
        while self.at < len(self._replacements):
            change = self._replacements[self.at]
            if limit is not None and change.low >= limit:
                break
            if limit is not None and change.high > limit:
                split = bisect_left(change.keys, limit)
                self._replacements[self.at] = Replacement(
                    limit, change.high, change.keys[split:], change.values[split:]
                )
                part = Replacement(change.low, limit, change.keys[:split], change.values[:split])
                return [*self._replacements[begin : self.at], part]
            self.at += 1
        return self._replacements[begin : self.at]


def _replace(keys: list[bytes], values: list[bytes], changes: list[Replacement]) -> tuple[list[bytes], list[bytes]]:
    """One leaf's records with the changes applied, in one pass however many they are."""
    new_keys: list[bytes] = []
    new_values: list[bytes] = []
    position = 0
    for change in changes:
        first = bisect_left(keys, change.low, position)
        new_keys += keys[position:first]
        new_keys += change.keys
        new_values += values[position:first]
        new_values += change.values
        position = bisect_left(keys, change.high, first)
    new_keys += keys[position:]
    new_values += values[position:]
    return new_keys, new_values
