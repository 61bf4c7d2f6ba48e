"""Where the Unix socket of a repository's engine is, so that a console finds it from the repository alone.

It lies in `api/` in the repository, or, where that path is longer than a socket's may be, below the user's runtime
directory; a note in `api/` tells which. This module imports nothing that serves.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
from dataclasses import asdict, dataclass
from pathlib import Path

from maos_ckpt.environment import runtime_home
from maos_ckpt.fs import raise_storage_error

DIRECTORY = "api"
SOCKET = "engine.sock"
_NOTE = "listening.json"
#: What the kernel takes, less the terminating zero.
SOCKET_PATH_BYTES_MAX = 107
_NOTE_BYTES_MAX = 16_384


@dataclass(frozen=True, slots=True)
class Listening:
    """What an engine listens at: the path of its Unix socket, and every address as somebody would name it."""

    pid: int
    socket: str
    addresses: tuple[str, ...]


def socket_path(repository: Path) -> Path:
    """Where the socket of a repository's engine belongs."""
    beside = repository / DIRECTORY / SOCKET
    if len(os.fsencode(beside)) <= SOCKET_PATH_BYTES_MAX:
        return beside
    name = hashlib.sha256(os.fsencode(repository)).hexdigest()[:16]
    return runtime_home() / f"maos-ckpt-{name}" / SOCKET


def write_note(repository: Path, listening: Listening) -> None:
    """Tell where this engine listens.

    Raises:
        StorageError, PermissionRefusedError: the repository refuses.
    """
    directory = repository / DIRECTORY
    temporary = directory / f"{_NOTE}.{listening.pid}"
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        temporary.write_text(json.dumps(asdict(listening)), encoding="utf-8")
        os.replace(temporary, directory / _NOTE)
    except OSError as error:
        raise_storage_error(error, directory)


def remove_note(repository: Path) -> None:
    """Take the note away; whoever finds it nonetheless finds a socket that nobody answers at."""
    with contextlib.suppress(OSError):
        (repository / DIRECTORY / _NOTE).unlink()


def find_listening(repository: Path) -> Listening | None:
    """What the engine of a repository listens at, as its note says; None without one. It may be dead."""
    try:
        with (repository / DIRECTORY / _NOTE).open("rb") as file:
            found = json.loads(file.read(_NOTE_BYTES_MAX))
        return Listening(int(found["pid"]), str(found["socket"]), tuple(str(one) for one in found["addresses"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def find_socket(repository: Path) -> Path | None:
    """The socket to reach a repository's engine at; None where there is none that this user or root has made."""
    listening = find_listening(repository)
    if listening is None:
        return None
    path = Path(listening.socket)
    try:
        found, around = os.lstat(path), os.stat(path.parent)
    except (OSError, ValueError):
        return None
    ours = {os.geteuid(), 0}
    return path if stat.S_ISSOCK(found.st_mode) and {found.st_uid, around.st_uid} <= ours else None
