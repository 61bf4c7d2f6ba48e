"""Lease objects of a remote copy: their names, what they say, and which one is the newest."""

from __future__ import annotations

import hashlib
import re

import msgspec

from maos_ckpt.codec.undecodable import UNDECODABLE
from maos_ckpt.errors import IntegrityError, MissingObjectError, TransientStorageError
from maos_ckpt.repository.remote import RemoteCopy

_BYTES_MAX = 4096
_DIRECTORY = "leases"
#: Numbers from 10 ** 11 on are nobody's: a stray object must not use them all up.
_NAME = re.compile(r"leases/(0[0-9]{11})")
#: So often a lease may vanish between a listing and its reading, since a successor removed it.
_LOOKS_MAX = 5


class Holder(msgspec.Struct, frozen=True, forbid_unknown_fields=False):
    """A lease object: which local repository (`home`) writes, from where, since when; `beat` is new at each renewal."""

    home: str
    host: str
    pid: int
    since_ms: int
    beat: str
    released: bool = False


def lease_name(number: int) -> str:
    """The object name of the lease with that number."""
    return f"{_DIRECTORY}/{number:012d}"


def is_lease(name: str) -> bool:
    """Whether an object of this name is a lease."""
    return _NAME.fullmatch(name) is not None


def lease_names(remote: RemoteCopy) -> list[str]:
    """All leases that lie there, the newest last."""
    return [name for name, _ in remote.backend.entries(_DIRECTORY) if is_lease(name)]


def newest(remote: RemoteCopy) -> tuple[int, Holder | None]:
    """The number of the newest lease and what it says; 0 and None where there is none.

    Raises:
        TransientStorageError: it changes hands all the time.
    """
    for _ in range(_LOOKS_MAX):
        names = lease_names(remote)
        if not names:
            return 0, None
        number = int(names[-1].rpartition("/")[2])
        try:
            data = remote.backend.read(names[-1], _BYTES_MAX)
            return number, msgspec.json.decode(data, type=Holder)
        except MissingObjectError:
            # Its successor removed it between the two requests; the next look finds that one.
            continue
        except IntegrityError:
            return number, _unreadable(b"")
        except UNDECODABLE:
            return number, _unreadable(data)
    raise TransientStorageError(f"The lease on {remote.location} changes hands all the time.")


def _unreadable(data: bytes) -> Holder:
    """A damaged lease object is a lease of somebody unknown: it ends when it has not changed for its time to live."""
    return Holder("", "an unknown host", 0, 0, hashlib.sha256(data).hexdigest())
