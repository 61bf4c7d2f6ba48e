"""Which records a partial recovery needs besides those that were chosen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from maos_ckpt.codec.values import encode_key
from maos_ckpt.model import CollectionKind
from maos_ckpt.recovery.lookup import Shape, lookup, present
from maos_ckpt.recovery.reference_rules import COLLECTIONS, Json, Reference, references
from maos_ckpt.sources.change import Change
from maos_ckpt.states import State, StoredState

#: How far missing records are followed to what they need in turn: tasks to their parents.
DEPTH_MAX: Final = 50

_Target = tuple[str, str]


def missing_dependencies(
    live: State, target: StoredState, changes: Callable[[], Iterator[Change]]
) -> frozenset[tuple[str, bytes]]:
    """Records of the checkpoint that the plan's records refer to and that would not be there: (collection path, key).

    What these refer to is followed in turn. Records that are there live are never overwritten for it.
    """
    parse = Json()
    there: dict[str, set[str]] = {}
    wanted: set[_Target] = set()
    for change in changes():
        descriptor = change.descriptor
        if descriptor.kind is not CollectionKind.TABLE or change.after is None:
            continue
        table, parts = descriptor.origin.lower(), change.parts
        name = parts[0]
        if isinstance(name, str):
            there.setdefault(table, set()).add(name)
        view = Shape(descriptor, change.columns, live.get).view(parts, change.after)
        wanted.update(_targets(references(table, view, parse)))
    found: set[tuple[str, bytes]] = set()
    for _ in range(DEPTH_MAX):
        fresh = {(table, one) for table, one in wanted if one not in there.get(table, ())}
        wanted = set()
        for table in sorted({table for table, _ in fresh}):
            ids = {one for name, one in fresh if name == table}
            there.setdefault(table, set()).update(ids)
            missing = ids - present(live, COLLECTIONS[table], ids)
            for key, more in _fetched(target, table, missing, parse):
                found.add(("/".join(COLLECTIONS[table]), key))
                wanted.update(more)
        if not wanted:
            break
    return frozenset(found)


def _fetched(target: StoredState, table: str, ids: Iterable[str], parse: Json) -> Iterator[tuple[bytes, set[_Target]]]:
    """Key and references of those records that the checkpoint holds."""
    descriptor = target.descriptors().get(COLLECTIONS[table])
    if descriptor is None or len(descriptor.keys) != 1:
        return
    shape = Shape(descriptor, descriptor.columns, target.get)
    for record in lookup(target, COLLECTIONS[table], [encode_key((one,)) for one in ids]):
        yield record[0], set(_targets(references(table, shape.stored(record), parse)))


def _targets(found: Iterable[Reference]) -> Iterator[_Target]:
    return ((one.table, one.id) for one in found if one.table in COLLECTIONS)
