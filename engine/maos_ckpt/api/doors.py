"""The doors of one engine: its Unix socket always, others where they were asked for, and the API behind them."""

from __future__ import annotations

import ipaddress
import logging
import os
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

from maos_ckpt.api.application import PREFIX, application
from maos_ckpt.api.calls import Consoles, serve_consoles
from maos_ckpt.api.guard import Guard
from maos_ckpt.api.listeners import UNIX, Listener, tcp_listener, unix_listener
from maos_ckpt.api.places import Listening, remove_note, socket_path, write_note
from maos_ckpt.api.serving import Server
from maos_ckpt.api.tls import load_certificate, renew_certificate
from maos_ckpt.api.tokens import Tokens
from maos_ckpt.client import EngineClient
from maos_ckpt.config.types import Server as Settings
from maos_ckpt.environment import expanded
from maos_ckpt.errors import UsageError
from maos_ckpt.seams import Seams

_LOG = logging.getLogger(__name__)
_PORT_MAX = 65_535
_LOOPBACK = "127.0.0.1"


class Doors:
    """Prepared before the engine starts, open from `open` to `close`.

    Args:
        path: makes a path of the settings absolute.
    """

    def __init__(self, repository: Path, settings: Settings, seams: Seams, path: Callable[[str], Path]) -> None:
        self._repository = repository
        self._settings = settings
        self._seams = seams
        self._path = path
        self._tls: ssl.SSLContext | None = None
        self._listeners: list[Listener] = []
        self._server: Server | None = None
        self._consoles: Consoles | None = None
        self._guard = Guard(Tokens(repository, seams), seams.clock)
        self._configure_guard()

    def prepare(self) -> None:
        """Find out, before anything is started, whether everything asked for can be had, and take the ports.

        Raises:
            UsageError: an address is none, or of a kind that is refused.
            ConflictError: somebody listens there.
            ConfigError, PermissionRefusedError: the certificate cannot be used.
        """
        certificate = self._certificate(self._settings)
        if certificate is not None:
            self._tls = load_certificate(*certificate, self._seams.clock)
        for text in self._settings.listen:
            self._listeners.append(self._listener(text))

    def open(self, client: EngineClient, stop: Callable[[], None] | None = None) -> None:
        """Serve a client that has been started and is the engine of the repository.

        Args:
            stop: ends this program in order, where a client may ask for that.

        Raises:
            CkptError: a socket cannot be made.
        """
        own = unix_listener(socket_path(self._repository), directory_is_ours=True)
        self._listeners.insert(0, own)
        app = application(client, guard=self._guard, prefix=PREFIX)
        self._consoles = serve_consoles(app, client, stop)
        server = Server(app, self._listeners)
        server.start()
        self._server = server
        addresses = tuple(one.address for one in self._listeners)
        write_note(self._repository, Listening(os.getpid(), str(own.path), addresses))
        _LOG.info("listening at %s", ", ".join(addresses))

    def reload(self, settings: Settings) -> None:
        """Take other settings; where to listen stays as it is.

        Raises:
            ConfigError, PermissionRefusedError: the certificate cannot be used; all stays as it was.
        """
        certificate = self._certificate(settings)
        if self._tls is not None and certificate is not None:
            renew_certificate(self._tls, *certificate, self._seams.clock)
        if settings.listen != self._settings.listen or (certificate is None) != (self._tls is None):
            _LOG.warning("server.listen, and whether there is TLS, change with the next start of the engine")
        self._settings = settings
        self._configure_guard()

    @property
    def alive(self) -> bool:
        """Whether the API is served."""
        return self._server is not None and self._server.alive

    def close(self) -> None:
        """Take no more requests; safe to call twice."""
        server, self._server = self._server, None
        if server is not None:
            if self._consoles is not None:
                self._consoles.fanout.close()
            remove_note(self._repository)
            if not server.close():
                _LOG.warning("requests were still under way when the engine ended")
        for one in self._listeners:
            one.close()
        self._listeners = []

    def _configure_guard(self) -> None:
        settings = self._settings
        hosts = (*settings.hosts, socket.gethostname())
        self._guard.configure(hosts, settings.origins, settings.requests_per_second)

    def _certificate(self, settings: Settings) -> tuple[Path, Path] | None:
        if not settings.tls_certificate:
            if settings.tls_key:
                raise UsageError("server.tls_key is set, and server.tls_certificate is not.", hint="Set both.")
            return None
        certificate = self._path(settings.tls_certificate)
        return certificate, self._path(settings.tls_key) if settings.tls_key else certificate

    def _listener(self, text: str) -> Listener:
        if text.startswith(UNIX):
            return unix_listener(self._path(str(expanded(text.removeprefix(UNIX)))))
        host, port = parse_address(text)
        if self._tls is None and not self._settings.allow_plaintext and not is_loopback(host):
            raise UsageError(
                f"{text} can be reached from other machines, and tokens would go there in the clear.",
                kept="Nothing was started or changed.",
                hint="Set server.tls_certificate, or server.allow_plaintext where a proxy before it has TLS.",
            )
        return tcp_listener(host, port, self._tls)


def parse_address(text: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT`, `[IPV6]:PORT`, or `PORT` and `:PORT` on loopback.

    Raises:
        UsageError: it is none of these.
    """
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdigit() and len(port) <= len(str(_PORT_MAX)) and int(port) <= _PORT_MAX):
        raise _no_address(text)
    bracketed = host.startswith("[") and host.endswith("]")
    if ":" in host and not bracketed:
        raise _no_address(text)
    return (host[1:-1] if bracketed else host) or _LOOPBACK, int(port)


def _no_address(text: str) -> UsageError:
    return UsageError(
        f"{text[:100]!r} is no address to listen at.",
        kept="Nothing was started or changed.",
        hint="Write HOST:PORT, as 127.0.0.1:8470 or [::1]:8470, or unix:PATH.",
    )


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
