"""From rows that may differ to the records that do: what to replace in a collection."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Final

from maos_ckpt.codec.values import encode_row
from maos_ckpt.model import Descriptor, Row
from maos_ckpt.sources.base import KeyRange, record_key
from maos_ckpt.sources.sqlite.pages import UnusualPagesError
from maos_ckpt.sources.sqlite.row_changes import Rowids
from maos_ckpt.sources.sqlite.rows import Connect, RowidRange, TableQuery, read_rows
from maos_ckpt.sources.sqlite.schema import quote

#: More rows than this are read in full instead, as are changed records of more bytes.
ROWS_MAX: Final = 100_000
RECORD_BYTES_MAX: Final = 32 << 20


@dataclass(frozen=True, slots=True)
class Side:
    """One of two images: how to open it, and the path that errors name."""

    connect: Connect
    encoding: str
    path: Path


def changed_ranges(
    descriptor: Descriptor, query: TableQuery, rowids: Rowids, old: Side, new: Side
) -> list[KeyRange] | None:
    """One range for each record of `query` that differs, in key order; None where there are too many.

    Raises:
        UnusualPagesError: SQLite does not find the rows that the pages hold.
        SourceError, sqlite3.Error: an image cannot be read.
    """
    if len(rowids.old) + len(rowids.new) > ROWS_MAX:
        return None
    ranges = tuple(_runs(rowids.old | rowids.new))
    if not ranges:
        return []
    before: dict[bytes, bytes] = {}
    for row in _rows(query, ranges, rowids.old, old):
        # The old values are only compared: 32 bytes stand for each.
        _enter(before, record_key(descriptor, row), hashlib.sha256(encode_row(row)).digest())
    after: dict[bytes, Row] = {}
    size = 0
    for row in _rows(query, ranges, rowids.new, new):
        key, encoded = record_key(descriptor, row), encode_row(row)
        if before.get(key) == hashlib.sha256(encoded).digest():
            del before[key]
            continue
        _enter(after, key, row)
        size += len(encoded)
        if size > RECORD_BYTES_MAX:
            return None
    return [
        KeyRange(key, key + b"\0", (after[key],) if key in after else ()) for key in sorted(before.keys() | after.keys())
    ]


def _enter[T](records: dict[bytes, T], key: bytes, value: T) -> None:
    if key in records:
        raise UnusualPagesError("two records have one key")
    records[key] = value


def _runs(rowids: set[int]) -> Iterator[RowidRange]:
    """Neighbouring rowids together, as (first, last), in order."""
    ordered = sorted(rowids)
    first = None
    for one, following in pairwise([*ordered, None]):
        ...


def _rows(query: TableQuery, ranges: tuple[RowidRange, ...], wanted: set[int], side: Side) -> Iterator[Row]:
    """The query's rows with these rowids, as `keys + columns`; they must be exactly those that are `wanted`."""
