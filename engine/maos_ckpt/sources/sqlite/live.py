"""Holding a live SQLite database for a recovery, without its owner noticing more than a pause.

The order that gave no error in any measured run: stop the processes that write to the file, then `BEGIN EXCLUSIVE`
without waiting; where somebody was stopped in the middle of a transaction the database is busy, so let all of them run
on for some milliseconds and try again. Taking the lock first, or waiting for it, makes MAOS's own statements fail.

While a `Held` is open:

- rollback journal: no other connection can read, not even one of this process. The file itself holds the state before
  the transaction until the first write spills or commits, so a raw copy through a descriptor *that stays open until the
  hold has ended* (closing any descriptor of the file would drop this process's locks on it) is the captured state.
- WAL: any read-only connection, also in this process, reads the state before the transaction.
- in both, `Held.connection` reads the state including its own writes, before they are committed.

Opening and closing other SQLite connections in this process does no harm: the library keeps their descriptors open.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NoReturn

from maos_ckpt.errors import PermissionRefusedError, SourceError
from maos_ckpt.processes import ProcessInfo
from maos_ckpt.seams import Seams
from maos_ckpt.sources.base import LOCK_WAIT_S
from maos_ckpt.sources.sqlite.faults import HOLDERS_NAMED_MAX, DamagedError, describe_process
from maos_ckpt.sources.sqlite.fence import FENCE_S, FENCE_SLACK_S, committed_recovery, create_fence, drop_fence
from maos_ckpt.sources.sqlite.guardian import Guardian
from maos_ckpt.sources.sqlite.pause import Pause

#: Attempts to take the lock; the time limit usually comes first.
ATTEMPTS_MAX: Final = 500
#: After how many attempts to look for further processes that have opened the file.
ATTEMPTS_PER_SCAN: Final = 25
#: Pauses between attempts: long enough for a stopped transaction to end, growing with every attempt.
RETRY_S_MIN: Final = 0.004
RETRY_S_MAX: Final = 0.016
RETRY_GROWTH: Final = 1.2
#: Page cache of the writing connection; what does not fit is spilled to the file early, which is right but slower.
CACHE_KIB: Final = 64 << 10
_READ_WAIT_S: Final = 5.0

_BUSY, _LOCKED, _PROTOCOL = sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL
_REFUSED: Final = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH)
_NOT_A_DATABASE: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


@dataclass(slots=True)
class Readers:
    """Connections that read a held file in place, past its locks. They are closed when the hold has ended: closing any
    descriptor of the file drops the locks that this process has on it."""

    free: list[sqlite3.Connection] = field(default_factory=list)
    all: list[sqlite3.Connection] = field(default_factory=list)
    connection: type[sqlite3.Connection] = field(init=False)

    def __post_init__(self) -> None:
        free, every = self.free, self.all

        class Kept(sqlite3.Connection):
            """Closing it leaves it as new to the next reader; it stays open from its first moment on."""

            def __init__(self, *arguments: Any, **others: Any) -> None:
                super().__init__(*arguments, **others)
                every.append(self)
                self._length_max = self.getlimit(sqlite3.SQLITE_LIMIT_LENGTH)
                self._changed = False

            def create_collation(self, *arguments: Any) -> None:
                # That cannot be taken back, and another reader has to see that the order is nobody's.
                self._changed = True
                super().create_collation(*arguments)

            def close(self) -> None:
                self.text_factory = str
                self.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, self._length_max)
                if not self._changed:
                    free.append(self)

        self.connection = Kept

    def forget(self) -> None:
        """What was read is not what will be: later readers open the file anew."""
        self.free.clear()

    def close(self) -> None:
        """Close all, once this process has no lock on the file any more."""
        for one in self.all:
            sqlite3.Connection.close(one)


@dataclass(slots=True)
class Held:
    """A database under an exclusive lock, its writers stopped.

    `connection` is inside `BEGIN EXCLUSIVE`, with foreign keys and CHECK constraints off; end the transaction only by
    `commit`. `stopped`: the stopped writers, without their terminals. `attempts`: how often the lock was tried. `wal`:
    the journal mode. `identity`: the file's device and inode. `stall_s`: the longest time that they stood still,
    complete after the block. `readers`: see `held_image.HeldImage`.
    """

    path: Path
    connection: sqlite3.Connection
    wal: bool
    stopped: tuple[ProcessInfo, ...]
    attempts: int
    seams: Seams
    identity: tuple[int, int]
    stall_s: float = 0.0
    readers: Readers = field(default_factory=Readers, repr=False)
    _guardian: Guardian | None = field(default=None, repr=False)

    def beat(self) -> None:
        """Tell the guardian that this process is at work; call it at least every `guardian.BEAT_S_MAX`."""
        if self._guardian is not None:
            self._guardian.beat()

    @contextlib.contextmanager
    def again(self) -> Iterator[None]:
        """After `commit`: take the lock once more, to look at what stands there.

        Raises:
            SourceError: somebody else has it, or another file stands there.
        """
        with mapped(self.path):
            self.connection.execute("BEGIN EXCLUSIVE")
            try:
                _require_same(self.path, self.identity)
                yield
            finally:
                self.connection.execute("ROLLBACK")

    def forget_readers(self) -> None:
        """Let no reader go on with what it read before."""
        self.readers.forget()

    def commit(self) -> None:
        """Commit now, while the writers still stand; what belongs to the same moment, as files do, can follow.

        Raises:
            SourceError: the commit failed and was taken back, or somebody put another file in the database's place.
        """
        _require_same(self.path, self.identity)
        try:
            self.connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise_source_error(error, self.path)

    def mark(self, recovery: str) -> bool:
        """Put the fence, which is the mark of the commit too, into the transaction; the last step of the block.

        Returns:
            False where no table could carry it.
        """
        # It is dropped `FENCE_S` after the writers run on; it expires by itself where nobody is left to do so.
        lasts_s = int(FENCE_S + FENCE_SLACK_S)
        expires_at_s = self.seams.clock.now_ms() // 1000 + lasts_s if self.stopped else 0
        return create_fence(self.connection, recovery, expires_at_s=expires_at_s)


@contextlib.contextmanager
def hold(
    path: Path, seams: Seams, *, wait_s: float = LOCK_WAIT_S, waiting: Callable[[], None] = lambda: None
) -> Iterator[Held]:
    """Hold the database at `path`; leaving the block commits, an exception in it rolls back.

    Whatever happens, the stopped processes are continued: by this process, or by the guardian if it dies.

    Args:
        waiting: called between attempts at the lock, while nobody is stopped; what it raises ends them.

    Raises:
        PermissionRefusedError: file or directory cannot be written, or the holder may not be signalled; raised before
            anything is stopped.
        SourceError: missing, not a database, still locked after `wait_s`, or the commit failed.
    """
    _require_writable(path)
    identity = _identity(path)
    pause = Pause(path, seams)
    with (
        contextlib.closing(Readers()) as readers,
        contextlib.closing(_connect(path, "rw")) as connection,
        contextlib.closing(pause),
    ):
        _require_database(connection, path)
        attempts = _lock(connection, path, seams, pause, wait_s, waiting)
        held = Held(path, connection, False, pause.stopped, attempts, seams, identity, 0.0, readers, pause.guardian)
        try:
            _require_same(path, identity)
            with mapped(path):
                connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
                held.wal = connection.execute("PRAGMA main.journal_mode").fetchone()[0] == "wal"
                yield held
                if connection.in_transaction:
                    held.commit()
        finally:
            # Nothing of a failed block may reach the file, and MAOS runs on before anything else happens.
            try:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
            finally:
                pause.resume()
                held.stall_s = pause.longest_s


def remove_fence(path: Path, seams: Seams, recovery: str | None = None) -> bool:
    """Drop the fence now, with the same care as a recovery; with `recovery` only that one's. False: not there."""
    there = last_recovery(path)
    if there is None or recovery not in (None, there):
        return False
    with hold(path, seams) as held:
        return drop_fence(held.connection, recovery)


def release_fence(held: Held, recovery: str) -> None:
    """Have the fence dropped, once the caller has noted durably that the recovery was committed.

    Where MAOS runs a guardian process does it after `FENCE_S`, also when this process ends before; else it is done now.
    """
    if not held.stopped:
        remove_fence(held.path, held.seams, recovery)
        return
    guardian = Guardian.start()
    try:
        guardian.drop_fence(held.path, recovery, FENCE_S)
    finally:
        guardian.close()


def last_recovery(path: Path) -> str | None:
    """Which recovery's transaction is committed in the file and not yet cleared up, or None; takes a short read lock.

    Rolls back what a crash has left half-way, as the next connection of any program would.

    Raises:
        SourceError: the database cannot be read.
    """
    with contextlib.closing(_connect(path, "rw", timeout_s=_READ_WAIT_S)) as connection, mapped(path):
        return committed_recovery(connection)


def has_tables(path: Path) -> bool:
    """Whether the database has a table; takes a short read lock, and raises as `last_recovery`."""
    with contextlib.closing(_connect(path, "rw", timeout_s=_READ_WAIT_S)) as connection, mapped(path):
        return connection.execute("SELECT 1 FROM main.sqlite_master WHERE type = 'table'").fetchone() is not None


def _lock(
    connection: sqlite3.Connection,
    path: Path,
    seams: Seams,
    pause: Pause,
    wait_s: float,
    waiting: Callable[[], None],
) -> int:
    """Stop and lock; the number of attempts. Where it raises, everybody has been continued."""
    until = seams.clock.monotonic_s() + wait_s
    retry_s = RETRY_S_MIN
    for attempt in range(1, ATTEMPTS_MAX + 1):
        if attempt % ATTEMPTS_PER_SCAN == 1:
            pause.scan()
        locked = False
        try:
            if pause.stop():
                with mapped(path):
                    locked = _begin(connection)
        finally:
            if not locked:
                pause.resume()
        if locked:
            return attempt
        if seams.clock.monotonic_s() > until:
            break
        waiting()
        jitter = 1 + seams.random.token(1)[0] / 255
        seams.clock.sleep(retry_s * jitter)
        retry_s = min(retry_s * RETRY_GROWTH, RETRY_S_MAX)
    raise _still_locked(path, seams.processes.holders(path), pause.standing)


def _begin(connection: sqlite3.Connection) -> bool:
    try:
        connection.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        if _primary(error) in (_BUSY, _LOCKED, _PROTOCOL):
            return False
        raise
    return True


def _connect(path: Path, mode: str, *, timeout_s: float = 0.0) -> sqlite3.Connection:
    with mapped(path):
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}",
            uri=True,
            timeout=timeout_s,
            isolation_level=None,
            cached_statements=512,
        )
        # These change this connection alone and touch no page, so they need no lock. What a checkpoint holds has once
        # passed the CHECK constraints; one that asks for the time of day must not stop a recovery.
        for setting in ("foreign_keys = OFF", "trusted_schema = OFF", "ignore_check_constraints = ON"):
            connection.execute(f"PRAGMA {setting}")
        return connection


def _require_writable(path: Path) -> None:
    if not path.is_file():
        raise SourceError(
            f"There is no database file at {path}.",
            kept="Nothing was changed.",
            hint="Check the source's path; a recovery onto a missing database builds a new one.",
            path=str(path),
        )
    for what, place, mode in (("file", path, os.W_OK), ("directory", path.absolute().parent, os.W_OK | os.X_OK)):
        if not os.access(place, mode):
            raise PermissionRefusedError(
                f"The database's {what} {place} cannot be written.",
                kept="Nothing was changed and nothing was stopped.",
                hint="Run as the user who runs MAOS, or give this user the right to write there.",
                path=str(place),
            )


def _identity(path: Path) -> tuple[int, int]:
    found = os.stat(path)
    return found.st_dev, found.st_ino


def _require_same(path: Path, identity: tuple[int, int]) -> None:
    """See that the locked file is still the one of that name: what is written to another one nobody would read."""
    try:
        same = _identity(path) == identity
    except FileNotFoundError:
        same = False
    if not same:
        raise _replaced(path)


def _replaced(path: Path) -> SourceError:
    return SourceError(
        f"{path} was replaced or removed while it was being recovered.",
        kept="The transaction was rolled back; what stands there now was not touched.",
        hint="See who did that, then try again.",
        path=str(path),
    )


def _require_database(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse what is no database before anything is stopped; a lock held by somebody else is no reason."""
    try:
        connection.execute("SELECT 1 FROM main.sqlite_master LIMIT 1").fetchone()
    except sqlite3.Error as error:
        if _primary(error) not in (_BUSY, _LOCKED, _PROTOCOL):
            raise_source_error(error, path)


@contextlib.contextmanager
def mapped(path: Path) -> Iterator[None]:
    """Errors of SQLite inside the block leave it as `SourceError` or `PermissionRefusedError`."""
    try:
        yield
    except sqlite3.Error as error:
        raise_source_error(error, path)


def _primary(error: sqlite3.Error) -> int:
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF


def raise_source_error(error: sqlite3.Error, path: Path) -> NoReturn:
    """Turn an error of SQLite on the live database into the one an operator can act on."""
    code = _primary(error)
    kept = "The transaction was rolled back; nothing was changed."
    if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_READONLY_DBMOVED:
        raise _replaced(path) from error
    if code in _REFUSED:
        raise PermissionRefusedError(
            f"The database {path} cannot be written.",
            kept=kept,
            hint="Run as the user who runs MAOS, on a file system that is not mounted read-only.",
            path=str(path),
        ) from error
    if code in _NOT_A_DATABASE:
        raise DamagedError(
            f"{path} is damaged or no SQLite database.",
            kept=kept,
            hint="Move it away and restore again: that builds a new file.",
            path=str(path),
        ) from error
    if code == sqlite3.SQLITE_FULL:
        message, hint = f"No space left to write {path}.", "Free space, then try again."
    elif code in (_BUSY, _LOCKED, _PROTOCOL):
        message, hint = f"{path} is locked by another process.", "Try again when that process is done."
    else:
        message, hint = f"SQLite failed on {path}: {error}.", "Run `maos-ckpt doctor`."
    raise SourceError(message, kept=kept, hint=hint, path=str(path)) from error


def _still_locked(path: Path, holders: Sequence[ProcessInfo], standing: Sequence[ProcessInfo]) -> SourceError:
    named = ", ".join(map(describe_process, holders[:HOLDERS_NAMED_MAX])) or "a process that this user cannot see"
    hint = "End or wait for that process, then try again."
    if standing:
        hint = (
            f"{describe_process(standing[0])} was stopped in the middle of a transaction: continue it (`kill -CONT`)."
        )
    return SourceError(
        f"{path} stays locked; it is open in {named}.",
        kept="Nothing was changed, and nothing is left stopped.",
        hint=hint,
        path=str(path),
        pids=[one.pid for one in holders],
    )
