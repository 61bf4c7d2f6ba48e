"""From a cut's rows to encoded records in key order."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from maos_ckpt.codec.values import encode_keys, encode_row
from maos_ckpt.errors import SourceError
from maos_ckpt.model import Descriptor, Row
from maos_ckpt.sources.base import Cut, record_key
from maos_ckpt.tree.cutter import LARGE_VALUE_BYTES
from maos_ckpt.tree.large import encode_large_row
from maos_ckpt.tree.sink import Pending

Put = Callable[[bytes], Pending]
#: Called with (records, bytes) as they are read.
Tick = Callable[[int, int], None]
Batch = tuple[list[bytes], list[bytes]]


class OutOfOrderError(Exception):
    """A source delivered rows in another order than their keys'; the collection must be read again, sorted."""


def encode_records(descriptor: Descriptor, rows: list[Row], put: Put) -> Batch:
    """Keys and encoded values of whole rows; large values are handed to `put`."""
    arity = len(descriptor.keys)
    keys = encode_keys([row[0] for row in rows]) if arity == 1 else None
    if keys is None:
        keys = [record_key(descriptor, row) for row in rows]
    values = [encode_row(row[arity:]) for row in rows]
    for i, value in enumerate(values):
        if len(value) > LARGE_VALUE_BYTES:
            values[i] = encode_large_row(rows[i][arity:], put)
    return keys, values


def read_records(cut: Cut, descriptor: Descriptor, put: Put, tick: Tick, *, sort: bool) -> Iterator[Batch]:
    """All records of one collection, in key order.

    Raises:
        OutOfOrderError: the source's order is not the keys' order, and `sort` was not asked for.
        SourceError: two records have one key, or sorting did not help.
    """
    last = b""
    for rows in cut.rows(descriptor, sort=sort):
        keys, values = encode_records(descriptor, rows, put)
        for key in keys:
            if key <= last:
                _refuse(descriptor, key == last, sort)
            last = key
        tick(len(keys), sum(map(len, values)))
        yield keys, values


def _refuse(descriptor: Descriptor, equal: bool, sort: bool) -> None:
    if not sort:
        raise OutOfOrderError
    what = "two records have the same key" if equal else "the records cannot be put in order"
    raise SourceError(
        f"The collection {descriptor.path} cannot be captured: {what}.",
        kept="Every checkpoint committed before is untouched.",
        hint="Run `PRAGMA integrity_check` on the source database.",
        collection=descriptor.path,
    )
