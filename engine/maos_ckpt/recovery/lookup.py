"""Finding many records of one state at once: in a stored tree by visiting only the leaves that can hold them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterator

from maos_ckpt.codec.values import decode_key, encode_key
from maos_ckpt.model import Descriptor, Row, Value
from maos_ckpt.states import CollectionName, State, StoredState
from maos_ckpt.tree.cursor import decode_node, root_entry
from maos_ckpt.tree.large import load_row
from maos_ckpt.tree.nodes import Entry, Leaf

Record = tuple[bytes, bytes]


def lookup(state: State, collection: CollectionName, keys: Collection[bytes]) -> Iterator[Record]:
    """The records among `keys` that a collection holds, as (key, encoded value)."""
    if not keys or collection not in state.descriptors():
        return
    if isinstance(state, StoredState):
        yield from _stored(state, collection, sorted(set(keys)))
        return
    wanted = set(keys)
    yield from (record for record in every(state, collection) if record[0] in wanted)


def every(state: State, collection: CollectionName) -> Iterator[Record]:
    """All records of a collection in key order, as (key, encoded value)."""
    stream = state.stream(collection)
    while (front := stream.front()) is not None:
        if isinstance(front, Entry):
            stream.open()
        else:
            yield front
            stream.drop()


def present(state: State, collection: CollectionName, ids: Collection[str]) -> set[str]:
    """Those of `ids` that are the key of a record."""
    return {str(decode_key(key)[0]) for key, _ in lookup(state, collection, [encode_key((one,)) for one in ids])}


def values_of(descriptor: Descriptor, columns: tuple[str, ...], key: bytes, row: Row) -> dict[str, Value]:
    """A record as values by column name, its keys included."""
    keys = zip(descriptor.keys, decode_key(key)[: len(descriptor.keys)], strict=True)
    return {**dict(zip(columns, row, strict=True)), **dict(keys)}


def loaded(state: State, descriptor: Descriptor, record: Record) -> dict[str, Value]:
    """A record that `lookup` or `every` gave, as values by column name."""
    return values_of(descriptor, descriptor.columns, record[0], load_row(record[1], state.get))


def _stored(state: StoredState, collection: CollectionName, keys: list[bytes]) -> Iterator[Record]:
    root = state.root(collection)
    if root is None:
        return
    stack = [(root_entry(state.chunks, root), keys)]
    while stack:
        entry, wanted = stack.pop()
        node = decode_node(state.chunks, entry)
        if isinstance(node, Leaf):
            asked = set(wanted)
            yield from (one for one in zip(node.keys, node.values, strict=True) if one[0] in asked)
            continue
        bounds = [bisect_left(wanted, one.key) for one in node] + [len(wanted)]
        below = zip(node, bounds, bounds[1:], strict=False)
        stack.extend((child, wanted[low:high]) for child, low, high in below if low < high)
