"""Comparing two states in nothing but what belongs to some agents, where the checkpoint knows what refers to them.

With that, one agent is read out of a checkpoint that lies far away without reading what stands between its records.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from maos_ckpt.codec.values import decode_key, encode_key
from maos_ckpt.recovery.lookup import Record, Shape, every, keys_of, lookup
from maos_ckpt.recovery.owners import Owners
from maos_ckpt.recovery.reference_rules import COLLECTIONS
from maos_ckpt.recovery.referrers import COVERED, NAME, referring
from maos_ckpt.recovery.touched import TRANSCRIPT_FILES, TRANSCRIPTS
from maos_ckpt.states import CollectionName, State, StoredState
from maos_ckpt.tree.cursor import records
from maos_ckpt.tree.diff import RecordDifference

#: More records of one collection than this are not looked up one by one.
KEYS_MAX: Final = 50_000


class Narrow:
    """Finds where what belongs to `owners` lies; each collection once."""

    def __init__(self, owners: Owners, live: State, target: StoredState) -> None:
        self._owners = owners
        self._live = live
        self._target = target
        self._keys: dict[CollectionName, frozenset[bytes] | None] = {}
        self._referring: dict[int, frozenset[tuple[str, bytes]] | None] = {}

    def differences(self, name: CollectionName, extra: Iterable[bytes]) -> Iterator[RecordDifference] | None:
        """What differs in the records of a collection that belong to the owners, or have one of the `extra` keys; None
        where only comparing all records tells. Lines are named by the keys of their files."""
        if name not in self._keys:
            self._keys[name] = self._find(name)
        found = self._keys[name]
        if found is None:
            return None
        keys = sorted(found.union(extra))
        if len(keys) > KEYS_MAX:
            return None
        return _merged(_restricted(self._live, name, keys), _restricted(self._target, name, keys))

    def _find(self, name: CollectionName) -> frozenset[bytes] | None:
        owners = self._owners
        if name not in owners.collections:
            return frozenset()
        if name == COLLECTIONS["agents"]:
            return frozenset(keys_of(owners.agents))
        if name == COLLECTIONS["orchestrations"]:
            return frozenset(keys_of(owners.orchestrations))
        if name in (TRANSCRIPTS, TRANSCRIPT_FILES):
            return self._transcripts()
        if name not in COVERED or not all(map(NAME.fullmatch, owners.agents)):
            return None
        keys: set[bytes] = set(keys_of(owners.sessions)) if name == COLLECTIONS["sessions"] else set()
        for state in (self._target, self._live):
            found = self._in(state, name)
            if found is None:
                return None
            keys.update(found)
        return frozenset(keys)

    def _transcripts(self) -> frozenset[bytes]:
        found = set()
        for state in (self._target, self._live):
            descriptor = state.descriptors().get(TRANSCRIPT_FILES)
            for key, value in every(state, TRANSCRIPT_FILES) if descriptor is not None else ():
                assert descriptor is not None
                shape = Shape(descriptor, descriptor.columns, state.get)
                if self._owners.own(descriptor, decode_key(key), shape.stored((key, value))):
                    found.add(key)
        return frozenset(found)

    def _in(self, state: State, name: CollectionName) -> Iterable[bytes] | None:
        """The keys of a covered collection in one state; None where they would have to be looked for far away."""
        if isinstance(state, StoredState):
            at = id(state)
            if at not in self._referring:
                self._referring[at] = self._ask(state)
            known = self._referring[at]
            if known is not None:
                return [key for path, key in known if path == "/".join(name)]
            if state is self._target:
                return None
        descriptor = state.descriptors().get(name)
        if descriptor is None:
            return ()
        shape = Shape(descriptor, descriptor.columns, state.get)
        own = self._owners.own
        return [one[0] for one in every(state, name) if own(descriptor, decode_key(one[0]), shape.stored(one))]

    def _ask(self, state: StoredState) -> frozenset[tuple[str, bytes]] | None:
        found = referring(state, self._owners.agents)
        return None if found is None else frozenset[tuple[str, bytes]]().union(*found.values())


def _restricted(state: State, name: CollectionName, keys: list[bytes]) -> Iterator[Record]:
    """The records with these keys, or of these files, in key order."""
    if name not in state.descriptors():
        return
    if name != TRANSCRIPTS:
        yield from sorted(lookup(state, name, keys))
    elif isinstance(state, StoredState):
        for key in keys:
            yield from records(state.chunks, state.root(name), key, key + b"\xff")
    else:
        wanted = frozenset(keys)
        yield from (one for one in every(state, name) if encode_key(decode_key(one[0])[:1]) in wanted)


def _merged(old: Iterator[Record], new: Iterator[Record]) -> Iterator[RecordDifference]:
    """What differs between two streams of records in key order."""
    a, b = next(old, None), next(new, None)
    while a is not None or b is not None:
        if b is None or (a is not None and a[0] < b[0]):
            assert a is not None
            yield a[0], a[1], None
            a = next(old, None)
        elif a is None or b[0] < a[0]:
            yield b[0], None, b[1]
            b = next(new, None)
        else:
            if a[1] != b[1]:
                yield a[0], a[1], b[1]
            a, b = next(old, None), next(new, None)
