"""Packs that only the remote copy holds, brought home: after a disaster recovery the home is made whole again.

A pack is read without the home's lease, which it takes for the moment of its renaming alone: saves never wait for the
network.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from maos_ckpt.errors import IntegrityError
from maos_ckpt.fs import raise_storage_error
from maos_ckpt.repository.packs import pack_digest
from maos_ckpt.repository.repository import Repository

#: One call ends after the pack with which it has read so many bytes.
BYTES_MAX: Final = 64 << 20
_PORTION_BYTES: Final = 4 << 20
#: How long to wait for the home's lease before a pack is left for the next time.
_LEASE_WAIT_S: Final = 10.0
_TEMPORARY: Final = "fetched-"


def far_packs(repository: Repository) -> dict[str, int]:
    """Packs that lie in the remote copy alone, with their sizes in bytes; those that are to go there do not count."""
    if repository.remote is None:
        return {}
    here = repository.backend.list("packs")
    return {name: size for name, size in repository.remote.memory.below("packs").items() if name not in here}


def bring_home(repository: Repository, room_bytes: int | None, stop: Callable[[], bool] = lambda: False) -> int:
    """Bring some packs home, the smallest first; how many. The caller does not hold the home's lease.

    Args:
        room_bytes: what there is room for; None for any amount.
        stop: asked between portions.

    Raises:
        UnavailableError, PermissionRefusedError: the remote copy cannot be read, or the home not written.
        LeaseHeldError: the home is in use for too long.
    """
    number = read_bytes = 0
    for name, size in sorted(far_packs(repository).items(), key=lambda item: item[1]):
        beyond_room = room_bytes is not None and read_bytes + size > room_bytes
        if read_bytes >= BYTES_MAX or beyond_room or stop():
            break
        if _bring(repository, name, size, stop):
            number += 1
            read_bytes += size
    return number


def _bring(repository: Repository, name: str, size: int, stop: Callable[[], bool]) -> bool:
    fs, directory = repository.seams.fs, repository.path / "cache"
    for left in directory.glob(f"{_TEMPORARY}*"):
        # Of a process that was killed: only one engine at a time replicates a home.
        fs.unlink(left)
    temporary = directory / f"{_TEMPORARY}{repository.seams.random.token(8).hex()}"
    try:
        if not _fetch(repository, name, size, temporary, stop):
            return False
        with repository.lease("fetch", _LEASE_WAIT_S):
            if not repository.remote_copy.memory.holds(name):
                # A prune gave it up meanwhile.
                return False
            repository.backend.publish(temporary, name)
            repository.reader.forget(name)
    finally:
        fs.unlink(temporary)
    return True


def _fetch(repository: Repository, name: str, size: int, temporary: Path, stop: Callable[[], bool]) -> bool:
    """Read a pack, past the cache, into a synced file; False where it was stopped, or is not what its name says."""
    fs, source, found = repository.seams.fs, repository.remote_copy.uncached, hashlib.sha256()
    try:
        fd = fs.create(temporary)
    except OSError as error:
        raise_storage_error(error, temporary)
    try:
        for offset in range(0, size, _PORTION_BYTES):
            if stop():
                return False
            portion = source.read_range(name, offset, min(_PORTION_BYTES, size - offset))
            found.update(portion)
            fs.write(fd, portion)
        fs.sync(fd)
    except OSError as error:
        raise_storage_error(error, temporary)
    except IntegrityError:
        # Gone or shorter: a verification says so, and what it touches.
        return False
    finally:
        fs.close(fd)
    return found.digest() == pack_digest(name)
