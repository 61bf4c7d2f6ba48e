"""Faults, injected for real into a scratch copy: rows as a broken program leaves them, transcripts that are cut,
flipped bytes."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

from maos_ckpt.model import Checkpoint, CollectionKind, Descriptor
from maos_ckpt.repository.repository import Repository
from maos_ckpt.sources.sqlite.schema import quote

_JUNK = "�] corrupted by a drill {"
_JUNK_LINE = b'{"type":"user","message":"corrupted by a drill\n'
#: Places in a pack at which bytes are flipped, as shares of its length.
_FLIPS = (0.2, 0.5, 0.8)


@contextlib.contextmanager
def scribbling(database: Path) -> Iterator[sqlite3.Connection]:
    """A connection to a scratch database that stops at nothing; commits at the end."""
    with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute("BEGIN IMMEDIATE")
        yield connection
        connection.execute("COMMIT")


def largest_component(
    repository: Repository, checkpoint: Checkpoint, database: Path
) -> tuple[str, list[Descriptor]] | None:
    """The component with the most bytes that can be corrupted for itself alone, with its tables; None without one.

    Left out are tables that two components share, and tables whose triggers would carry a fault into others.
    """
    tables = [one for one in repository.descriptors(checkpoint).values() if one.kind is CollectionKind.TABLE]
    origins = [one.origin for one in tables]
    with contextlib.closing(sqlite3.connect(database)) as connection:
        triggers = connection.execute("SELECT tbl_name FROM sqlite_master WHERE type = 'trigger'").fetchall()
    shut = {str(name) for (name,) in triggers} | {name for name in origins if origins.count(name) > 1}
    filled = {(one.component, one.name): one for one in checkpoint.collections if one.records}
    found: dict[str, list[Descriptor]] = {}
    for one in tables:
        if one.origin not in shut and not one.origin.startswith("sqlite_") and (one.component, one.name) in filled:
            found.setdefault(one.component, []).append(one)
    if not found:
        return None
    name = max(found, key=lambda one: sum(filled[two.component, two.name].bytes for two in found[one]))
    return name, found[name]


def corrupt_tables(database: Path, tables: Iterable[Descriptor]) -> int:
    """Remove every second record of these tables and scribble over the texts of the others; the rows touched."""
    touched = 0
    with scribbling(database) as connection:
        for table in tables:
            name, key = quote(table.origin), quote(table.keys[0])
            half = f"SELECT {key} FROM {name} ORDER BY {key} LIMIT (SELECT (count(*) + 1) / 2 FROM {name})"
            touched += connection.execute(f"DELETE FROM {name} WHERE {key} IN ({half})").rowcount
            hidden = table.columns[:1] if table.rowid else ()
            for column in (quote(one) for one in table.columns if one not in hidden):
                # A column that takes no other text stays; half of the rows are gone in any case.
                with contextlib.suppress(sqlite3.Error):
                    statement = f"UPDATE {name} SET {column} = ? || {column} WHERE typeof({column}) = 'text'"
                    touched += connection.execute(statement, (_JUNK,)).rowcount
    return touched


def corrupt_transcripts(paths: Iterable[Path]) -> int:
    """Cut these files in the middle of a line and write nonsense behind it; how many they were."""
    number = 0
    for path in paths:
        with path.open("r+b") as file:
            file.truncate(path.stat().st_size // 2)
            file.seek(0, 2)
            file.write(_JUNK_LINE)
        number += 1
    return number


def flip_bytes(path: Path) -> int:
    """Turn single bytes over in the middle of a stored object; how many."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        for share in _FLIPS:
            at = int(size * share)
            file.seek(at)
            byte = file.read(1)
            file.seek(at)
            file.write(bytes([byte[0] ^ 0xFF]))
    return len(_FLIPS)
