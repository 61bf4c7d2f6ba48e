"""What may be wrong before it goes wrong: machine, storage, source and terminal, each as one line."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from maos_ckpt.seams import Seams
from maos_ckpt.sources.base import LOCK_BUDGET_S, LOCK_STOP_S

#: Below this much free space a save is likely to fail soon.
FREE_BYTES_MIN = 256 << 20
#: Oldest SQLite that the captures have run with.
SQLITE_MIN = (3, 35, 0)
#: How long the source stays locked for each byte (1.3 to 3 ms a megabyte were measured; the worse is assumed).
LOCK_S_PER_BYTE = 3e-9
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


def check_disk(path: Path) -> Check:
    """Free space where the repository is, or will be."""
    there = next((one for one in (path, *path.parents) if one.exists()), Path("/"))
    try:
        free = shutil.disk_usage(there).free
    except OSError as error:
        return Check("disk", False, f"{there}: {error.strerror}")
    ok = free >= FREE_BYTES_MIN
    advice = "" if ok else f"; less than {size_text(FREE_BYTES_MIN)}, free some or run `maos-ckpt prune`"
    return Check("disk", ok, f"{size_text(free)} free at {there}{advice}")


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


def check_lock(database: Path) -> Check:
    """How long a capture is going to lock the source's database, from its size."""
    try:
        size = database.stat().st_size
    except OSError as error:
        return Check("lock", False, f"{database}: {error.strerror}")
    forecast_s = size * LOCK_S_PER_BYTE
    ok = forecast_s <= LOCK_STOP_S
    detail = f"{size_text(size)}, locked for about {forecast_s:.2f} s at a full capture"
    if forecast_s > LOCK_BUDGET_S:
        detail += f"; the budget is {LOCK_BUDGET_S} s, the hard stop {LOCK_STOP_S} s"
    return Check("lock", ok, detail)


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
    from maos_ckpt.errors import CkptError

    try:
        return Check(name, True, look())
    except CkptError as error:
        return Check(name, False, f"{error.message} {error.hint}".strip())
