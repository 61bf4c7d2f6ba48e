"""Who asks, and what they may do. Everything is refused that is not allowed here."""

from __future__ import annotations

import ipaddress
import logging
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as AsgiScope

from maos_ckpt.api.problems import HttpProblem
from maos_ckpt.api.rates import Rates
from maos_ckpt.api.tokens import Token, Tokens
from maos_ckpt.errors import CkptError, PermissionRefusedError, UnavailableError
from maos_ckpt.model.access import ALL_SCOPES, Scope
from maos_ckpt.seams import Clock

_LOG = logging.getLogger(__name__)
#: Where the peer and the caller stand in an ASGI scope.
PEER = "maos_ckpt.peer"
CALLER = "maos_ckpt.caller"
#: What this machine is called by whoever is on it; a name that a web page chose is none of these.
OWN_NAMES = frozenset({"localhost", "127.0.0.1", "::1", "maos-ckpt"})
#: Wrong tokens that one address may show: so many at once, then one in so many seconds.
WRONG_TOKENS_MAX = 20
_WRONG_TOKENS_PER_S = 1.0
#: A caller may ask in a burst what it may ask in so many seconds.
_BURST_S = 2.0
_KEPT = "Nothing was done."
_INVALID = 'Bearer error="invalid_token"'


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end of a connection. `uid` is the user of the process behind a Unix socket, as the kernel says; None
    over TCP. `address` is a host, or `unix`."""

    address: str
    uid: int | None = None


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who was let in: `name` is for logs and the audit."""

    name: str
    scopes: frozenset[Scope]


#: The application that the API is mounted in decides by itself who may come so far.
EMBEDDER = Caller("embedding application", ALL_SCOPES)


class Guard:
    """Lets in, with all scopes, the user that the engine runs as and root, over a Unix socket; and who shows a token.

    Args:
        hosts: names that a request may call this server by, beside its own addresses.
        origins: web pages that may ask, as `https://HOST[:PORT]`.
        requests_per_s: what one token may ask on average; 0 means no bound.
    """

    def __init__(
        self,
        tokens: Tokens,
        clock: Clock,
        *,
        hosts: Iterable[str] = (),
        origins: Iterable[str] = (),
        requests_per_s: float = 0,
    ) -> None:
        self._tokens = tokens
        self._users = frozenset({os.geteuid(), 0})
        self._wrong = Rates(clock, _WRONG_TOKENS_PER_S, WRONG_TOKENS_MAX)
        self._clock = clock
        self.configure(hosts, origins, requests_per_s)

    def configure(self, hosts: Iterable[str], origins: Iterable[str], requests_per_s: float) -> None:
        """Take these settings from now on."""
        self._hosts = OWN_NAMES | {one.lower().rstrip(".") for one in hosts}
        self._origins = frozenset(one.lower().rstrip("/") for one in origins)
        self._rates = Rates(self._clock, requests_per_s, requests_per_s * _BURST_S) if requests_per_s else None

    def admit(self, scope: AsgiScope) -> Caller:
        """The caller behind a request.

        Raises:
            HttpProblem: 401 without a valid token, 403 from a foreign web page or user, 421 under a foreign name,
                429 too often.
        """
        headers = Headers(scope=scope)
        self._check_host(headers, scope)
        self._check_origin(headers)
        peer = scope[PEER]
        assert isinstance(peer, Peer)
        if peer.uid is not None:
            if peer.uid in self._users:
                return Caller(f"uid {peer.uid}", ALL_SCOPES)
            error = PermissionRefusedError(f"This engine does not serve the user with uid {peer.uid}.", kept=_KEPT)
            raise HttpProblem(HTTPStatus.FORBIDDEN, error)
        return self._admit_token(headers, peer)

    def _check_host(self, headers: Headers, scope: AsgiScope) -> None:
        # A name that leads here for a web page's browser alone must not open the door (DNS rebinding).
        name = _host_name(headers.get("host", ""))
        if name not in self._hosts and not _is_address(name, scope):
            error = PermissionRefusedError(
                "This server is not called by the name in the Host header.",
                kept=_KEPT,
                hint="Ask at an address that it listens at, or add the name to server.hosts in its configuration.",
            )
            raise HttpProblem(HTTPStatus.MISDIRECTED_REQUEST, error)

    def _check_origin(self, headers: Headers) -> None:
        origin = headers.get("origin")
        cross_site = headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
        if origin is None and not cross_site:
            return
        if origin is None or origin.lower() not in self._origins:
            error = PermissionRefusedError(
                "Requests from that web page are not taken.",
                kept=_KEPT,
                hint="Add its origin to server.origins in the engine's configuration.",
            )
            raise HttpProblem(HTTPStatus.FORBIDDEN, error)

    def _admit_token(self, headers: Headers, peer: Peer) -> Caller:
        shown = headers.getlist("authorization")
        kind, _, text = shown[0].partition(" ") if len(shown) == 1 else ("", "", "")
        if kind.lower() != "bearer" or not text:
            raise _unauthorized("This request needs a token.", "Bearer")
        token = self._find(text.strip())
        if token is None:
            # Tokens cannot be guessed: this keeps the log, and whoever asks in a loop, within bounds. Who shows a right
            # one is let in meanwhile, since an address may be that of a proxy.
            self._refuse_if_soon(self._wrong.take(peer.address), "Too many wrong tokens came from this address.")
            _LOG.warning("a wrong token was shown by %s", peer.address)
            raise _unauthorized("This token is not valid.", _INVALID)
        if token.expired(self._clock.now_ms()):
            self._refuse_if_soon(self._wrong.take(peer.address), "Too many wrong tokens came from this address.")
            _LOG.warning("token %s, which has expired, was shown by %s", token.id, peer.address)
            raise _unauthorized("This token has expired.", _INVALID)
        if self._rates is not None:
            self._refuse_if_soon(self._rates.take(token.id), "This token sends too many requests.")
        return Caller(f"token {token.id}" + (f" ({token.name})" if token.name else ""), token.granted)

    def _find(self, text: str) -> Token | None:
        try:
            return self._tokens.find(text)
        except CkptError as error:
            # Nobody knows yet who asks, so the details are for the log alone.
            _LOG.error("no token can be checked: %s", error)
            unknown = UnavailableError("Tokens cannot be checked now.", kept=_KEPT, hint="The engine's log says why.")
            raise HttpProblem(HTTPStatus.SERVICE_UNAVAILABLE, unknown) from error

    @staticmethod
    def _refuse_if_soon(wait_s: float, message: str) -> None:
        if wait_s > 0:
            error = UnavailableError(message, kept=_KEPT, hint="Wait as long as the Retry-After header says.")
            raise HttpProblem(HTTPStatus.TOO_MANY_REQUESTS, error, {"retry-after": str(math.ceil(wait_s))})


def _unauthorized(message: str, challenge: str) -> HttpProblem:
    error = PermissionRefusedError(
        message,
        kept=_KEPT,
        hint="Make one with `maos-ckpt token create`, and send it as `Authorization: Bearer TOKEN`.",
    )
    return HttpProblem(HTTPStatus.UNAUTHORIZED, error, {"www-authenticate": challenge})


def _host_name(host: str) -> str:
    """The name in a Host header, in small letters, without port and brackets."""
    name, colon, port = host.lower().rpartition(":")
    if not colon or "]" in port or not (port.isascii() and port.isdigit()):
        name = host.lower()
    return name.removeprefix("[").removesuffix("]").rstrip(".")


def _is_address(name: str, scope: AsgiScope) -> bool:
    """Whether a name is the very address that the request came in at; no page's name can be one."""
    server = scope.get("server") or ("",)
    try:
        return _plain_address(name) == _plain_address(str(server[0]))
    except ValueError:
        return False


def _plain_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An address; one of IPv4 that came in at a socket for both as what it is."""
    found = ipaddress.ip_address(text)
    return (found.ipv4_mapped or found) if isinstance(found, ipaddress.IPv6Address) else found


class Gate:
    """ASGI middleware: asks the guard before anything else looks at a request."""

    def __init__(self, app: ASGIApp, guard: Guard | None) -> None:
        self._app = app
        self._guard = guard

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """See the class."""
        if scope["type"] != "lifespan":
            scope[CALLER] = EMBEDDER if self._guard is None else self._guard.admit(scope)
        await self._app(scope, receive, send)


def require(caller: Caller, scope: Scope) -> None:
    """Let a caller on who has this scope.

    Raises:
        HttpProblem: 403.
    """
    if scope not in caller.scopes:
        error = PermissionRefusedError(
            f"This needs the scope {scope}, which the token does not have.",
            kept=_KEPT,
            hint=f"Use a token made with `maos-ckpt token create --scope {scope}`.",
            scope=scope.value,
        )
        raise HttpProblem(HTTPStatus.FORBIDDEN, error)
