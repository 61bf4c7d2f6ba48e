"""Building a tree from leaves in key order, and editing one."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from maos_ckpt.errors import IntegrityError
from maos_ckpt.tree.cursor import ChunkSource, Predecessors, decode_node, leaf_entries
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

#: Leaves whose ids are still being computed while the next ones are read.
_PENDING_MAX = 64

Records = Iterator[tuple[list[bytes], list[bytes]]]


class ChunkSink(Protocol):
    """Where new nodes go."""

    def put(self, plain: bytes, label: str, predecessor: bytes | None = None) -> Future[bytes]:
        """Store a chunk; the future gives its id."""
        ...


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


class TreeBuilder:
    """Takes leaves in key order, stores them and the index nodes above them.

    Args:
        sink: where nodes are stored.
        label: the collection, passed on to the sink.
        previous: finds, for a key and level, the node that stood there in the tree before; delta bases come from it.
    """

    def __init__(self, sink: ChunkSink, label: str, previous: Predecessors | None = None) -> None:
        self._sink = sink
        self._label = label
        self._previous = previous
        self._pending: deque[tuple[bytes, int, int, int, Future[bytes]]] = deque()
        self._levels: list[_IndexLevel] = []
        self._last_key: bytes | None = None

    def add(self, leaf: OpenLeaf) -> None:
        """Append a leaf that `cut_leaves` made."""
        if self._last_key is not None and leaf.keys[0] <= self._last_key:
            raise IntegrityError("Records came out of order; nothing was stored under a name.")
        self._last_key = leaf.keys[-1]
        pieces = b"".join(leaf.pieces)
        plain = encode_leaf(leaf.keys, leaf.values, pieces)
        before = self._previous.find(0, leaf.keys[0]) if self._previous else None
        future = self._sink.put(plain, self._label, before)
        self._pending.append((leaf.keys[0], len(leaf.keys), leaf.bytes, len(pieces) // ID_BYTES, future))
        if len(self._pending) > _PENDING_MAX:
            self._settle()

    def add_stored(self, entry: Entry, last_key: bytes) -> None:
        """Append a leaf of another tree as it is; it must end by a boundary, and the builder must stand on one."""
        while self._pending:
            self._settle()
        self._last_key = last_key
        self._push(0, entry)

    def _settle(self) -> None:
        key, count, size, pieces, future = self._pending.popleft()
        self._push(0, Entry(0, key, future.result(), count, size, pieces))

    def _push(self, level: int, entry: Entry) -> None:
        if level == len(self._levels):
            if level >= LEVEL_MAX:
                raise IntegrityError(f"A tree of more than {LEVEL_MAX} levels cannot be stored.")
            self._levels.append(_IndexLevel(level + 1))
        done = self._levels[level].push(entry)
        if done:
            self._push(level + 1, self._store_index(level + 1, done))

    def _store_index(self, level: int, entries: list[Entry]) -> Entry:
        before = self._previous.find(level, entries[0].key) if self._previous else None
        identifier = self._sink.put(encode_index(level, entries), self._label, before).result()
        return Entry(
            level,
            entries[0].key,
            identifier,
            sum(one.count for one in entries),
            sum(one.bytes for one in entries),
            sum(one.pieces for one in entries),
        )

    def finish(self) -> Root:
        """Close all open nodes; the root is the lowest node that holds everything."""
        while self._pending:
            self._settle()
        level = 0
        while level < len(self._levels):
            current = self._levels[level]
            if level == len(self._levels) - 1 and len(current.entries) == 1 and not current.closed:
                return Root(current.entries[0])
            if current.entries:
                self._push(level + 1, self._store_index(level + 1, current.take()))
            level += 1
        return Root(None)


class _IndexLevel:
    """The open index node of one level. `closed` says that a node of this level was stored already."""

    def __init__(self, level: int) -> None:
        self.level = level
        self.entries: list[Entry] = []
        self.closed = False
        self._bytes = 0

    def push(self, entry: Entry) -> list[Entry] | None:
        self.entries.append(entry)
        item = len(entry.key) + ENTRY_OVERHEAD_BYTES
        self._bytes += item
        if ends_node(INDEX_SHAPE, self.level, entry.key, item, self._bytes):
            return self.take()
        return None

    def take(self) -> list[Entry]:
        self.closed = True
        done, self.entries, self._bytes = self.entries, [], 0
        return done


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
    entries = [] if root is None else list(leaf_entries(source, root))
    previous = Predecessors(source, root)
    builder = TreeBuilder(sink, label, previous)
    for item in _recut(entries, list(replacements), source):
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
        self._drained = False

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
        while self.at < len(self._replacements):
            change = self._replacements[self.at]
            if limit is not None and change.low >= limit:
                break
            keys, values, rest = _replace(keys, values, change, limit)
            if rest is not None:
                self._replacements[self.at] = rest
                break
            self.at += 1
        return keys, values


def _replace(
    keys: list[bytes], values: list[bytes], change: Replacement, limit: bytes | None
) -> tuple[list[bytes], list[bytes], Replacement | None]:
    """Apply a replacement to one leaf's records; what reaches beyond `limit` is given back for the next leaf."""
    rest = None
    new_keys, new_values = change.keys, change.values
    if limit is not None and change.high > limit:
        split = bisect_left(new_keys, limit)
        rest = Replacement(limit, change.high, new_keys[split:], new_values[split:])
        new_keys, new_values = new_keys[:split], new_values[:split]
    first, last = bisect_left(keys, change.low), bisect_left(keys, change.high)
    return (
        keys[:first] + new_keys + keys[last:],
        values[:first] + new_values + values[last:],
        rest,
    )
