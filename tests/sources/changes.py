"""The changes that turn one SQLite file into another, read with the adapter's own reader."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from maos_ckpt.codec.values import encode_key
from maos_ckpt.model import Descriptor, Row
from maos_ckpt.sources.base import record_key
from maos_ckpt.sources.change import Change, align
from maos_ckpt.sources.sqlite.cut import schema_descriptor, sequence_descriptor
from maos_ckpt.sources.sqlite.rows import TableQuery, read_rows
from maos_ckpt.sources.sqlite.schema import Schema, TableKind, read_schema

Records = dict[bytes, Row]
#: MAOS's `checkpoints` are known by name, not by their primary key.
KEYS = {"checkpoints": ("name",)}


def connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)


def schema_of(path: Path) -> Schema:
    with closing(connect(path)) as connection:
        return read_schema(connection)


def collections_of(path: Path) -> dict[str, tuple[Descriptor, Records]]:
    """Table → descriptor and records by encoded key, with `sqlite_sequence` and the schema among them."""
    schema = schema_of(path)
    found: dict[str, tuple[Descriptor, Records]] = {"": (schema_descriptor("system"), {})}
    for one in schema.objects:
        found[""][1][encode_key((one.type, one.name))] = (one.table, one.sql)
    for table in schema.tables:
        if table.kind is not TableKind.VIRTUAL:
            query = TableQuery.whole(table, KEYS.get(table.name, ()) if "name" in table.columns else ())
            descriptor = query.descriptor("other", table.name)
            keys = len(descriptor.keys)
            found[table.name] = (
                descriptor,
                {
                    record_key(descriptor, row): row[keys:]
                    for batch in read_rows(lambda: connect(path), query, schema.encoding, path, sort=False)
                    for row in batch
                },
            )
    if schema.has_sequence:
        with closing(connect(path)) as connection:
            rows = connection.execute("SELECT name, seq FROM sqlite_sequence").fetchall()
        found["sqlite_sequence"] = sequence_descriptor("other"), {encode_key((name,)): (seq,) for name, seq in rows}
    return found


def changes_between(live: Path, wanted: Path, *, exact: bool = True, tables: set[str] | None = None) -> list[Change]:
    """What turns `live` into `wanted`; without `exact` nothing is removed."""
    return list(_changes(collections_of(live), collections_of(wanted), exact, tables))


def _changes(
    live: dict[str, tuple[Descriptor, Records]],
    wanted: dict[str, tuple[Descriptor, Records]],
    exact: bool,
    tables: set[str] | None,
) -> Iterator[Change]:
    for name in sorted(live.keys() | wanted.keys()):
        if tables is not None and name not in tables:
            continue
        target, after = wanted.get(name) or (live[name][0], {})
        source, before = live.get(name) or (target, {})
        alignment = align(target, source)
        assert alignment is not None, name
        for key in sorted(before.keys() | after.keys()):
            change = alignment.change(key, before.get(key), after.get(key))
            if change is not None and (exact or change.after is not None):
                yield change
