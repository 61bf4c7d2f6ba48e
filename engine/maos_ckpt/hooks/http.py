"""One HTTP request that takes no longer than it may, whatever the other side does; only the look-up of its name keeps
to the resolver's own limits. No redirect is followed: what is sent is meant for the place that was configured, and may
be secret."""

from __future__ import annotations

import contextlib
import errno
import http.client
import os
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

#: How much of an answer is read; what it says does not matter.
_ANSWER_BYTES_MAX = 64 << 10
_PORTS = {"http": 80, "https": 443}
#: Addresses of a host that are tried.
_ADDRESSES_MAX = 4


def request(method: str, url: str, body: bytes, headers: Mapping[str, str], within_s: float) -> str:
    """Send a request; what went wrong, or "" where the answer's status is 200 to 299.

    What is told names the host at most: the rest of a URL may be a secret.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    except (ValueError, KeyError):
        return "its URL is none"
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection = http.client.HTTPConnection(host, port, timeout=within_s)
    try:
        with _connected(host, port, parts.scheme == "https", within_s) as opened:
            connection.sock = opened
            connection.request(method, path, body, dict(headers))
            answer = connection.getresponse()
            answer.read(_ANSWER_BYTES_MAX)
    except TimeoutError:
        return f"{host} did not answer within {within_s:g} s"
    except ssl.SSLCertVerificationError as error:
        return f"the certificate of {host} is refused: {error.verify_message}"
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        return f"{host} cannot be reached: {reason}"
    finally:
        connection.close()
    return "" if 200 <= answer.status < 300 else f"{host} answered {answer.status}"


def _connect(host: str, port: int, within_s: float) -> socket.socket:
    """A connection to the first address of a host that takes it; all together get `within_s`."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[:_ADDRESSES_MAX]
    for number, (family, kind, protocol, _, address) in enumerate(found):
        made = socket.socket(family, kind, protocol)
        try:
            made.settimeout(within_s / len(found))
            made.connect(address)
            made.settimeout(within_s)
            return made
        except OSError:
            made.close()
            if number == len(found) - 1:
                raise
    raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))


@contextlib.contextmanager
def _connected(host: str, port: int, tls: bool, within_s: float) -> Iterator[socket.socket]:
    """A connection that is cut off after `within_s`; an operation that this ends raises TimeoutError."""
    late = threading.Event()
    opened: list[socket.socket] = []

    def cut_off() -> None:
        late.set()
        for one in opened:
            with contextlib.suppress(OSError):
                # Not the method of a TLS socket, which lets go of the state that the other thread is using.
                socket.socket.shutdown(one, socket.SHUT_RDWR)

    # A limit for each operation alone would let a peer drip an answer for ever.
    timer = threading.Timer(within_s, cut_off)
    timer.daemon = True
    timer.start()
    try:
        opened.append(_connect(host, port, within_s))
        if tls:
            context = ssl.create_default_context()
            secured = context.wrap_socket(opened[0], server_hostname=host, do_handshake_on_connect=False)
            opened[0] = secured
            secured.do_handshake()
        yield opened[0]
    except (OSError, http.client.HTTPException, ValueError) as error:
        if late.is_set():
            raise TimeoutError from error
        raise
    finally:
        timer.cancel()
        for one in opened:
            one.close()
    if late.is_set():
        raise TimeoutError
