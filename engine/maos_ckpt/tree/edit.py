"""Editing a tree: the records of key ranges are replaced, and what lies outside of them is taken over unread.

A leaf's end is decided by its own records, so where an edited leaf still ends with the record it ended with, the old
tree goes on behind it as it was. Mostly it does, and that can be told without looking at every record again.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from maos_ckpt.tree.ahead import ReadAhead
from maos_ckpt.tree.builder import Records, Root, TreeBuilder
from maos_ckpt.tree.cursor import ChunkSource, Predecessors, decode_node, leaf_entries, root_entry
from maos_ckpt.tree.cutter import OpenLeaf, ReferringRow, cut_leaves
from maos_ckpt.tree.large import refer
from maos_ckpt.tree.nodes import LEAF_SHAPE, RECORD_OVERHEAD_BYTES, Entry, Leaf, ends_node
from maos_ckpt.tree.sink import ChunkSink

#: Called with a key, and the encoded record before and after; None where there is none.
Note = Callable[[bytes, bytes | None, bytes | None], None]


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
    note: Note | None = None,
) -> Root:
    """The tree that results from replacing ranges, given in key order and not overlapping.

    Leaves outside all ranges are taken over unread, as soon as boundaries meet again. `note` is told of every record
    that differs afterwards.
    """
    changes = list(replacements)
    if not changes:
        return Root(None if root is None else root_entry(source, root))
    entries = [] if root is None else list(leaf_entries(source, root))
    builder = TreeBuilder(sink, label, Predecessors(source, root))
    with ReadAhead(source, iter(_touched_leaves(entries, changes))) as ahead:
        for item in _recut(entries, changes, ahead, note):
            if isinstance(item, OpenLeaf):
                builder.add(item)
            else:
                builder.add_stored(*item)
    return builder.finish()


def _touched_leaves(entries: list[Entry], replacements: list[Replacement]) -> list[bytes]:
    """The ids of the leaves that replacements reach into."""
    touched = []
    at = 0
    for position, entry in enumerate(entries):
        while at < len(replacements) and replacements[at].high <= entry.key:
            at += 1
        if _touched(entries, position, replacements, at):
            touched.append(entry.id)
    return touched


def _recut(
    entries: list[Entry], replacements: list[Replacement], source: ChunkSource, note: Note | None
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
        records = _Merged(entries, position, replacements, at, source, note)
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
        self,
        entries: list[Entry],
        position: int,
        replacements: list[Replacement],
        at: int,
        source: ChunkSource,
        note: Note | None,
    ) -> None:
        self.position = position
        self.at = at
        self._entries = entries
        self._replacements = replacements
        self._source = source
        self._note = note
        self._last_key = b""

    def leaves(self) -> Iterator[OpenLeaf]:
        """New leaves; stops where the old leaves can be taken over again. It begins on a boundary."""
        old, changes = self._next()
        keys, values = self._replaced(old, changes)
        if self.position < len(self._entries) and old is not None and _ends_as_before(old, keys, values, changes):
            yield OpenLeaf(keys, values, bytes=sum(map(len, keys)) + sum(map(len, values)))
            return
        for leaf in cut_leaves(chain(self._batch(keys, values), self._batches())):
            yield leaf
            # `_batches` is a generator: what it has handed out so far is known here. When a leaf ends exactly with
            # the last record handed out, the old boundaries fit again, and the next leaf is looked at by itself.
            if leaf.keys[-1] == self._last_key:
                return

    def _batches(self) -> Records:
        while self.position < len(self._entries) or self.at < len(self._replacements):
            yield from self._batch(*self._replaced(*self._next()))

    def _replaced(self, old: Leaf | None, changes: list[Replacement]) -> tuple[list[bytes], list[bytes]]:
        if self._note is not None:
            _tell(old, changes, self._note)
        return _replace(old, changes)

    def _batch(self, keys: list[bytes], values: list[bytes]) -> Records:
        if keys:
            self._last_key = keys[-1]
            yield keys, values

    def _next(self) -> tuple[Leaf | None, list[Replacement]]:
        """The next old leaf and what to change in it; None behind the last one."""
        old: Leaf | None = None
        limit: bytes | None = None
        if self.position < len(self._entries):
            node = decode_node(self._source, self._entries[self.position])
            assert isinstance(node, Leaf)
            old = node
            self.position += 1
            if self.position < len(self._entries):
                limit = self._entries[self.position].key
        return old, self._changes_below(limit)

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


def _replace(old: Leaf | None, changes: list[Replacement]) -> tuple[list[bytes], list[bytes]]:
    """One leaf's records with the changes applied, in one pass however many they are."""
    keys, values = ([], []) if old is None else (old.keys, refer(old))
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


def _tell(old: Leaf | None, changes: list[Replacement], note: Note) -> None:
    """Tell of one leaf's records that differ when the changes are applied, in key order."""
    keys, values = ([], []) if old is None else (old.keys, refer(old))
    for change in changes:
        first, last = bisect_left(keys, change.low), bisect_left(keys, change.high)
        before = dict(zip(keys[first:last], values[first:last], strict=True))
        after = dict(zip(change.keys, change.values, strict=True))
        for key in sorted(before.keys() | after.keys()):
            if before.get(key) != after.get(key):
                note(key, before.get(key), after.get(key))


def _ends_as_before(old: Leaf, keys: list[bytes], values: list[bytes], changes: list[Replacement]) -> bool:
    """Whether a changed leaf, which has a successor, surely ends with the record it ended with, and not before.

    What `cut_leaves` would find. It looks at every record; here only at those of which the old leaf does not tell
    already that they end none. False where that is not so simple.
    """
    if old.pieces or not keys or (keys[-1], values[-1]) != (old.keys[-1], old.values[-1]):
        return False
    size = sum(map(len, keys)) + sum(map(len, values)) + RECORD_OVERHEAD_BYTES * len(keys)
    if not LEAF_SHAPE.bytes_min <= size < LEAF_SHAPE.bytes_max or not _may_end(keys[-1], values[-1]):
        return False
    for change in changes:
        if ReferringRow in set(map(type, change.values)) or any(map(_may_end, change.keys, change.values)):
            return False
    # From this record on the old leaf was large enough to end, and did not; before it nothing is known of its records.
    known_from = next((key for key, reached in _sizes(old.keys, old.values) if reached >= LEAF_SHAPE.bytes_min), None)
    if known_from is None:
        return False
    for index, (key, reached) in enumerate(_sizes(keys, values)):
        if key >= known_from:
            return True
        if reached >= LEAF_SHAPE.bytes_min and _may_end(key, values[index]):
            return False
    return True


def _may_end(key: bytes, value: bytes) -> bool:
    """Whether a record ends a leaf that is large enough and not too large."""
    item = len(key) + len(value) + RECORD_OVERHEAD_BYTES
    return ends_node(LEAF_SHAPE, 0, key, item, LEAF_SHAPE.bytes_min)


def _sizes(keys: list[bytes], values: list[bytes]) -> Iterator[tuple[bytes, int]]:
    """Each key with the size of a leaf up to its record."""
    size = 0
    for key, value in zip(keys, values, strict=True):
        size += len(key) + len(value) + RECORD_OVERHEAD_BYTES
        yield key, size
