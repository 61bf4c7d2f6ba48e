"""What may be wrong before it goes wrong: machine, storage, source and terminal, each as one line."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from maos_ckpt.errors import CkptError
from maos_ckpt.repository.lease import owner_of, try_lock
from maos_ckpt.seams import Seams
from maos_ckpt.sources.base import LOCK_BUDGET_S
from maos_ckpt.sources.maos.layout import TABLE_COMPONENTS
from maos_ckpt.sources.sqlite.image import Image, capture_image
from maos_ckpt.sources.sqlite.schema import read_schema

#: Below this much free space a save is likely to fail soon.
FREE_BYTES_MIN = 256 << 20
#: Oldest SQLite that the captures have run with.
SQLITE_MIN = (3, 35, 0)
#: Whoever holds the lease for longer than this may hang.
LEASE_LONG_S = 600.0
#: How long SQLite's quick check of a copy may take.
QUICK_CHECK_S = 5.0
_FAULTS_LISTED = 3
#: Steps of SQLite's virtual machine between two looks at the clock.
_STEPS_PER_LOOK = 10_000
#: Tables that every MAOS since 0.3.2 makes; later ones add some.
MAOS_TABLES = ("agents", "sessions", "tasks", "messages", "checkpoints")
#: A wall clock before this was never set (2024-01-01).
_CLOCK_MS_MIN = 1_704_067_200_000


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at; `detail` says what was found, and where it is not `ok`, what to do."""

    name: str
    ok: bool
    detail: str


def size_text(number: float) -> str:
    """Bytes in the largest unit that leaves a number of at least one."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} TiB"


def check_sqlite() -> Check:
    """The SQLite library of this Python."""
    ok = sqlite3.sqlite_version_info >= SQLITE_MIN
    wanted = "" if ok else f"; {'.'.join(map(str, SQLITE_MIN))} or newer is needed"
    return Check("sqlite", ok, f"SQLite {sqlite3.sqlite_version}{wanted}")


def check_clock(seams: Seams, newest_ms: int | None) -> Check:
    """The wall clock: set at all, and not behind the newest checkpoint."""
    now_ms = seams.clock.now_ms()
    if now_ms < _CLOCK_MS_MIN:
        return Check("clock", False, "the clock was never set; times of checkpoints will mislead")
    if newest_ms is not None and newest_ms > now_ms:
        behind_s = (newest_ms - now_ms) / 1000
        return Check(
            "clock", False, f"the newest checkpoint is {behind_s:.0f} s in the future; was the clock set back?"
        )
    return Check("clock", True, "the clock is plausible")


def check_permissions(repository: Path) -> Check:
    """The repository holds all that the agents said: nobody else may read it."""
    try:
        mode = stat.S_IMODE(os.stat(repository).st_mode)
        owner = os.stat(repository).st_uid
    except OSError as error:
        return Check("permissions", False, f"{repository}: {error.strerror}")
    if owner != os.geteuid():
        return Check("permissions", False, f"{repository} belongs to user {owner}, not to this one")
    if mode & 0o077:
        return Check("permissions", False, f"{repository} has mode {mode:04o}; make it private: chmod 700")
    return Check("permissions", True, f"{repository} has mode {mode:04o}")


@dataclass(frozen=True, slots=True)
class Disk:
    """Free space of the disk that a repository is on, None where that cannot be told; `text` says it to people."""

    ok: bool
    free_bytes: int | None
    text: str


def disk(path: Path, expected_bytes: int) -> Disk:
    """Free space where the repository is, or will be.

    Args:
        expected_bytes: what the next saves may take there.
    """
    there = next((one for one in (path, *path.parents) if one.exists()), Path("/"))
    try:
        free = shutil.disk_usage(there).free
    except OSError as error:
        return Disk(False, None, f"{there}: {error.strerror}")
    wanted = max(FREE_BYTES_MIN, expected_bytes)
    ok = free >= wanted
    way_out = "free some; the folder cache/ may be deleted, and `maos-ckpt prune --keep-last N` removes checkpoints"
    advice = "" if ok else f"; the next saves want {size_text(wanted)}: {way_out}"
    return Disk(ok, free, f"{size_text(free) if free else 'nothing'} free at {there}{advice}")


def check_disk(path: Path, expected_bytes: int) -> Check:
    """See `disk`."""
    found = disk(path, expected_bytes)
    return Check("disk", found.ok, found.text)


def check_lease(repository: Path, seams: Seams) -> Check:
    """Whether a writer would get the repository, tried by taking its lease."""
    path = repository / "lease"
    try:
        lock = try_lock(path, "doctor", seams)
    except CkptError as error:
        return Check("lease", False, told(error))
    if lock is not None:
        lock.release()
        return Check("lease", True, "the lease is free")
    owner = owner_of(path)
    if owner is None:
        return Check("lease", True, "another process is at work on the repository")
    age_s = (seams.clock.now_ms() - owner.since_ms) / 1000
    detail = f"process {owner.pid} on {owner.host} has been at work for {age_s:.0f} s ({owner.purpose})"
    if age_s <= LEASE_LONG_S:
        return Check("lease", True, detail)
    return Check("lease", False, f"{detail}; if it hangs, end that process: its lease ends with it")


def check_writable(repository: Path, seams: Seams) -> Check:
    """Whether a file can be made durable in the repository, tried with one."""
    directory = next((one for one in (repository, *repository.parents) if one.is_dir()), Path("/"))
    probe = directory / f".maos-ckpt-doctor-{seams.random.token(6).hex()}"
    started_s = seams.clock.monotonic_s()
    try:
        fd = seams.fs.create(probe)
        try:
            seams.fs.write(fd, b"doctor")
            seams.fs.sync(fd)
        finally:
            seams.fs.close(fd)
            seams.fs.unlink(probe)
    except OSError as error:
        return Check("storage", False, f"{directory} cannot be written: {error.strerror}")
    took_ms = (seams.clock.monotonic_s() - started_s) * 1000
    return Check("storage", True, f"{directory} can be written; a synced write takes {took_ms:.1f} ms")


def check_capture(database: Path, directory: Path, *, of_maos: bool, seams: Seams) -> list[Check]:
    """Freeze the database as a save does, and look at the copy: `lock`, `database` and `schema`.

    Args:
        directory: where the copy goes; it is removed again.
        of_maos: whether tables of a MAOS are expected in it.
    """
    try:
        size = database.stat().st_size
        image = capture_image(database, directory, seams, lambda: None)
    except OSError as error:
        return [Check("lock", False, f"{database}: {error.strerror}")]
    except CkptError as error:
        return [Check("lock", False, told(error))]
    try:
        return [_lock(size, image), _content(image, seams), _schema(image, of_maos=of_maos)]
    finally:
        image.close()


def _lock(size: int, image: Image) -> Check:
    detail = f"{size_text(size)}, copied with a read lock held for {image.lock_s:.3f} s"
    if image.lock_s <= LOCK_BUDGET_S:
        return Check("lock", True, f"{detail}; the budget is {LOCK_BUDGET_S} s")
    return Check("lock", False, f"{detail}, more than the {LOCK_BUDGET_S} s its owner should wait; WAL mode avoids it")


def _content(image: Image, seams: Seams) -> Check:
    deadline_s = seams.clock.monotonic_s() + QUICK_CHECK_S
    try:
        with contextlib.closing(image.open()) as connection:
            connection.set_progress_handler(lambda: seams.clock.monotonic_s() > deadline_s, _STEPS_PER_LOOK)
            found = [str(row[0]) for row in connection.execute(f"PRAGMA quick_check({_FAULTS_LISTED})")]
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
            return Check("database", True, f"no fault found in the {QUICK_CHECK_S:.0f} s that a look may take")
        found = [str(error)]
    except sqlite3.DatabaseError as error:
        found = [str(error)]
    if found == ["ok"]:
        return Check("database", True, "SQLite's quick check finds no fault")
    advice = "stop its writers and `maos-ckpt restore` a checkpoint from before, or let SQLite's `.recover` at a copy"
    return Check("database", False, f"damaged: {'; '.join(found)}; {advice}")


def _schema(image: Image, *, of_maos: bool) -> Check:
    try:
        with contextlib.closing(image.open()) as connection:
            schema = read_schema(connection, journal_mode=image.journal_mode)
    except (sqlite3.Error, CkptError) as error:
        return Check("schema", False, f"the schema cannot be read: {error}")
    if not of_maos:
        return Check("schema", True, f"{len(schema.tables)} tables")
    known = [name for name in TABLE_COMPONENTS if schema.table(name) is not None]
    lacking = [name for name in MAOS_TABLES if name not in known]
    if lacking:
        advice = "is this the database of a MAOS? Everything in it is saved all the same"
        return Check("schema", False, f"tables of a MAOS are missing: {', '.join(lacking)}; {advice}")
    others = len(schema.tables) - len(known)
    return Check("schema", True, f"{len(known)} tables of a MAOS" + (f", and {others} others" if others else ""))


def check_running(database: Path, seams: Seams) -> Check:
    """Who has the database open now; nobody is fine, too."""
    holders = seams.processes.holders(database, writing=True)
    if not holders:
        return Check("maos", True, "no process has the database open")
    named = ", ".join(f"{one.pid} ({' '.join(one.command)[:60]})" for one in holders[:5])
    return Check("maos", True, f"open in {len(holders)} process{'' if len(holders) == 1 else 'es'}: {named}")


def check_terminal(terminal_type: str, *, is_terminal: bool, columns: int, rows: int) -> Check:
    """Whether the console would show here; no terminal at all is fine for an engine."""
    if not is_terminal:
        return Check("terminal", True, "no terminal; the console needs one, everything else does not")
    if terminal_type in ("", "dumb", "unknown"):
        return Check("terminal", False, f"TERM is {terminal_type or 'not set'}; the console needs a real one")
    ok = columns >= 60 and rows >= 20
    advice = "" if ok else "; the console wants at least 60 by 20"
    return Check("terminal", ok, f"{terminal_type}, {columns} by {rows}{advice}; over a slow line use `ssh -C`")


def attempt(name: str, look: Callable[[], str]) -> Check:
    """A check that is fine where `look` raises nothing; returns what it says."""
    try:
        return Check(name, True, look())
    except CkptError as error:
        return Check(name, False, told(error))


def told(error: CkptError) -> str:
    """An error as the detail of a check: what is wrong, and what to do."""
    return f"{error.message} {error.hint}".strip()
