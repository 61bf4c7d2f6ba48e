"""Which parts of a database's schema a recovery writes: it creates what is missing, and an undo drops that again.

It never rewrites a table under a running system.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from maos_ckpt.codec.values import decode_key
from maos_ckpt.model import CollectionKind, Row
from maos_ckpt.sources.sqlite.create import PRAGMA_TYPE, is_virtual
from maos_ckpt.states import State, StoredState
from maos_ckpt.tree.cursor import records
from maos_ckpt.tree.large import load_row

#: Schema objects by (type, name).
SchemaObjects = frozenset[tuple[str, str]]

#: Pseudo entries of the schema that a recovery can set inside its transaction.
_SETTABLE_PRAGMAS: Final = frozenset({"user_version", "application_id"})
_CREATABLE: Final = frozenset({"table", "index", "trigger", "view"})


def can_write(kind: str, name: str, *, added: bool) -> bool:
    """Whether a recovery puts this object or setting of a checkpoint's schema back."""
    if kind == PRAGMA_TYPE:
        return name in _SETTABLE_PRAGMAS and not added
    return added and kind in _CREATABLE


def can_drop(created: Mapping[tuple[str, str], str]) -> SchemaObjects:
    """Those of the objects that a recovery created (with their SQL) that its undo may drop.

    A virtual table is dropped by its module, which may not be at hand; so it stays, with the tables that hold its rows.
    """
    virtual = tuple(f"{name}_" for (kind, name), sql in created.items() if kind == "table" and is_virtual(sql))
    return frozenset(
        (kind, name)
        for (kind, name), sql in created.items()
        if not is_virtual(sql) and not (kind == "table" and virtual and name.startswith(virtual))
    )


def schema_rows(state: StoredState) -> Iterator[Row]:
    """The records (type, name, tbl_name, sql) of a checkpoint's schema."""
    for _, key, row in _records(state):
        yield (*decode_key(key), *row)


def missing_tables(live: State, target: StoredState, tables: Iterable[str]) -> frozenset[tuple[str, bytes]]:
    """The schema records, as (collection path, key), of those `tables` that the live database lacks, indices included.

    Not one where there is no live database: that is built whole.
    """
    kinds = [one.kind for one in live.descriptors().values()]
    wanted = set(tables)
    if CollectionKind.SCHEMA not in kinds or not wanted:
        return frozenset()
    return frozenset(
        (path, key) for path, key, row in _records(target) if row[0] in wanted and decode_key(key)[0] in _CREATABLE
    )


def _records(state: StoredState) -> Iterator[tuple[str, bytes, Row]]:
    """(collection path, key, rest of the row) of each schema record."""
    for name, descriptor in state.descriptors().items():
        if descriptor.kind is CollectionKind.SCHEMA:
            for key, value in records(state.chunks, state.root(name)):
                yield descriptor.path, key, load_row(value, state.get)
