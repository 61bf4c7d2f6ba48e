"""One writer at a time: a lock on a file, with a word about who holds it.

The lock is the kernel's (`flock`), so it ends with its process, however that ends; the text beside it only tells
people.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from maos_ckpt.codec.undecodable import UNDECODABLE
from maos_ckpt.errors import LeaseHeldError
from maos_ckpt.fs import raise_storage_error
from maos_ckpt.seams import Seams

_RETRY_S = 0.05
_OWNER_BYTES_MAX = 4096


class Owner(msgspec.Struct, frozen=True):
    """Who holds a lock, for what, since when."""

    pid: int
    host: str
    purpose: str
    since_ms: int


@dataclass(slots=True)
class Lock:
    """A lock that is held; `release` ends it."""

    fd: int

    def release(self) -> None:
        """Give the lock back."""
        if self.fd >= 0:
            with contextlib.suppress(OSError):
                os.ftruncate(self.fd, 0)
            os.close(self.fd)
            self.fd = -1


def try_lock(path: Path, purpose: str, seams: Seams) -> Lock | None:
    """Take the lock at `path` if it is free, without waiting."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise_storage_error(error, path)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    except OSError as error:
        os.close(fd)
        raise_storage_error(error, path)
    owner = Owner(os.getpid(), socket.gethostname(), purpose, seams.clock.now_ms())
    with contextlib.suppress(OSError):
        # The text is for people; on a full disk the lock holds without it.
        os.ftruncate(fd, 0)
        os.pwrite(fd, msgspec.json.encode(owner), 0)
    return Lock(fd)


def owner_of(path: Path) -> Owner | None:
    """Who holds the lock at `path`, as far as the file tells."""
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(_OWNER_BYTES_MAX), type=Owner)
    except (OSError, *UNDECODABLE):
        return None


@contextlib.contextmanager
def lease(path: Path, purpose: str, wait_s: float, seams: Seams) -> Iterator[None]:
    """Hold the lock at `path` for the length of the block.

    Raises:
        LeaseHeldError: somebody else held it for all of `wait_s`.
    """
    deadline_s = seams.clock.monotonic_s() + wait_s
    lock = try_lock(path, purpose, seams)
    while lock is None:
        if seams.clock.monotonic_s() >= deadline_s:
            raise _held(path)
        seams.clock.sleep(_RETRY_S)
        lock = try_lock(path, purpose, seams)
    try:
        yield
    finally:
        lock.release()


def _held(path: Path) -> LeaseHeldError:
    owner = owner_of(path)
    who = f"process {owner.pid} on {owner.host} ({owner.purpose})" if owner else "another process"
    data = {} if owner is None else msgspec.structs.asdict(owner)
    return LeaseHeldError(
        f"The repository is busy: {who} is at work on it.",
        kept="Nothing was changed.",
        hint="Wait for it to end and try again.",
        **data,
    )
