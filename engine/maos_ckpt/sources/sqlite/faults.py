"""SQLite's errors on a source, as the errors an operator can act on."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path, PurePath
from typing import Final

from maos_ckpt.errors import CkptError, PermissionRefusedError, SourceError, StorageError
from maos_ckpt.processes import Processes, ProcessInfo

KEPT: Final = "Nothing was changed."
#: At most this many processes are named in a message.
HOLDERS_NAMED_MAX: Final = 3
_WORD_CHARACTERS_MAX = 40


class DamagedError(SourceError):
    """The file is no SQLite database, or one whose pages do not hold together: a recovery can only build it anew."""


_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_REFUSED = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH)


def code_of(error: sqlite3.Error) -> int | None:
    """SQLite's extended result code, or None for an error that the Python module raised by itself."""
    found = getattr(error, "sqlite_errorcode", None)
    return found if isinstance(found, int) else None


def is_busy(error: sqlite3.Error) -> bool:
    """Whether somebody else's lock was in the way."""
    code = code_of(error)
    return code is not None and code & 0xFF in _BUSY


def is_corrupt(error: sqlite3.Error) -> bool:
    """Whether SQLite found pages that do not hold together."""
    code = code_of(error)
    return code is not None and code & 0xFF == sqlite3.SQLITE_CORRUPT


def is_undecodable(error: sqlite3.Error) -> bool:
    """Whether a text was not UTF-8: raised by the Python module itself, so without a result code."""
    return isinstance(error, sqlite3.OperationalError) and code_of(error) is None and "decode" in str(error)


def is_too_big(error: sqlite3.Error) -> bool:
    """Whether a value went beyond the limit set on the connection."""
    return code_of(error) == sqlite3.SQLITE_TOOBIG


def source_fault(error: sqlite3.Error, path: Path, place: str = "") -> CkptError:
    """The error for a failed statement on `path`; `place` may say where, as in ` at table agents`.

    SQLite's own text is left out: it may quote state content.
    """
    code = code_of(error)
    primary = None if code is None else code & 0xFF
    if primary == sqlite3.SQLITE_NOTADB:
        return not_a_database(path)
    if primary == sqlite3.SQLITE_CORRUPT:
        return damaged(path, place)
    if primary == sqlite3.SQLITE_FULL:
        return StorageError(
            f"No space left for the private image of {path}.",
            kept="The source and every checkpoint committed before are untouched.",
            hint="Free space on the repository's disk, then try again.",
            path=str(path),
        )
    if primary in _REFUSED:
        return refused(path)
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    return SourceError(
        f"The source database {path} cannot be read{place} ({name}).",
        kept=KEPT,
        hint="Check the disk and the file, then try again.",
        path=str(path),
        code=name,
    )


def os_fault(error: OSError, path: Path) -> CkptError:
    """The error for a failed system call on the source at `path`."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return SourceError(
            f"{path} does not exist.",
            kept=KEPT,
            hint="Check the path after --source.",
            path=str(path),
        )
    if isinstance(error, PermissionError):
        return refused(path)
    if error.errno in (errno.ELOOP, errno.ENXIO):
        return not_a_file(path)
    reason = os.strerror(error.errno) if error.errno else type(error).__name__
    return SourceError(
        f"The source {path} cannot be read: {reason}.",
        kept=KEPT,
        hint="Check the disk and the file, then try again.",
        path=str(path),
    )


def refused(path: Path) -> PermissionRefusedError:
    """The operating system lets us not read the source."""
    return PermissionRefusedError(
        f"The operating system refuses to read {path}.",
        kept=KEPT,
        hint="Run as the user who owns it, or give this user the right to read the file and its folder.",
        path=str(path),
    )


def not_a_file(path: Path) -> SourceError:
    """A directory, a socket or another thing stands where a file should."""
    return SourceError(
        f"{path} is not a regular file.",
        kept=KEPT,
        hint="Name the database file itself, or `maos:DIR` for a MAOS directory.",
        path=str(path),
    )


def empty(path: Path) -> DamagedError:
    """Zero bytes: a database that nobody has written to, or a file that was cut off."""
    return DamagedError(
        f"{path} is empty (0 bytes): there is no state in it.",
        kept=KEPT,
        hint="Try again when its owner has written to it, or restore a checkpoint: the file is moved aside.",
        path=str(path),
    )


def not_a_database(path: Path) -> DamagedError:
    """The header is not SQLite's."""
    return DamagedError(
        f"{path} is not a SQLite database (or is an encrypted one).",
        kept=KEPT,
        hint="Check the path after --source; if this was a database, restore a checkpoint: the file is moved aside.",
        path=str(path),
    )


def damaged(path: Path, place: str = "") -> DamagedError:
    """Pages do not hold together."""
    return DamagedError(
        f"The source database {path} is damaged{place}.",
        kept="Every checkpoint committed before is untouched, and so is the file.",
        hint="Restore the last checkpoint; the damaged file is moved aside, not removed.",
        path=str(path),
    )


def truncated(path: Path, expected_bytes: int, found_bytes: int) -> DamagedError:
    """The file ends before its pages do."""
    return DamagedError(
        f"The source database {path} is cut off: {found_bytes} bytes where its header says {expected_bytes}.",
        kept="Every checkpoint committed before is untouched, and so is the file.",
        hint="Restore the last checkpoint; the damaged file is moved aside, not removed.",
        path=str(path),
    )


def moved(path: Path) -> SourceError:
    """The file changed identity or content in a way that locks forbid."""
    return SourceError(
        f"{path} was replaced or changed without a lock while it was read.",
        kept=KEPT,
        hint="Try again; if it stays so, find the program that swaps the file.",
        path=str(path),
    )


def locked(path: Path, waited_s: float, processes: Processes, *, interrupted: bool = False) -> SourceError:
    """Somebody kept a lock for as long as we wait; `interrupted`: a crashed writer's journal waits for its rollback."""
    holders = processes.holders(path)
    named = ", ".join(describe_process(one) for one in holders[:HOLDERS_NAMED_MAX])
    more = f" and {len(holders) - HOLDERS_NAMED_MAX} more" if len(holders) > HOLDERS_NAMED_MAX else ""
    who = f"by {named}{more}" if named else "by a process that cannot be seen from here"
    pids = [one.pid for one in holders]
    if interrupted:
        return SourceError(
            f"{path} holds an interrupted transaction that nobody has rolled back in {waited_s:.0f} s; open {who}.",
            kept=KEPT,
            hint="Let that process write once, or stop it: then the capture rolls back in its own copy.",
            path=str(path),
            pids=pids,
        )
    return SourceError(
        f"{path} was locked for {waited_s:.0f} s {who}.",
        kept=KEPT,
        hint="Let that process finish its transaction, or stop it, then try again.",
        path=str(path),
        pids=pids,
    )


def describe_process(process: ProcessInfo) -> str:
    """`python3 maos (pid 12)`: the first two words without their folders; more of a command line may hold secrets."""
    words = [PurePath(word).name[:_WORD_CHARACTERS_MAX] for word in process.command[:2] if not word.startswith("-")]
    return f"{' '.join(words) or 'a process'} (pid {process.pid})"
