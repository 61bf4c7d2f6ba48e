"""Small databases, changes applied to them, and what they then hold."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from maos_ckpt.seams import SYSTEM
from maos_ckpt.sources.change import Change
from maos_ckpt.sources.sqlite.live import hold
from maos_ckpt.sources.sqlite.reread import differing
from maos_ckpt.sources.sqlite.sequences import SequenceMode
from maos_ckpt.sources.sqlite.write import WriteResult, apply_changes
from tests.lab.values import dump_exact


def make(path: Path, *statements: str) -> Path:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)
    return path


def apply(path: Path, changes: Sequence[Change], sequences: SequenceMode = "set", **options: object) -> WriteResult:
    with hold(path, SYSTEM) as held:
        result = apply_changes(held.connection, changes, sequences=sequences, **options)  # type: ignore[arg-type]
        assert differing(held.connection, changes) == []
    return result


def rows(path: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def logical(path: Path) -> dict[str, object]:
    """An exact dump; hidden rowids that may differ are left out, as two states that differ in them are the same."""
    return {
        name: sorted([values for _, values in found]) if name != "sqlite_master" else sorted(found)
        for name, found in dump_exact(path, shadow_tables=True).items()
    }
