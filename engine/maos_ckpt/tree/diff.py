"""What differs between two sorted sets of records, visiting only what differs.

Both sides are streams of items in key order: index entries, leaves, or single records. Where two nodes have the same
id, whole subtrees are skipped; a node is opened only when it faces something else. A live state, which is no tree yet,
streams the leaves it would have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from maos_ckpt.tree.cursor import ChunkSource, decode_node, root_entry
from maos_ckpt.tree.cutter import OpenLeaf
from maos_ckpt.tree.nodes import Entry, Leaf, encode_leaf

Record = tuple[bytes, bytes]
#: Key, value before, value after; None where the record is not there.
RecordDifference = tuple[bytes, bytes | None, bytes | None]
#: A leaf's keys and values, in key order.
Records = tuple[list[bytes], list[bytes]]


class Stream(Protocol):
    """Items in key order, the front one of which can be opened."""

    def front(self) -> Entry | Record | None:
        """The next item, or None at the end."""
        ...

    def drop(self) -> None:
        """Pass over the front item."""
        ...

    def open(self) -> None:
        """Put the children or records of the front entry in its place."""
        ...

    def take_leaf(self) -> Records:
        """The records of the front entry, which is a leaf's; it is passed over."""
        ...

    def put_back(self, leaf: Records) -> None:
        """Put the records of a leaf that was taken in front."""
        ...


class StoredStream:
    """The items of a stored tree."""

    def __init__(self, source: ChunkSource, root: bytes | None) -> None:
        self._source = source
        self._stack: list[Entry | Record] = [] if root is None else [root_entry(source, root)]

    def front(self) -> Entry | Record | None:
        """See `Stream.front`."""
        return self._stack[-1] if self._stack else None

    def drop(self) -> None:
        """See `Stream.drop`."""
        self._stack.pop()

    def open(self) -> None:
        """See `Stream.open`."""
        entry = self._stack.pop()
        assert isinstance(entry, Entry)
        node = decode_node(self._source, entry)
        if isinstance(node, Leaf):
            self.put_back((node.keys, node.values))
        else:
            self._stack.extend(reversed(node))

    def take_leaf(self) -> Records:
        """See `Stream.take_leaf`."""
        entry = self._stack.pop()
        assert isinstance(entry, Entry)
        node = decode_node(self._source, entry)
        assert isinstance(node, Leaf)
        return node.keys, node.values

    def put_back(self, leaf: Records) -> None:
        """See `Stream.put_back`."""
        self._stack.extend(zip(reversed(leaf[0]), reversed(leaf[1]), strict=True))


class LeafStream:
    """The items of a state that is being read: the leaves it would be stored as."""

    def __init__(self, leaves: Iterator[OpenLeaf], name: Callable[[bytes], bytes]) -> None:
        self._name = name
        self._leaves = leaves
        self._entry: Entry | None = None
        self._leaf: OpenLeaf | None = None
        self._records: list[Record] = []

    def front(self) -> Entry | Record | None:
        """See `Stream.front`."""
        if self._records:
            return self._records[-1]
        if self._entry is None:
            self._leaf = next(self._leaves, None)
            if self._leaf is None:
                return None
            leaf = self._leaf
            plain = encode_leaf(leaf.keys, leaf.values, b"".join(leaf.pieces))
            self._entry = Entry(0, leaf.keys[0], self._name(plain), len(leaf.keys), leaf.bytes, 0)
        return self._entry

    def drop(self) -> None:
        """See `Stream.drop`."""
        if self._records:
            self._records.pop()
        else:
            self._entry = None

    def open(self) -> None:
        """See `Stream.open`."""
        self.put_back(self.take_leaf())

    def take_leaf(self) -> Records:
        """See `Stream.take_leaf`."""
        assert self._leaf is not None
        self._entry = None
        return self._leaf.keys, self._leaf.values

    def put_back(self, leaf: Records) -> None:
        """See `Stream.put_back`."""
        self._records = list(zip(reversed(leaf[0]), reversed(leaf[1]), strict=True))


def differences(before: Stream, after: Stream) -> Iterator[RecordDifference]:
    """All records that differ, in key order."""
    while True:
        a, b = before.front(), after.front()
        if a is None and b is None:
            return
        if isinstance(a, Entry) and isinstance(b, Entry):
            if a.id == b.id:
                before.drop()
                after.drop()
            elif a.level == b.level == 0 and a.key == b.key:
                yield from _compare_leaves(before, after)
            elif a.level >= b.level:
                before.open()
                # Of two nodes on one level both are opened: their records must face each other.
                if a.level == b.level:
                    after.open()
            else:
                after.open()
        elif isinstance(a, Entry):
            if isinstance(b, tuple) and b[0] < a.key:
                after.drop()
                yield b[0], None, b[1]
            else:
                before.open()
        elif isinstance(b, Entry):
            if a is not None and a[0] < b.key:
                before.drop()
                yield a[0], a[1], None
            else:
                after.open()
        else:
            yield from _compare(before, after, a, b)


def _compare_leaves(before: Stream, after: Stream) -> Iterator[RecordDifference]:
    """Two leaves that begin with one record: mostly they hold the same keys, and only some values differ."""
    old, new = before.take_leaf(), after.take_leaf()
    if old[0] == new[0]:
        for key, a, b in zip(old[0], old[1], new[1], strict=True):
            if a != b:
                yield key, a, b
    else:
        before.put_back(old)
        after.put_back(new)


def _compare(before: Stream, after: Stream, a: Record | None, b: Record | None) -> Iterator[RecordDifference]:
    if b is None or (a is not None and a[0] < b[0]):
        assert a is not None
        before.drop()
        yield a[0], a[1], None
    elif a is None or b[0] < a[0]:
        after.drop()
        yield b[0], None, b[1]
    else:
        before.drop()
        after.drop()
        if a[1] != b[1]:
            yield a[0], a[1], b[1]
