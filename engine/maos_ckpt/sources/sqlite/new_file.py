"""Building a database file where there is none, from what a checkpoint holds.

It is built under a temporary name beside its place, made durable, and only then given its name; where somebody has made
a file of that name meanwhile, that one stays. A journal or log left behind by a lost database would be taken for the
new one's and ruin it: they are moved out of the way, not removed. So is a damaged database that is to be replaced.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from maos_ckpt.errors import ConflictError
from maos_ckpt.fs import raise_storage_error
from maos_ckpt.seams import Seams
from maos_ckpt.sources.change import Change
from maos_ckpt.sources.sqlite.create import CHANGEABLE_PRAGMAS, is_integer
from maos_ckpt.sources.sqlite.faults import describe_process
from maos_ckpt.sources.sqlite.live import CACHE_KIB, mapped
from maos_ckpt.sources.sqlite.probe import sidecar
from maos_ckpt.sources.sqlite.schema import SchemaObject
from maos_ckpt.sources.sqlite.write import ProgressCallback, WriteResult, apply_changes

#: How the name of a database ends that is being built; it may be removed where nothing builds it.
UNFINISHED_SUFFIX: Final = ".maos-ckpt-unfinished"
_SIDECARS: Final = ("-journal", "-wal", "-shm")
_ENCODINGS: Final = ("UTF-8", "UTF-16le", "UTF-16be")
#: Bits of a mode that a new file takes over.
_MODE_MASK: Final = 0o777
#: What SQLite makes a database with; the umask takes from it.
_NEW_FILE_MODE: Final = 0o644
_PRIVATE_MODE: Final = 0o600
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
    aside: Path | None = None,
) -> WriteResult:
    """Build the database at `path`, where there must be none but a damaged one that is to be moved to `aside`.

    The new file gets the mode and owner of the damaged one; without it those that SQLite would give it.

    Args:
        pragmas, objects: the checkpoint's file settings and schema, see `create.schema_from_rows`.
        changes: every record as an added one, as `apply_changes` takes them.
        mark: called inside the transaction after the last row.

    Returns:
        What was written; its notes name the files that were moved aside.

    Raises:
        ConflictError: there is a file at `path`, perhaps since a moment ago, or a process has the damaged one open for
            writing; and as `apply_changes`.
        StorageError, SourceError, PermissionRefusedError: the file cannot be written.
    """
    if aside is None and path.exists():
        raise _in_the_way(path)
    if aside is not None:
        refuse_writers(path, seams)
    temporary = _unfinished(path)
    try:
        _discard(temporary, seams)
        with _built(temporary, path, seams) as connection:
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
        moved = _publish(temporary, path, seams, aside)
    except OSError as error:
        raise_storage_error(error, path)
    result.notes += tuple(f"{old.name} was moved aside to {new}." for old, new in moved)
    return result


def aside_of(path: Path, seams: Seams, what: str = "damaged") -> Path:
    """A free name for a database that is in the way, that says what it is and since when."""
    when = datetime.fromtimestamp(seams.clock.now_ms() / 1000, UTC)
    aside = path.with_name(f"{path.name}.{what}-{when:%Y%m%dT%H%M%SZ}")
    if any(sidecar(aside, ending).exists() for ending in ("", *_SIDECARS)):
        aside = aside.with_name(f"{aside.name}-{seams.random.token(4).hex()}")
    return aside


def refuse_writers(path: Path, seams: Seams) -> None:
    """ConflictError where a process has the damaged database open for writing: its writes would follow the old file."""
    writers = seams.processes.holders(path, writing=True)
    if writers:
        raise ConflictError(
            f"{path} is damaged and has to be built anew, but {describe_process(writers[0])} has it open for writing.",
            kept="Nothing was changed.",
            hint="End that process, then restore again; the damaged file is moved aside, not removed.",
            path=str(path),
            pids=[one.pid for one in writers],
        )


@contextlib.contextmanager
def _built(temporary: Path, path: Path, seams: Seams) -> Iterator[sqlite3.Connection]:
    """A connection to a new file for `path`, that is gone again where the block fails and durable where it does not."""
    fd = _create(temporary, path)
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
            _discard(temporary, seams)


def clear_unfinished(path: Path, aside: Path | None, seams: Seams) -> None:
    """Take back what a killed `create_database` left where `path` did not get its new file.

    The half-built file goes, and the damaged one that was moved to `aside` gets its name back.

    Raises:
        StorageError, PermissionRefusedError: the directory refuses.
    """
    try:
        _discard(_unfinished(path), seams)
        if aside is None or path.exists():
            return
        for ending in ("", *_SIDECARS):
            old, new = sidecar(path, ending), sidecar(aside, ending)
            if new.exists() and not old.exists():
                os.rename(new, old)
        seams.fs.sync_directory(path.parent)
    except OSError as error:
        raise_storage_error(error, path)


def _unfinished(path: Path) -> Path:
    """The name of a database in the making, by which the next one finds what a kill left."""
    return path.with_name(f".{path.name}{UNFINISHED_SUFFIX}")


def _discard(unfinished: Path, seams: Seams) -> None:
    for ending in ("", *_SIDECARS):
        seams.fs.unlink(unfinished.with_name(unfinished.name + ending))


def _settle(connection: sqlite3.Connection, pragmas: Mapping[str, str]) -> None:
    """Give the empty file its settings; values that SQLite would not store are left out."""
    allowed = {"page_size": _PAGE_BYTES, "encoding": _ENCODINGS, "auto_vacuum": ("0", "1", "2")}
    for name, values in allowed.items():
        if pragmas.get(name) in values:
            connection.execute(f"PRAGMA main.{name} = '{pragmas[name]}'").fetchone()
    for name in CHANGEABLE_PRAGMAS:
        if is_integer(pragmas.get(name, "")):
            connection.execute(f"PRAGMA main.{name} = {int(pragmas[name])}")


def _create(temporary: Path, path: Path) -> int:
    """An empty file with the mode and owner of the one it replaces, or with those that SQLite would give it."""
    old = path.stat() if path.exists() else None
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    fd = os.open(temporary, flags, _NEW_FILE_MODE if old is None else _PRIVATE_MODE)
    if os.geteuid() == 0:
        # What root puts back must still belong to the user whose state it is.
        model = path.parent.stat() if old is None else old
        os.fchown(fd, model.st_uid, model.st_gid)
    if old is not None:
        os.fchmod(fd, stat.S_IMODE(old.st_mode) & _MODE_MASK)
    return fd


def _publish(temporary: Path, path: Path, seams: Seams, aside: Path | None) -> list[tuple[Path, Path]]:
    """Give the new file its name; what was moved out of its way, and where to."""
    lost = aside if aside is not None else aside_of(path, seams, "lost")
    moved = []
    for ending in ("", *_SIDECARS) if aside is not None else _SIDECARS:
        old, new = sidecar(path, ending), sidecar(lost, ending)
        with contextlib.suppress(FileNotFoundError):
            os.rename(old, new)
            moved.append((old, new))
    try:
        if not seams.fs.publish(temporary, path, replace=False):
            raise _in_the_way(path)
    except (OSError, ConflictError):
        seams.fs.unlink(temporary)
        for old, new in moved:
            if not old.exists():
                os.rename(new, old)
        raise
    return moved


def _in_the_way(path: Path) -> ConflictError:
    return ConflictError(
        f"There is a file at {path} already.",
        kept="It was not touched.",
        hint="Make a new plan: the recovery then writes into that database.",
        path=str(path),
    )
