"""Building a database file where there is none, from what a checkpoint holds.

It is built under a temporary name beside its place, made durable, and only then given its name; where somebody has made
a file of that name meanwhile, that one stays. A journal or log left behind by a lost database would be taken for the
new one's and ruin it: they are moved out of the way, not removed.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from maos_ckpt.errors import ConflictError
from maos_ckpt.fs import raise_storage_error
from maos_ckpt.seams import Seams
from maos_ckpt.sources.change import Change
from maos_ckpt.sources.sqlite.create import CHANGEABLE_PRAGMAS, is_integer
from maos_ckpt.sources.sqlite.live import CACHE_KIB, mapped
from maos_ckpt.sources.sqlite.schema import SchemaObject
from maos_ckpt.sources.sqlite.write import ProgressCallback, WriteResult, apply_changes

_SIDECARS: Final = ("-journal", "-wal", "-shm")
_ENCODINGS: Final = ("UTF-8", "UTF-16le", "UTF-16be")
_PAGE_BYTES: Final = tuple(str(1 << shift) for shift in range(9, 17))


def create_database(
    path: Path,
    seams: Seams,
    *,
    pragmas: Mapping[str, str],
    objects: Sequence[SchemaObject],
    changes: Iterable[Change],
    allow_new_violations: bool = False,
    progress: ProgressCallback = lambda done: None,
    mark: Callable[[sqlite3.Connection], object] = lambda connection: None,
) -> WriteResult:
    """Build the database at `path`, which must not exist.

    Args:
        pragmas, objects: the checkpoint's file settings and schema, see `create.schema_from_rows`.
        changes: every record as an added one, as `apply_changes` takes them.
        mark: called inside the transaction after the last row.

    Raises:
        ConflictError: there is a file at `path`, perhaps since a moment ago; and as `apply_changes`.
        StorageError, SourceError, PermissionRefusedError: the file cannot be written.
    """
    if path.exists():
        raise _in_the_way(path)
    token = seams.random.token(6).hex()
    temporary = path.with_name(f".{path.name}.{token}")
    try:
        with _built(temporary, seams) as connection:
            _settle(connection, pragmas)
            connection.execute("BEGIN")
            result = apply_changes(
                connection,
                changes,
                sequences="set",
                create=objects,
                allow_new_violations=allow_new_violations,
                progress=progress,
            )
            mark(connection)
            connection.execute("COMMIT")
            if pragmas.get("journal_mode") == "wal":
                connection.execute("PRAGMA journal_mode = WAL").fetchone()
        _publish(temporary, path, seams, token)
    except OSError as error:
        raise_storage_error(error, path)
    return result


@contextlib.contextmanager
def _built(temporary: Path, seams: Seams) -> Iterator[sqlite3.Connection]:
    """A connection to a new file that is gone again where the block fails, and durable where it does not."""
    fd = seams.fs.create(temporary)
    done = False
    try:
        with mapped(temporary), contextlib.closing(sqlite3.connect(temporary, isolation_level=None)) as connection:
            # A half-built file is thrown away: it needs neither a journal nor an fsync of its own.
            settings = ("journal_mode = OFF", "synchronous = OFF", "locking_mode = EXCLUSIVE", "foreign_keys = OFF")
            for setting in (*settings, "trusted_schema = OFF", "ignore_check_constraints = ON"):
                connection.execute(f"PRAGMA {setting}").fetchone()
            connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            yield connection
        seams.fs.sync(fd)
        done = True
    finally:
        seams.fs.close(fd)
        if not done:
            for ending in ("", *_SIDECARS):
                seams.fs.unlink(temporary.with_name(temporary.name + ending))


def _settle(connection: sqlite3.Connection, pragmas: Mapping[str, str]) -> None:
    """Give the empty file its settings; values that SQLite would not store are left out."""
    allowed = {"page_size": _PAGE_BYTES, "encoding": _ENCODINGS, "auto_vacuum": ("0", "1", "2")}
    for name, values in allowed.items():
        if pragmas.get(name) in values:
            connection.execute(f"PRAGMA main.{name} = '{pragmas[name]}'").fetchone()
    for name in CHANGEABLE_PRAGMAS:
        if is_integer(pragmas.get(name, "")):
            connection.execute(f"PRAGMA main.{name} = {int(pragmas[name])}")


def _publish(temporary: Path, path: Path, seams: Seams, token: str) -> None:
    for ending in _SIDECARS:
        stale = path.with_name(path.name + ending)
        with contextlib.suppress(FileNotFoundError):
            os.rename(stale, stale.with_name(f"{stale.name}.{token}"))
    if not seams.fs.publish(temporary, path, replace=False):
        seams.fs.unlink(temporary)
        raise _in_the_way(path)


def _in_the_way(path: Path) -> ConflictError:
    return ConflictError(
        f"There is a file at {path} already.",
        kept="It was not touched.",
        hint="Make a new plan: the recovery then writes into that database.",
        path=str(path),
    )
