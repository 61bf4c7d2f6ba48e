"""From rows that may differ to the records that do: what to replace in a collection."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from maos_ckpt.codec.values import encode_row
from maos_ckpt.model import Descriptor, Row
from maos_ckpt.sources.base import KeyRange, record_key
from maos_ckpt.sources.sqlite.pages import UnusualPagesError
from maos_ckpt.sources.sqlite.row_changes import Rowids
from maos_ckpt.sources.sqlite.rows import Connect, RowidRange, TableQuery, read_rows
from maos_ckpt.sources.sqlite.schema import quote

#: Where more rows may differ, or changed records have more bytes, the collection is read in full.
ROWS_MAX: Final = 50_000
RECORD_BYTES_MAX: Final = 16 << 20


@dataclass(frozen=True, slots=True)
class Side:
    """One of two images: how to open it, its encoding, and the path that errors name."""

    connect: Connect
    encoding: str
    path: Path


def changed_ranges(
    descriptor: Descriptor, query: TableQuery, rowids: Rowids, old: Side, new: Side
) -> list[KeyRange] | None:
    """One range for each record of `query` that differs, in key order; None where there are too many.

    Raises:
        UnusualPagesError: SQLite does not find the very rows that the pages hold.
        SourceError, sqlite3.Error: an image cannot be read.
    """
    if len(rowids.old) + len(rowids.new) > ROWS_MAX:
        return None
    ranges = tuple(_runs(rowids.old | rowids.new))
    # The old values are only compared: 32 bytes stand for each.
    before: dict[bytes, bytes] = {}
    for row in _rows(query, ranges, rowids.old, old):
        key = record_key(descriptor, row)
        if key in before:
            raise UnusualPagesError("two records had one key")
        before[key] = _digest(encode_row(row))
    changed: dict[bytes, tuple[Row, ...]] = dict.fromkeys(before, ())
    after: set[bytes] = set()
    size = 0
    for row in _rows(query, ranges, rowids.new, new):
        key, encoded = record_key(descriptor, row), encode_row(row)
        if key in after:
            raise UnusualPagesError("two records have one key")
        after.add(key)
        if before.get(key) == _digest(encoded):
            del changed[key]
            continue
        changed[key] = (row,)
        size += len(encoded)
        if size > RECORD_BYTES_MAX:
            return None
    return [KeyRange(key, key + b"\0", changed.pop(key)) for key in sorted(changed)]


def _digest(encoded: bytes) -> bytes:
    return hashlib.sha256(encoded).digest()


def _runs(rowids: set[int]) -> Iterator[RowidRange]:
    """Neighbouring rowids together, as (first, last), in order."""
    first = last = None
    for rowid in sorted(rowids):
        if first is None or last is None:
            first = rowid
        elif rowid != last + 1:
            yield first, last
            first = rowid
        last = rowid
    if first is not None and last is not None:
        yield first, last


def _rows(query: TableQuery, ranges: tuple[RowidRange, ...], wanted: set[int], side: Side) -> Iterator[Row]:
    """The query's rows with these rowids; of the table's rows there, SQLite must find exactly those `wanted`.

    Where a damaged tree leads SQLite past a row that stands in a leaf, or to one that stands there twice, a reading in
    full sees something else than a search by rowid.
    """
    rowid = query.table.rowid_name
    assert rowid is not None
    everything = TableQuery(query.table, (rowid,), query.keys + query.columns, within=ranges)
    chosen = _chosen(query, ranges, side) if query.where else None
    found = 0
    for batch in read_rows(side.connect, everything, side.encoding, side.path, sort=False):
        for row in batch:
            if row[0] not in wanted:
                raise UnusualPagesError("a row is found that the changed pages do not hold")
            found += 1
            if chosen is None or row[0] in chosen:
                yield row[1:]
    if found != len(wanted):
        raise UnusualPagesError("a row of a changed page is not found")


def _chosen(query: TableQuery, ranges: tuple[RowidRange, ...], side: Side) -> set[int]:
    """Rowids of the rows that belong to this collection, where a table is spread over several."""
    rowid = quote(query.table.rowid_name or "")
    sql = (
        f"SELECT {rowid} FROM main.{quote(query.table.name)} NOT INDEXED"
        f" WHERE {rowid} BETWEEN ? AND ? AND {query.where}"
    )
    with closing(side.connect()) as connection:
        return {row[0] for one in ranges for row in connection.execute(sql, one)}
