"""Editing a tree: the records of key ranges are replaced, and what lies outside of them is taken over unread.

A leaf's end is decided by its own records, so where an edited leaf still ends with the record it ended with, the old
tree goes on behind it as it was. Mostly it does, and that can be told without looking at every record again.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

from maos_ckpt.tree.builder import Records, Root, TreeBuilder
from maos_ckpt.tree.cursor import ChunkSource, Predecessors, decode_node, leaf_entries, root_entry
from maos_ckpt.tree.cutter import OpenLeaf, cut_leaves
from maos_ckpt.tree.leaf_edits import Beside, LeafEdits, Note, Replacement, differing, replaced
from maos_ckpt.tree.nodes import Entry, Leaf
from maos_ckpt.tree.sink import ChunkSink

__all__ = ["Beside", "Note", "Replacement", "edit"]


def edit(
    root: bytes | None,
    replacements: Iterable[Replacement],
    source: ChunkSource,
    sink: ChunkSink,
    label: str,
    note: Note | None = None,
    beside: Beside | None = None,
) -> Root:
    """The tree that results from replacing ranges, given in key order and not overlapping.

    Leaves outside all ranges are taken over unread, as soon as boundaries meet again. `note` is told of every record
    that differs afterwards, in key order. `beside` edits some of the leaves meanwhile.
    """
    changes = list(replacements)
    if not changes:
        return Root(None if root is None else root_entry(source, root))
    entries = [] if root is None else list(leaf_entries(source, root))
    by_leaf = _by_leaf(entries, changes)
    leaves = LeafEdits(entries, by_leaf, source, sink, label, beside)
    builder = TreeBuilder(sink, label, Predecessors(source, root))
    for item in _recut(entries, by_leaf, leaves, source, note):
        if isinstance(item, OpenLeaf):
            builder.add(item)
        else:
            builder.add_stored(*item)
    return builder.finish()


def _by_leaf(entries: list[Entry], replacements: list[Replacement]) -> dict[int, list[Replacement]]:
    """By position, what is to be changed in each leaf; what reaches into several is divided. Where there are no leaves,
    all of it at 0."""
    found: dict[int, list[Replacement]] = {}
    starts = [one.key for one in entries[1:]]
    position = 0
    for whole in replacements:
        one = whole
        position = bisect_right(starts, one.low, position)
        # A leaf holds the keys up to where the next one begins.
        while position < len(starts) and one.high > starts[position]:
            limit = starts[position]
            split = bisect_left(one.keys, limit)
            part = Replacement(one.low, limit, one.keys[:split], one.values[:split])
            found.setdefault(position, []).append(part)
            one = Replacement(limit, one.high, one.keys[split:], one.values[split:])
            position += 1
        found.setdefault(position, []).append(one)
    return found


def _recut(
    entries: list[Entry],
    changes: dict[int, list[Replacement]],
    leaves: LeafEdits,
    source: ChunkSource,
    note: Note | None,
) -> Iterator[OpenLeaf | tuple[Entry, bytes]]:
    """Leaves that are stored, old and edited ones, as (entry, last key bound), and new ones between; in key order."""
    position = 0
    while position < max(len(entries), 1):
        if position not in changes:
            # The last leaf may have ended without a boundary, but nothing follows it then.
            yield entries[position], entries[position].key
            position += 1
            continue
        edited = leaves.take(position)
        if edited is not None:
            if note is not None:
                for one in edited.noted:
                    note(*one)
            yield edited.entry, edited.last_key
            position += 1
            continue
        records = _Merged(entries, position, changes, source, note)
        yield from records.leaves()
        position = records.position


class _Merged:
    """Old records and replacements merged and cut, until a new boundary falls on an old one."""

    def __init__(
        self,
        entries: list[Entry],
        position: int,
        changes: dict[int, list[Replacement]],
        source: ChunkSource,
        note: Note | None,
    ) -> None:
        self.position = position
        self._entries = entries
        self._changes = changes
        self._source = source
        self._note = note
        self._last_key = b""

    def leaves(self) -> Iterator[OpenLeaf]:
        """New leaves; stops where the old leaves can be taken over again. It begins on a boundary."""
        for leaf in cut_leaves(self._batches()):
            yield leaf
            # `_batches` is a generator: what it has handed out so far is known here. When a leaf ends exactly with
            # the last record handed out, the old boundaries fit again, and the next leaf is looked at by itself.
            if leaf.keys[-1] == self._last_key:
                return

    def _batches(self) -> Records:
        while self.position < max(len(self._entries), 1):
            keys, values = self._next()
            if keys:
                self._last_key = keys[-1]
                yield keys, values

    def _next(self) -> tuple[list[bytes], list[bytes]]:
        """The records of the next old leaf, with what is changed in it."""
        old: Leaf | None = None
        if self._entries:
            node = decode_node(self._source, self._entries[self.position])
            assert isinstance(node, Leaf)
            old = node
        changes = self._changes.get(self.position, [])
        self.position += 1
        if self._note is not None:
            for one in differing(old, changes):
                self._note(*one)
        return replaced(old, changes)
