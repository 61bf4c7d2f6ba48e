"""Who does something: the account, the machine, the process, the terminal or SSH client it was asked from, and the
caller of the API that an engine does it for."""

from __future__ import annotations

import contextlib
import os
import pwd
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path

import msgspec

from maos_ckpt.environment import login_variables

#: A worker process has no terminal; whoever started it may have one.
_GENERATIONS_MAX = 4
_TERMINAL_CHARACTERS_MAX = 200
#: Fields of /proc/PID/stat after the command's name: parent, and the terminal's device number.
_PARENT, _TERMINAL = 1, 4
_PTS_MAJORS = range(136, 144)
_TTY_MAJOR = 4
_caller: ContextVar[str] = ContextVar("caller", default="")


class Actor(msgspec.Struct, frozen=True):
    """`login` is the account behind `sudo`, `tty` as in `pts/3`, `ssh` the client's address, `via` whom the API let in,
    as `token 0123abcd (ops)`; "" where there is none."""

    user: str
    uid: int
    login: str
    host: str
    pid: int
    tty: str
    ssh: str
    via: str = ""


@contextlib.contextmanager
def acting_for(caller: str) -> Iterator[None]:
    """What is done in the block is done for this caller of the API; "" is for nobody but this process's user."""
    before = _caller.set(caller)
    try:
        yield
    finally:
        _caller.reset(before)


def acted_for() -> str:
    """The caller that `acting_for` names here."""
    return _caller.get()


def actor() -> Actor:
    """Who runs this process."""
    uid = os.getuid()
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = ""
    login, ssh = login_variables()
    login = login[:_TERMINAL_CHARACTERS_MAX]
    return Actor(user, uid, login, os.uname().nodename, os.getpid(), _terminal(), ssh, acted_for())


def _terminal() -> str:
    """The controlling terminal of this process, or of the one that it works for."""
    pid = os.getpid()
    for _ in range(_GENERATIONS_MAX):
        try:
            fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
            pid, device = int(fields[_PARENT]), int(fields[_TERMINAL])
        except (OSError, ValueError, IndexError):
            return ""
        if device:
            return _device_name(os.major(device), os.minor(device))
        if pid <= 1:
            return ""
    return ""


def _device_name(major: int, minor: int) -> str:
    if major in _PTS_MAJORS:
        return f"pts/{(major - _PTS_MAJORS.start) * 256 + minor}"
    return f"tty{minor}" if major == _TTY_MAJOR else f"{major}:{minor}"
