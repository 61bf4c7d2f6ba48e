"""Which records a partial recovery needs besides those that were chosen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from maos_ckpt.codec.values import decode_key
from maos_ckpt.model import CollectionKind
from maos_ckpt.recovery.lookup import Shape, matching
from maos_ckpt.recovery.reference_rules import COLLECTIONS, Json, Reference, references
from maos_ckpt.sources.change import Change
from maos_ckpt.sources.sqlite.spill import FRONT_MAX, TEXT, Spill, SpilledMap
from maos_ckpt.states import State, StoredState

#: How far missing records are followed to what they need in turn: tasks to their parents.
DEPTH_MAX: Final = 50


def missing_dependencies(
    live: State, target: StoredState, changes: Callable[[], Iterator[Change]], *, front_max: int = FRONT_MAX
) -> frozenset[tuple[str, bytes]]:
    """Records of the checkpoint that the plan's records refer to and that would not be there: (collection path, key).

    What these refer to is followed in turn. Records that are there live are never overwritten for it.
    """
    with Spill(front_max) as spill:
        return frozenset(_Missing(live, target, spill).of(changes()))


class _Missing:
    """`there`: ids that need not be fetched, by table; `wanted`: ids that are referred to."""

    def __init__(self, live: State, target: StoredState, spill: Spill) -> None:
        self._live = live
        self._target = target
        self._spill = spill
        self._parse = Json()
        self._there = self._no_ids()
        self._wanted = self._no_ids()

    def of(self, changes: Iterator[Change]) -> Iterator[tuple[str, bytes]]:
        """What these changes need, and what that needs in turn."""
        for change in changes:
            descriptor = change.descriptor
            if descriptor.kind is not CollectionKind.TABLE or change.after is None:
                continue
            table, parts = descriptor.origin.lower(), change.parts
            if table in self._there and isinstance(parts[0], str):
                self._there[table].add(parts[0])
            view = Shape(descriptor, change.columns, self._live.get).view(parts, change.after)
            self._want(references(table, view, self._parse))
        for _ in range(DEPTH_MAX):
            wanted, self._wanted = self._wanted, self._no_ids()
            for table in sorted(wanted):
                yield from self._fetch(table, wanted[table])
            if not any(self._wanted.values()):
                break

    def _no_ids(self) -> dict[str, SpilledMap[str]]:
        return {table: SpilledMap(self._spill, TEXT) for table in COLLECTIONS}

    def _want(self, found: Iterable[Reference]) -> None:
        for one in found:
            if one.table in self._wanted:
                self._wanted[one.table].add(one.id)

    def _fetch(self, table: str, ids: SpilledMap[str]) -> Iterator[tuple[str, bytes]]:
        """The records among `ids` that only the checkpoint has; what they refer to becomes wanted."""
        fresh, live = SpilledMap(self._spill, TEXT), SpilledMap(self._spill, TEXT)
        for name, _ in ids.items():
            if name not in self._there[table]:
                fresh.add(name)
        for name, _ in fresh.items():
            self._there[table].add(name)
        for key, _ in matching(self._live, COLLECTIONS[table], fresh):
            live.add(str(decode_key(key)[0]))
        for key, found in _fetched(self._target, table, fresh, self._parse):
            if str(decode_key(key)[0]) not in live:
                self._want(found)
                yield "/".join(COLLECTIONS[table]), key


def _fetched(
    target: StoredState, table: str, ids: SpilledMap[str], parse: Json
) -> Iterator[tuple[bytes, list[Reference]]]:
    """Key and references of those records that the checkpoint holds."""
    descriptor = target.descriptors().get(COLLECTIONS[table])
    if descriptor is None or len(descriptor.keys) != 1:
        return
    shape = Shape(descriptor, descriptor.columns, target.get)
    for record in matching(target, COLLECTIONS[table], ids):
        yield record[0], list(references(table, shape.stored(record), parse))
