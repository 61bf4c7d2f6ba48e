"""The sockets that an engine listens at."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import ssl
import stat
from dataclasses import dataclass
from pathlib import Path

from maos_ckpt.api.places import SOCKET_PATH_BYTES_MAX
from maos_ckpt.errors import ConflictError, PermissionRefusedError, UnavailableError, UsageError
from maos_ckpt.fs import raise_storage_error

UNIX = "unix:"
#: Connections that the kernel holds while nobody has taken them.
BACKLOG = 128
_ASK_S = 1.0
_KEPT = "Nothing was started or changed."


@dataclass(frozen=True, slots=True)
class Listener:
    """A bound socket, not yet listening. `address` is what a client is told; `tls` is for TCP alone."""

    socket: socket.socket
    address: str
    path: Path | None = None
    tls: ssl.SSLContext | None = None

    def close(self) -> None:
        """Close it, and remove a Unix socket's file."""
        if self.path is not None:
            with contextlib.suppress(OSError):
                self.path.unlink()
        self.socket.close()


def unix_listener(path: Path, *, directory_is_ours: bool = False) -> Listener:
    """A Unix socket (0600) at a path; one that a dead process left there is removed.

    Args:
        directory_is_ours: make its directory, or make it private (0700).

    Raises:
        ConflictError: somebody answers there, or what is there is no socket.
        UsageError: the path is too long.
        StorageError, PermissionRefusedError: the directory refuses.
    """
    if len(os.fsencode(path)) > SOCKET_PATH_BYTES_MAX:
        raise UsageError(
            f"The path of a socket may have {SOCKET_PATH_BYTES_MAX} bytes, and {path} has more.",
            kept=_KEPT,
            hint="Name a shorter path.",
        )
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if directory_is_ours:
            _make_private(path.parent)
        _remove_left_over(path)
        made.bind(str(path))
        os.chmod(path, 0o600)
    except OSError as error:
        made.close()
        raise_storage_error(error, path)
    except BaseException:
        made.close()
        raise
    return Listener(made, f"{UNIX}{path}", path)


def _make_private(directory: Path) -> None:
    for one in (directory.parent, directory):
        with contextlib.suppress(FileExistsError):
            one.mkdir(mode=0o700)
    found = os.lstat(directory)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise PermissionRefusedError(
            f"{directory} is not this user's own directory, so no socket is put there.",
            kept="Nothing was changed.",
            hint="Remove it, or set XDG_RUNTIME_DIR to a directory of this user's.",
            path=str(directory),
        )
    os.chmod(directory, 0o700)


def _remove_left_over(path: Path) -> None:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise ConflictError(
            f"{path} is there, and is no socket.", kept=_KEPT, hint="Move it away, or name another path."
        )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(_ASK_S)
        try:
            asking.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except TimeoutError:
            pass
    raise ConflictError(
        f"Another process listens at {path}.", kept="That one goes on.", hint="End it, or name another path."
    )


def tcp_listener(host: str, port: int, tls: ssl.SSLContext | None) -> Listener:
    """A TCP socket; port 0 takes any that is free.

    Raises:
        ConflictError: the port is taken.
        UsageError: there is no such address on this machine.
        PermissionRefusedError: the port is for root alone.
    """
    named = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        made = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise UsageError(
            f"There is no address {host!r}.", kept=_KEPT, hint="Name an address of this machine."
        ) from error
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(where)
        # Binding alone does not tell that another socket listens here, since both share the address.
        made.listen(BACKLOG)
    except OSError as error:
        made.close()
        raise _bind_error(error, named) from error
    port = int(made.getsockname()[1])
    shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return Listener(made, f"{'https' if tls else 'http'}://{shown}", tls=tls)


def _bind_error(error: OSError, named: str) -> ConflictError | UsageError | PermissionRefusedError | UnavailableError:
    match error.errno:
        case errno.EADDRINUSE:
            return ConflictError(
                f"{named} is taken: another process listens there.", kept=_KEPT, hint="Name another port."
            )
        case errno.EADDRNOTAVAIL:
            return UsageError(f"{named} is no address of this machine.", kept=_KEPT, hint="Name one of its addresses.")
        case errno.EACCES | errno.EPERM:
            return PermissionRefusedError(
                f"This user may not listen at {named}.", kept=_KEPT, hint="Name a port of 1024 or above."
            )
        case _:
            return UnavailableError(f"Nothing can listen at {named}: {error.strerror}.", kept=_KEPT)
