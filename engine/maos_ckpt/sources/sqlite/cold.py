"""Copying a SQLite database that nobody has open, journal or log included, and letting SQLite mend the copy.

Used where the live file cannot be opened for reading without being written to: a crashed writer left a hot journal,
or a closed WAL database would get new `-wal` and `-shm` files from the mere look. Copying takes no lock: a copy counts
only if the files are the same before and after.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from maos_ckpt.errors import SourceError
from maos_ckpt.seams import Seams
from maos_ckpt.sources.sqlite import faults, probe
from maos_ckpt.sources.sqlite.copying import copy_range

#: Attempts at a copy during which nothing moves, and the pause between them.
COPY_TRIES: Final = 5
COPY_PAUSE_S: Final = 0.05
_NOTES: Final = {
    "-journal": "A transaction that a crash had interrupted was rolled back in the checkpoint, not in the source.",
    "-wal": "The log that nobody had folded into the database was folded into the checkpoint, not into the source.",
}
_SIDECARS: Final = tuple(_NOTES)


def copy_cold(path: Path, target: Path, seams: Seams, while_frozen: Callable[[], None]) -> str:
    """Copy database, journal and log to `target`, and bring the copy to the state its next opener would see.

    `while_frozen` is called between the two looks, once for each attempt. Returns a note on what was mended, "" where
    nothing was.

    Raises:
        SourceError: the files kept changing, or the copy cannot be recovered.
        OSError: reading or writing failed.
    """
    for attempt in range(COPY_TRIES):
        if attempt:
            seams.clock.sleep(COPY_PAUSE_S)
        before = _state(path)
        while_frozen()
        _copy(path, target)
        if _state(path) == before and before[0] is not None:
            return _recover(path, target)
        discard(target)
    raise faults.moved(path)


def discard(target: Path) -> None:
    """Remove a private copy with everything SQLite may have put beside it."""
    for ending in ("", *_SIDECARS, "-shm"):
        # What cannot be removed goes with its directory; an error here would hide the one that brought us here.
        with contextlib.suppress(OSError):
            probe.sidecar(target, ending).unlink(missing_ok=True)


def _state(path: Path) -> list[object]:
    identities: list[object] = [probe.identity(probe.sidecar(path, ending)) for ending in ("", *_SIDECARS)]
    return [*identities, os.pread(probe.live_descriptor(path), probe.HEADER_BYTES, 0)]


def _copy(path: Path, target: Path) -> None:
    _copy_descriptor(probe.live_descriptor(path), target)
    for ending in _SIDECARS:
        # No SQLite lock is held on journal or log themselves: their descriptors may be closed.
        try:
            fd = os.open(probe.sidecar(path, ending), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            continue
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise faults.not_a_file(probe.sidecar(path, ending))
            _copy_descriptor(fd, probe.sidecar(target, ending))
        finally:
            os.close(fd)


def _copy_descriptor(fd: int, target: Path) -> None:
    sink = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        copy_range(fd, sink, os.fstat(fd).st_size)
    finally:
        os.close(sink)


def _refuse_super_journal(journal: Path) -> None:
    # Rolling such a journal back makes SQLite open, and perhaps delete, whatever file its last bytes name.
    if not journal.exists():
        return
    with journal.open("rb") as file:
        file.seek(max(0, journal.stat().st_size - len(probe.JOURNAL_MAGIC)))
        ending = file.read()
    if ending == probe.JOURNAL_MAGIC:
        raise SourceError(
            "An interrupted transaction over several databases waits to be rolled back.",
            kept=faults.KEPT,
            hint="Open all of them once with the program that wrote them, then try again.",
        )


def _recover(path: Path, target: Path) -> str:
    notes = [note for ending, note in _NOTES.items() if _is_filled(probe.sidecar(target, ending))]
    if not notes:
        return ""
    _refuse_super_journal(probe.sidecar(target, "-journal"))
    try:
        connection = sqlite3.connect(target, timeout=0, isolation_level=None)
        try:
            connection.execute("PRAGMA trusted_schema=OFF")
            # The first read rolls a hot journal back; leaving WAL mode moves the log into the file.
            connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
            connection.execute("PRAGMA journal_mode=DELETE").fetchone()
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise faults.source_fault(error, path) from error
    return notes[0]


def _is_filled(sidecar: Path) -> bool:
    return sidecar.exists() and sidecar.stat().st_size > 0
