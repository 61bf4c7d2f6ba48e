"""How much a request may take: bytes and time of its body, and how many there may be at once."""

from __future__ import annotations

from collections import Counter
from http import HTTPStatus

import anyio
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from maos_ckpt.api.guard import CALLER, EMBEDDER
from maos_ckpt.api.problems import HttpProblem
from maos_ckpt.errors import UnavailableError, UsageError

BODY_BYTES_MAX = 1 << 20
#: From a request's head to the end of its body.
BODY_S_MAX = 10.0
#: Streams of events count, too: each console has one.
REQUESTS_MAX = 800
#: One caller must not take the place of all others.
CALLER_REQUESTS_MAX = 400
_KEPT = "Nothing was done."


class Limits:
    """ASGI middleware, within the gate: who is not let in takes no place here."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._running: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the class.

        Raises:
            HttpProblem: 503 where too many requests are under way, 413 where the body is too large, 408 where it does
                not arrive; the last two also from `receive`.
        """
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        caller = scope[CALLER]
        if self._running.total() >= REQUESTS_MAX:
            raise _busy(f"{REQUESTS_MAX} requests are under way, and no more are taken.")
        if caller is not EMBEDDER and self._running[caller.name] >= CALLER_REQUESTS_MAX:
            raise _busy(f"{CALLER_REQUESTS_MAX} requests of this caller are under way, and no more are taken.")
        declared = Headers(scope=scope).get("content-length", "")
        # Compared by length first: what is no number, or has thousands of digits, is none that int() should see.
        if declared and (len(declared) > len(str(BODY_BYTES_MAX)) or not declared.isdigit() or _too_large(declared)):
            raise _oversized()
        self._running[caller.name] += 1
        try:
            await self._app(scope, _bounded(receive), send)
        finally:
            self._running[caller.name] -= 1
            # Adding nothing drops those of whom nothing is under way.
            self._running += Counter()


def _too_large(declared: str) -> bool:
    return int(declared) > BODY_BYTES_MAX


def _bounded(receive: Receive) -> Receive:
    received, complete = 0, False
    deadline_s = anyio.current_time() + BODY_S_MAX

    async def receiving() -> Message:
        nonlocal received, complete
        if complete:
            # What comes after the body is the client's going away, however late.
            return await receive()
        try:
            with anyio.fail_after(deadline_s - anyio.current_time()):
                message = await receive()
        except TimeoutError as error:
            late = UsageError(f"The body did not arrive within {BODY_S_MAX:g} s.", kept=_KEPT)
            raise HttpProblem(HTTPStatus.REQUEST_TIMEOUT, late) from error
        received += len(message.get("body", b""))
        complete = not message.get("more_body", False)
        if received > BODY_BYTES_MAX:
            raise _oversized()
        return message

    return receiving


def _busy(message: str) -> HttpProblem:
    error = UnavailableError(message, kept=_KEPT, hint="Try again.")
    return HttpProblem(HTTPStatus.SERVICE_UNAVAILABLE, error, {"retry-after": "1"})


def _oversized() -> HttpProblem:
    error = UsageError(f"The body is larger than {BODY_BYTES_MAX} bytes.", kept=_KEPT)
    return HttpProblem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, error)
