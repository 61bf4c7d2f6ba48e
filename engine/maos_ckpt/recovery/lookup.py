"""Finding many records of one state at once: in a stored tree by visiting only the leaves that can hold them."""

from __future__ import annotations

import contextlib
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator

from maos_ckpt.codec.values import LARGE, RawText, decode_key, decode_row, encode_key, encode_row
from maos_ckpt.model import Descriptor, Row, Value
from maos_ckpt.sources.sqlite.spill import SpilledMap
from maos_ckpt.states import CollectionName, State, StoredState
from maos_ckpt.tree.cursor import decode_node, root_entry
from maos_ckpt.tree.large import Get, load_row
from maos_ckpt.tree.nodes import Entry, Leaf

#: Leaves that are read from afar side by side; the others follow one by one.
_EXPECTED_MAX = 128
#: Records read between two signs of life.
_BEAT_RECORDS = 2000
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
    if isinstance(state, StoredState):
        yield from _all_stored(state, collection)
        return
    stream = state.stream(collection)
    while (front := stream.front()) is not None:
        if isinstance(front, Entry):
            stream.open()
        else:
            yield front
            stream.drop()


def matching(state: State, collection: CollectionName, wanted: SpilledMap[str]) -> Iterator[Record]:
    """The records of a collection whose whole key is one of `wanted`."""
    if isinstance(state, StoredState):
        for batch in wanted.batches():
            yield from lookup(state, collection, list(keys_of(batch)))
        return
    for record in every(state, collection):
        parts = decode_key(record[0])
        if len(parts) == 1 and isinstance(parts[0], str) and parts[0] in wanted:
            yield record


def keys_of(names: Iterable[str]) -> Iterator[bytes]:
    """The keys of records that are named by one text; none for half a surrogate pair, which JSON may hold."""
    for name in names:
        with contextlib.suppress(UnicodeEncodeError):
            yield encode_key((name,))


def beating(records: Iterator[Record], beat: Callable[[], None]) -> Iterator[Record]:
    """The same records, with a sign of life between some of them."""
    for number, record in enumerate(records):
        if number % _BEAT_RECORDS == 0:
            beat()
        yield record


def load_value(value: RawText, get: Get) -> Value:
    """A large value, read back whole."""
    return load_row(encode_row((value,)), get)[0]


class RecordView:
    """One record by column name; a large value is read back only when it is asked for."""

    __slots__ = ("_get", "_places", "_values")

    def __init__(self, places: dict[str, int], values: Row, get: Get) -> None:
        self._places = places
        self._values = values
        self._get = get

    def get(self, name: str) -> Value:
        """A column's value; None where there is no such column."""
        at = self._places.get(name)
        value = None if at is None else self._values[at]
        if isinstance(value, RawText) and value.code == LARGE:
            return load_value(value, self._get)
        return value


class Shape:
    """Makes views of one collection's records; `columns` are those that its rows hold."""

    def __init__(self, descriptor: Descriptor, columns: tuple[str, ...], get: Get) -> None:
        self._keys = len(descriptor.keys)
        # Of two columns of one name the key's counts.
        names = descriptor.keys + columns
        self._places = {name: at for at, name in reversed(list(enumerate(names)))}
        self._get = get

    def place(self, column: str) -> int | None:
        """Where a column stands in a row, which begins behind the keys; None where it is a key or not there."""
        at = self._places.get(column)
        return None if at is None or at < self._keys else at - self._keys

    def view(self, parts: Row, row: Row) -> RecordView:
        """A record with these key parts."""
        return RecordView(self._places, parts[: self._keys] + row, self._get)

    def stored(self, record: Record) -> RecordView:
        """A record that `lookup` or `every` gave."""
        return self.view(decode_key(record[0]), decode_row(record[1]))


def _all_stored(state: StoredState, collection: CollectionName) -> Iterator[Record]:
    root = state.root(collection)
    stack = [] if root is None else [root_entry(state.chunks, root)]
    while stack:
        node = decode_node(state.chunks, stack.pop())
        if isinstance(node, Leaf):
            yield from zip(node.keys, node.values, strict=True)
        else:
            stack.extend(reversed(node))


def _stored(state: StoredState, collection: CollectionName, keys: list[bytes]) -> Iterator[Record]:
    root = state.root(collection)
    if root is None:
        return
    chunks = state.chunks
    stack = [(root_entry(chunks, root), keys)]
    while stack:
        entry, wanted = stack.pop()
        with chunks.scattered():
            node = decode_node(chunks, entry)
        if isinstance(node, Leaf):
            asked = set(wanted)
            yield from (one for one in zip(node.keys, node.values, strict=True) if one[0] in asked)
            continue
        bounds = [bisect_left(wanted, one.key) for one in node] + [len(wanted)]
        below = [item for item in zip(node, bounds, bounds[1:], strict=False) if item[1] < item[2]]
        chunks.expect([child.id for child, _, _ in below[:_EXPECTED_MAX]])
        stack.extend((child, wanted[low:high]) for child, low, high in reversed(below))
