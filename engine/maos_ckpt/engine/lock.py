"""One engine per repository: a file lock that the kernel drops when its holder dies, with a note of who holds it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
from dataclasses import asdict, dataclass
from pathlib import Path

from maos_ckpt.fs import raise_storage_error
from maos_ckpt.seams import Seams

FILE_NAME = "engine.lock"
#: Whoever only asks holds the lock for an instant, so taking it is tried this often.
TRIES = 10
_PAUSE_S = 0.02
_NOTE_BYTES_MAX = 4096


@dataclass(frozen=True, slots=True)
class Owner:
    """The engine that schedules saves of a repository."""

    pid: int
    host: str
    since_ms: int
    interval_s: float

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


class EngineLock:
    """The lock of one repository, held or not."""

    def __init__(self, repository: Path, seams: Seams) -> None:
        self._path = repository / FILE_NAME
        self._seams = seams
        self._fd = -1

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._fd >= 0

    def acquire(self, interval_s: float, *, tries: int = TRIES) -> bool:
        """Take the lock and leave a note; False where another engine holds it at each of `tries`.

        Raises:
            StorageError, PermissionRefusedError: the repository's directory refuses.
        """
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise_storage_error(error, self._path)
        for attempt in range(tries):
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if attempt < tries - 1:
                    self._seams.clock.sleep(_PAUSE_S)
        else:
            os.close(fd)
            return False
        try:
            self._note(fd, interval_s)
        except OSError as error:
            os.close(fd)
            raise_storage_error(error, self._path)
        self._fd = fd
        return True

    def renew(self, interval_s: float) -> None:
        """Note a schedule that begins now, while the lock is held.

        Raises:
            StorageError, PermissionRefusedError: the repository's directory refuses.
        """
        try:
            self._note(self._fd, interval_s)
        except OSError as error:
            raise_storage_error(error, self._path)

    def _note(self, fd: int, interval_s: float) -> None:
        owner = Owner(os.getpid(), socket.gethostname(), self._seams.clock.now_ms(), interval_s)
        os.ftruncate(fd, 0)
        os.pwrite(fd, json.dumps(asdict(owner)).encode(), 0)

    def release(self) -> None:
        """Give the lock back; safe to call twice."""
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, 0)
            os.close(self._fd)
            self._fd = -1


def engine_owner(repository: Path) -> Owner | None:
    """The engine that now runs on a repository, or None."""
    try:
        fd = os.open(repository / FILE_NAME, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _read_note(fd)
        return None
    finally:
        os.close(fd)


def _read_note(fd: int) -> Owner:
    try:
        note = json.loads(os.pread(fd, _NOTE_BYTES_MAX, 0))
        return Owner(int(note["pid"]), str(note["host"]), int(note["since_ms"]), float(note["interval_s"]))
    except (ValueError, KeyError, TypeError, OSError):
        # Held, but its note is not written yet or was damaged.
        return Owner(0, "unknown", 0, 0.0)
