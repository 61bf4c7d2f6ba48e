"""Who asks, and what they may do. Everything is refused that is not allowed here."""

from __future__ import annotations

import os
from dataclasses import dataclass
from http import HTTPStatus

from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as AsgiScope

from maos_ckpt.api.problems import HttpProblem
from maos_ckpt.errors import PermissionRefusedError
from maos_ckpt.model.access import ALL_SCOPES, Scope

#: Where the peer and the caller stand in an ASGI scope.
PEER = "maos_ckpt.peer"
CALLER = "maos_ckpt.caller"


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
    """Lets in the user that the engine runs as, and root, over the Unix socket."""

    def admit(self, scope: AsgiScope) -> Caller:
        """The caller behind a request.

        Raises:
            HttpProblem: 401, 403, 421 or 429.
        """
        peer = scope.get(PEER)
        if isinstance(peer, Peer) and peer.uid is not None and peer.uid in (os.geteuid(), 0):
            return Caller(f"uid {peer.uid}", ALL_SCOPES)
        raise HttpProblem(
            HTTPStatus.UNAUTHORIZED,
            PermissionRefusedError("This request needs a token.", kept="Nothing was done."),
            {"www-authenticate": "Bearer"},
        )


class Gate:
    """ASGI middleware: asks the guard before anything else looks at a request."""

    def __init__(self, app: ASGIApp, guard: Guard | None) -> None:
        self._app = app
        self._guard = guard

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """See the class."""
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
            kept="Nothing was done.",
            hint=f"Use a token made with `maos-ckpt token create --scope {scope}`.",
            scope=scope.value,
        )
        raise HttpProblem(HTTPStatus.FORBIDDEN, error)
