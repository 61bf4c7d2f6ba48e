"""Editing single leaves: most changed leaves end where they ended, and then nothing around them has to be looked at.

Such leaves are edited each by itself, so a process beside this one can take a share of them (`Beside`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Sequence
from itertools import accumulate
from operator import add
from typing import Final, NamedTuple, Protocol

from maos_ckpt.tree.cursor import ChunkSource, decode_node
from maos_ckpt.tree.cutter import ReferringRow
from maos_ckpt.tree.large import refer
from maos_ckpt.tree.nodes import LEAF_SHAPE, RECORD_OVERHEAD_BYTES, Entry, Leaf, encode_leaf, ends_node
from maos_ckpt.tree.sink import ChunkSink

#: Called with a key, and the encoded record before and after; None where there is none.
Note = Callable[[bytes, bytes | None, bytes | None], None]
Noted = tuple[bytes, bytes | None, bytes | None]
#: Edited leaves that wait for one before them.
WAITING_MAX: Final = 32


class Replacement(NamedTuple):
    """Records with `low <= key < high` are replaced by `keys` → `values` (in key order, inside the range)."""

    low: bytes
    high: bytes
    keys: list[bytes]
    values: list[bytes]


class EditedLeaf(NamedTuple):
    """A leaf that still ends where it ended: its plain bytes and what its parent says of it, and which records differ.

    `logical_bytes` is the size of its keys and values.
    """

    plain: bytes
    key: bytes
    last_key: bytes
    records: int
    logical_bytes: int
    noted: list[Noted]


class StoredLeaf(NamedTuple):
    """An edited leaf that is stored: what its parent says of it, its last key, and which records differ."""

    entry: Entry
    last_key: bytes
    noted: list[Noted]


class Beside(Protocol):
    """Somebody who edits and stores leaves meanwhile. Answers come in the order of the questions."""

    def begin(self, entry: Entry, changes: Sequence[Replacement]) -> bool:
        """Take a leaf with all that is to be changed in it; False where there is enough to do already."""
        ...

    def take(self, *, wait: bool) -> tuple[StoredLeaf | None] | None:
        """The answer for the leaf that was taken first: None in it where it has to be edited elsewhere.

        Args:
            wait: for it; else None where there is none yet.
        """
        ...


def edit_leaf(source: ChunkSource, entry: Entry, changes: Sequence[Replacement]) -> EditedLeaf | None:
    """A leaf that others follow, with changes; None where it may end elsewhere than before.

    Raises:
        IntegrityError: the leaf is damaged.
    """
    old = decode_node(source, entry)
    assert isinstance(old, Leaf)
    if old.pieces:
        return None
    keys, values = replaced(old, changes)
    size = _size_if_ends_as_before(old, keys, values, changes)
    if size is None:
        return None
    plain = encode_leaf(keys, values, b"")
    return EditedLeaf(plain, keys[0], keys[-1], len(keys), size, list(differing(old, changes)))


def replaced(old: Leaf | None, changes: Sequence[Replacement]) -> tuple[list[bytes], list[bytes]]:
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


def differing(old: Leaf | None, changes: Sequence[Replacement]) -> list[Noted]:
    """One leaf's records that differ when the changes are applied, in key order."""
    keys, values = ([], []) if old is None else (old.keys, refer(old))
    found: list[Noted] = []
    for change in changes:
        first, last = bisect_left(keys, change.low), bisect_left(keys, change.high)
        before = dict(zip(keys[first:last], values[first:last], strict=True))
        after = dict(zip(change.keys, change.values, strict=True))
        for key in sorted(before.keys() | after.keys()):
            if before.get(key) != after.get(key):
                found.append((key, before.get(key), after.get(key)))
    return found


def _size_if_ends_as_before(
    old: Leaf, keys: list[bytes], values: list[bytes], changes: Sequence[Replacement]
) -> int | None:
    """The bytes of a changed leaf's records, where it surely ends with the record it ended with, and not before.

    What `cut_leaves` would find. It looks at every record; here only at those of which the old leaf does not tell
    already that they end none. None where that is not so simple.
    """
    if not keys or (keys[-1], values[-1]) != (old.keys[-1], old.values[-1]):
        return None
    reached = _sizes(keys, values)
    size = reached[-1] + RECORD_OVERHEAD_BYTES * len(keys)
    if not LEAF_SHAPE.bytes_min <= size < LEAF_SHAPE.bytes_max or not _may_end(keys[-1], values[-1]):
        return None
    for change in changes:
        if ReferringRow in set(map(type, change.values)) or any(map(_may_end, change.keys, change.values)):
            return None
    # From this record on the old leaf was large enough to end, and did not; before it nothing is known of its records.
    known_at = _large_enough_at(_sizes(old.keys, old.values))
    if known_at == len(old.keys):
        return None
    begin, end = _large_enough_at(reached), bisect_left(keys, old.keys[known_at])
    unknown = range(begin, end)
    return None if any(_may_end(keys[index], values[index]) for index in unknown) else reached[-1]


def _sizes(keys: list[bytes], values: list[bytes]) -> list[int]:
    """The bytes of all records up to each."""
    return list(accumulate(map(add, map(len, keys), map(len, values))))


def _large_enough_at(reached: list[int]) -> int:
    """The first record with which a leaf may end."""
    return bisect_left(
        range(len(reached)),
        LEAF_SHAPE.bytes_min,
        key=lambda index: reached[index] + RECORD_OVERHEAD_BYTES * (index + 1),
    )


def _may_end(key: bytes, value: bytes) -> bool:
    """Whether a record ends a leaf that is large enough and not too large."""
    item = len(key) + len(value) + RECORD_OVERHEAD_BYTES
    return ends_node(LEAF_SHAPE, 0, key, item, LEAF_SHAPE.bytes_min)


class LeafEdits:
    """The changed leaves of one tree, edited in any order and given in theirs.

    Args:
        entries, changes: all leaves, and by position what is to be changed in some of them.
        beside: edits some of them meanwhile.
    """

    def __init__(
        self,
        entries: Sequence[Entry],
        changes: dict[int, list[Replacement]],
        source: ChunkSource,
        sink: ChunkSink,
        label: str,
        beside: Beside | None,
    ) -> None:
        self._entries = entries
        self._changes = changes
        self._source = source
        self._sink = sink
        self._label = label
        self._beside = beside
        # The last leaf ends where the records do, and what refers to pieces is counted with them.
        last = len(entries) - 1
        self._left = deque(at for at, these in changes.items() if at < last and not any(map(_refers, these)))
        self._away: deque[int] = deque()
        self._done: dict[int, StoredLeaf | None] = {}
        self._position = 0

    def take(self, position: int) -> StoredLeaf | None:
        """A changed leaf, stored; None where it has to be cut anew. Positions come in order; some may be left out."""
        self._position = position
        self._forget()
        while (self._left and self._left[0] == position) or position in self._away:
            self._hand_out()
            if self._collect(wait=False):
                continue
            if self._left and (self._left[0] == position or len(self._done) < WAITING_MAX):
                at = self._left.popleft()
                self._done[at] = self._edit(at)
            else:
                self._collect(wait=True)
        return self._done.pop(position, None)

    def _forget(self) -> None:
        """Drop what was cut anew together with a leaf before it."""
        while self._left and self._left[0] < self._position:
            self._left.popleft()
        for at in [at for at in self._done if at < self._position]:
            del self._done[at]

    def _hand_out(self) -> None:
        while self._beside is not None and self._left and len(self._done) + len(self._away) < WAITING_MAX:
            at = self._left[0]
            if not self._beside.begin(self._entries[at], self._changes[at]):
                break
            self._away.append(self._left.popleft())

    def _collect(self, *, wait: bool) -> bool:
        answer = self._beside.take(wait=wait) if self._beside is not None and self._away else None
        if answer is None:
            return False
        at = self._away.popleft()
        if at >= self._position:
            # What could not be edited there is looked at here: perhaps it was not even tried.
            self._done[at] = answer[0] or self._edit(at)
        return True

    def _edit(self, at: int) -> StoredLeaf | None:
        entry = self._entries[at]
        edited = edit_leaf(self._source, entry, self._changes[at])
        if edited is None:
            return None
        name = self._sink.put(edited.plain, self._label, entry.id).result()
        return StoredLeaf(
            Entry(0, edited.key, name, edited.records, edited.logical_bytes, 0), edited.last_key, edited.noted
        )


def _refers(change: Replacement) -> bool:
    return ReferringRow in set(map(type, change.values))
