"""What tells one home from every other one, also from a copy of itself.

A path is not enough: two machines may have the same one. A random id in the home is not enough: it goes along when the
directory is copied. So the id lies in the home's cache together with where it was given, and counts only there.
"""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

import msgspec

from maos_ckpt.codec.undecodable import UNDECODABLE
from maos_ckpt.seams import Seams

_NAME = "home.json"
_BYTES_MAX = 4096
#: Differs between machines of one name, where the system has it.
_MACHINE = Path("/etc/machine-id")


class _Identity(msgspec.Struct, frozen=True):
    id: str
    place: str


def home_id(path: Path, seams: Seams) -> str:
    """The id of the home at `path`, given at the first call; another one each time where it cannot be kept there."""
    place = f"{socket.gethostname()} {_machine()} {os.path.realpath(path)}"
    file = path / "cache" / _NAME
    known = _read(file, place)
    if known is not None:
        return known
    fresh = _Identity(seams.random.token(16).hex(), place)
    temporary = file.with_name(f"{_NAME}.{fresh.id}")
    with contextlib.suppress(OSError):
        temporary.write_bytes(msgspec.json.encode(fresh))
        os.replace(temporary, file)
    # Of two processes that gave one at the same moment, the last counts for both.
    return _read(file, place) or fresh.id


def _machine() -> str:
    with contextlib.suppress(OSError):
        return _MACHINE.read_text("ascii", "replace").strip()[:64]
    return ""


def _read(file: Path, place: str) -> str | None:
    try:
        with file.open("rb") as opened:
            found = msgspec.json.decode(opened.read(_BYTES_MAX), type=_Identity)
    except (OSError, *UNDECODABLE):
        return None
    return found.id if found.place == place and found.id else None
