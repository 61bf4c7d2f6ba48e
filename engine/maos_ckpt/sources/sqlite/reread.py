"""Reading again what a recovery wrote, in its own transaction, before it is committed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Final

from maos_ckpt.model import CollectionKind, Descriptor
from maos_ckpt.sources.change import Change, same_value
from maos_ckpt.sources.sqlite.positional import StandIn
from maos_ckpt.sources.sqlite.schema import SEQUENCE_TABLE, read_schema
from maos_ckpt.sources.sqlite.statements import Statements

#: Records that are not as they should be and are named.
DIFFERING_LISTED_MAX: Final = 20


def differing(connection: sqlite3.Connection, changes: Iterable[Change]) -> list[str]:
    """The paths of the first records that do not hold what `changes` say they should; of tables' rows only.

    Hidden rowids do not count, nor do the counters of AUTOINCREMENT, which may be higher.
    """
    schema = read_schema(connection)
    found: list[str] = []
    open_for: Descriptor | None = None
    statements: Statements | None = None
    stand_in: StandIn | None = None
    try:
        for change in changes:
            descriptor = change.descriptor
            if descriptor is not open_for and descriptor != open_for:
                open_for, statements = descriptor, None
                if stand_in is not None:
                    stand_in.close()
                    stand_in = None
                table = schema.table(descriptor.origin)
                rows = descriptor.kind is CollectionKind.TABLE and descriptor.origin != SEQUENCE_TABLE
                if table is not None and rows:
                    stand_in = StandIn(connection, descriptor, table) if table.positional else None
                    target = "" if stand_in is None else stand_in.target
                    statements = Statements(connection, descriptor, table, schema.encoding, target)
            if statements is not None and not _is_as_wanted(statements, change):
                found.append(change.path)
                if len(found) >= DIFFERING_LISTED_MAX:
                    break
    finally:
        if stand_in is not None:
            stand_in.close()
    return found


def _is_as_wanted(statements: Statements, change: Change) -> bool:
    live = statements.find(change.parts)
    if live is None or change.after is None:
        return live is None and change.after is None
    descriptor = change.descriptor
    values = dict(zip(descriptor.columns, live[len(descriptor.keys) :], strict=True))
    hidden = descriptor.columns[0] if descriptor.rowid else None
    wanted = zip(change.columns, change.after, strict=True)
    return all(name == hidden or same_value(values[name], value) for name, value in wanted)
