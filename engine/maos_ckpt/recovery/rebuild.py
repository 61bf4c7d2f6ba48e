"""A database made anew from a checkpoint."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path

from maos_ckpt.model import CollectionKind
from maos_ckpt.recovery.schema_changes import schema_rows
from maos_ckpt.seams import Seams
from maos_ckpt.sources.change import Change
from maos_ckpt.sources.sqlite.create import schema_from_rows
from maos_ckpt.sources.sqlite.new_file import create_database
from maos_ckpt.sources.sqlite.write import WriteResult
from maos_ckpt.states import StoredState


def build_database(
    path: Path,
    target: StoredState,
    changes: Iterable[Change],
    *,
    seams: Seams,
    whole: bool,
    progress: Callable[[int], None],
    mark: Callable[[sqlite3.Connection], object],
    aside: Path | None = None,
) -> WriteResult:
    """Make the database at `path` with the schema of `target` and the rows that `changes` add.

    Args:
        whole: everything that the checkpoint holds is there, so that its broken references may be too.
        mark, aside: see `create_database`.

    Raises:
        ConflictError, StorageError, SourceError, PermissionRefusedError: see `create_database`.
    """
    objects, pragmas = schema_from_rows(schema_rows(target))
    return create_database(
        path,
        seams,
        pragmas=pragmas,
        objects=objects,
        changes=(one for one in changes if one.descriptor.kind is CollectionKind.TABLE),
        allow_new_violations=whole,
        progress=progress,
        mark=mark,
        aside=aside,
    )
