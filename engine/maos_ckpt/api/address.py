"""Where a remote engine is: `unix:PATH`, `https://HOST[:PORT]`, or `http://` to this very machine."""

from __future__ import annotations

import ipaddress
import os
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

from maos_ckpt.environment import expanded
from maos_ckpt.errors import UsageError

_UNIX = "unix:"
#: What the kernel takes for the path of a socket.
_SOCKET_PATH_BYTES_MAX = 107
_SHOWN_MAX = 200


@dataclass(frozen=True, slots=True)
class Address:
    """`url` is where requests go, without a path; `socket` the Unix socket they take, or None for TCP. `text` is the
    address as somebody would name it."""

    text: str
    url: str
    socket: Path | None = None


def unix_address(path: Path) -> Address:
    """The address of a Unix socket."""
    # The host is what the engine expects of its own socket; no name is looked up.
    return Address(f"{_UNIX}{path}", "http://localhost", path)


def parse_address(text: str, cwd: Path) -> Address:
    """An address as typed.

    Raises:
        UsageError: it is none, or one over which a token would travel in the clear.
    """
    if text.startswith(_UNIX):
        path = Path(os.path.abspath(cwd / expanded(text.removeprefix(_UNIX))))
        if text == _UNIX or len(os.fsencode(path)) > _SOCKET_PATH_BYTES_MAX:
            raise _refused(text, f"The path of a Unix socket has 1 to {_SOCKET_PATH_BYTES_MAX} bytes.")
        return unix_address(path)
    try:
        url = urllib.parse.urlsplit(text)
        host, port = url.hostname or "", url.port
    except ValueError:
        raise _refused(text, "Its host or port cannot be read.") from None
    if url.scheme not in ("http", "https") or not host or url.path not in ("", "/") or url.query or url.fragment:
        raise _refused(text, "Write unix:PATH or https://HOST:PORT.")
    if url.username is not None or url.password is not None:
        raise _refused("the address", "A token is given with --token-file, not in the address.")
    if url.scheme == "http" and not _is_loopback(host):
        raise _refused(text, "Without TLS only this machine is reached: write https://, or forward a port with ssh -L.")
    named = f"[{host}]" if ":" in host else host
    place = f"{url.scheme}://{named}" + (f":{port}" if port else "")
    return Address(place, place)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _refused(text: str, why: str) -> UsageError:
    return UsageError(f"{text[:_SHOWN_MAX]} is no address of an engine.", kept="Nothing was changed.", hint=why)
