"""The only place that reads the process environment."""

from __future__ import annotations

import gc
import os
from collections.abc import Mapping
from pathlib import Path

from maos_ckpt.errors import UsageError

#: Every variable of this program begins so.
PREFIX = "MAOS_CKPT_"
_PATH_SHOWN_MAX = 200
#: Variables that were read as secrets.
_SECRETS: set[str] = set()
#: Containers that may come up before the collector looks for cycles among them: some MB, where the usual 700 are 0.1.
_OBJECTS_BETWEEN_COLLECTIONS = 20_000


def variables() -> dict[str, str]:
    """This program's own variables, by full name."""
    return {name: value for name, value in os.environ.items() if name.startswith(PREFIX)}


def config_home(environ: Mapping[str, str] | None = None) -> Path:
    """The user's directory for configuration files, by the XDG rules."""
    return _xdg("XDG_CONFIG_HOME", ".config", environ)


def state_home(environ: Mapping[str, str] | None = None) -> Path:
    """The user's directory for logs and other state, by the XDG rules."""
    return _xdg("XDG_STATE_HOME", ".local/state", environ)


def runtime_home() -> Path:
    """The user's directory for sockets, by the XDG rules; where there is none, one of this user's own below /tmp."""
    value = os.environ.get("XDG_RUNTIME_DIR", "")
    return Path(value) if value.startswith("/") else Path(f"/tmp/maos-ckpt-{os.getuid()}")


def _xdg(name: str, below_home: str, environ: Mapping[str, str] | None) -> Path:
    environ = os.environ if environ is None else environ
    value = environ.get(name, "")
    # The XDG rules say that a relative path is to be ignored.
    if value.startswith("/"):
        return Path(value)
    return Path(environ.get("HOME") or os.path.expanduser("~")) / below_home


def expanded(text: str) -> Path:
    """A path as somebody wrote it, with `~` and `~USER` put in.

    Raises:
        UsageError: there is no such user.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise UsageError(
            f"{text[:_PATH_SHOWN_MAX]} begins with the home of a user who does not exist.",
            kept="Nothing was changed.",
            hint="Write the path in full.",
        ) from error


def log_file() -> Path:
    """Where an unexpected error leaves its traceback."""
    return state_home() / "maos-ckpt" / "maos-ckpt.log"


def secret_variable(name: str) -> str | None:
    """One variable that holds a secret; None where it is not set. No process inherits it any more."""
    _SECRETS.add(name)
    return os.environ.get(name)


def secret_values() -> list[str]:
    """The values of variables that hold secrets, as they are now."""
    return [value for name in _SECRETS if (value := os.environ.get(name))]


def terminal_type() -> str:
    """`TERM`, empty where unset."""
    return os.environ.get("TERM", "")


def program_environment() -> dict[str, str]:
    """The environment for a program of the operator's: without what was read as a secret."""
    return {name: value for name, value in os.environ.items() if name not in _SECRETS}


def service_manager() -> tuple[str, float]:
    """Where the service manager listens ("" where nowhere), and how long it waits to hear from this process, in
    seconds (0.0 where it does not)."""
    address, wait_us = os.environ.get("NOTIFY_SOCKET", ""), os.environ.get("WATCHDOG_USEC", "")
    meant = os.environ.get("WATCHDOG_PID", "") in ("", str(os.getpid()))
    known = wait_us.isascii() and wait_us.isdigit() and meant
    return (address if address[:1] in ("/", "@") else "", int(wait_us) / 1_000_000 if known else 0.0)


def collect_less_often() -> None:
    """Let the collector of cyclic garbage look less often: there is little for it among many records that come and go,
    and its looks, most of them while modules are imported, take 4 % of a recovery's time."""
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)


def child_environment() -> dict[str, str]:
    """The environment for a process of our own: it must find this very package, however this process found it."""
    root = Path(__file__).resolve().parents[1]
    own = program_environment()
    if root.name in ("site-packages", "dist-packages"):
        return own
    package_root = str(root)
    inherited = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]
    path = os.pathsep.join(dict.fromkeys([package_root, *inherited]))
    return {**own, "PYTHONPATH": path}


#: What a program of the operator's may need, and what holds no secret.
_HARMLESS = frozenset(
    ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TERM", "XDG_RUNTIME_DIR")
)


def harmless_environment() -> dict[str, str]:
    """The environment for a program of the operator's: what it needs to run, and no variable that may be a secret."""
    return {name: value for name, value in os.environ.items() if name in _HARMLESS or name.startswith("LC_")}


def login_variables() -> tuple[str, str]:
    """The account behind `sudo`, and the address of the SSH client; "" where there is none."""
    client = os.environ.get("SSH_CLIENT") or os.environ.get("SSH_CONNECTION") or ""
    return os.environ.get("SUDO_USER", ""), client.partition(" ")[0][:100]
