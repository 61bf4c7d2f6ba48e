"""Problem answers (RFC 9457): every error of the API takes this one way out.

Beside the standard's members a problem carries the four fields of `CkptError`: `kind`, `detail` (its message), `kept`,
`hint` and `data`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus

import anyio
import msgspec
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from maos_ckpt.errors import (
    CkptError,
    ConflictError,
    IntegrityError,
    InterruptedByUserError,
    NotFoundError,
    PartialError,
    PermissionRefusedError,
    UnavailableError,
    UsageError,
)

_LOG = logging.getLogger(__name__)
MEDIA_TYPE = "application/problem+json"
#: Where an ASGI scope says that its answer is a stream of events, which ends when the engine does.
ENDLESS = "maos_ckpt.endless"
_STREAMS = ("text/event-stream", "application/msgpack")
#: The first that an error is an instance of counts.
_STATUSES: tuple[tuple[type[CkptError], HTTPStatus], ...] = (
    (UsageError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (NotFoundError, HTTPStatus.NOT_FOUND),
    (ConflictError, HTTPStatus.CONFLICT),
    (InterruptedByUserError, HTTPStatus.CONFLICT),
    (PermissionRefusedError, HTTPStatus.FORBIDDEN),
    # The engine works; what it stands on does not, or is damaged.
    (UnavailableError, HTTPStatus.SERVICE_UNAVAILABLE),
    (IntegrityError, HTTPStatus.FAILED_DEPENDENCY),
    (PartialError, HTTPStatus.FAILED_DEPENDENCY),
)


class HttpProblem(Exception):
    """An error with a status of its own, and headers that belong to it."""

    def __init__(self, status: HTTPStatus, error: CkptError, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(error.message)
        self.status = status
        self.error = error
        self.headers = dict(headers or {})


def status_of(error: CkptError) -> HTTPStatus:
    """The status that an error is answered with."""
    return next((status for cls, status in _STATUSES if isinstance(error, cls)), HTTPStatus.INTERNAL_SERVER_ERROR)


def problem_fields(error: CkptError, status: HTTPStatus, instance: str = "") -> dict[str, object]:
    """The members of a problem document."""
    return {
        "type": f"urn:maos-ckpt:problem:{error.kind.replace('_', '-')}",
        "title": status.phrase,
        "status": int(status),
        "detail": error.message,
        "instance": instance,
        "kind": error.kind,
        "kept": error.kept,
        "hint": error.hint,
        "data": error.data,
    }


def problem(
    error: CkptError, status: HTTPStatus, instance: str = "", headers: Mapping[str, str] | None = None
) -> Response:
    """An error as an answer."""
    body = msgspec.json.encode(problem_fields(error, status, instance), enc_hook=str)
    return Response(body, int(status), {"cache-control": "no-store", **(headers or {})}, MEDIA_TYPE)


def answer_to(error: Exception, scope: Scope) -> Response:
    """The answer to whatever went wrong; what is unexpected is logged, and told without details."""
    instance = str(scope.get("path", ""))
    match error:
        case HttpProblem():
            return problem(error.error, error.status, instance, error.headers)
        case CkptError():
            status = status_of(error)
            if status is HTTPStatus.INTERNAL_SERVER_ERROR:
                _LOG.error("%s %s: %s", scope.get("method"), instance, error)
            return problem(error, status, instance)
        case HTTPException():
            status = HTTPStatus(error.status_code)
            return problem(_routing_error(status), status, instance, error.headers)
    _LOG.error("unexpected error at %s %s", scope.get("method"), instance, exc_info=error)
    unexpected = CkptError(
        f"Something unexpected went wrong ({type(error).__name__}).",
        kept="Every committed checkpoint is untouched.",
        hint="The engine's log has the details. Please report it.",
    )
    return problem(unexpected, HTTPStatus.INTERNAL_SERVER_ERROR, instance)


def _routing_error(status: HTTPStatus) -> CkptError:
    if status is HTTPStatus.NOT_FOUND:
        return NotFoundError("There is nothing at this path.", hint="GET openapi.json describes what there is.")
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        return UsageError("This path does not take this method.", hint="The Allow header names those it takes.")
    return UsageError(f"{status.phrase}.")


def _ending() -> CkptError:
    return UnavailableError(
        "The engine ends.",
        kept="What it has begun to write it finishes; every committed checkpoint is untouched.",
        hint="Look at what came of it when the engine runs again, or with `maos-ckpt events`.",
    )


class Problems:
    """ASGI middleware, the outermost: what goes wrong inside becomes a problem answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the class."""
        started = finished = False

        async def sending(message: Message) -> None:
            nonlocal started, finished
            if message["type"] == "http.response.start":
                started = True
                scope[ENDLESS] = _is_endless(message)
            finished = message["type"] == "http.response.body" and not message.get("more_body", False)
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except ClientDisconnect:
            # Nobody is left to be answered.
            return
        except anyio.get_cancelled_exc_class():
            # The server ends. Whoever waits for a result is told; an endless stream ends in order. An answer of which a
            # part is missing is cut off instead, or it would pass for the whole.
            if finished:
                raise
            if scope.get(ENDLESS):
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            elif not started:
                await answer_to(_ending(), scope)(scope, receive, send)
        except Exception as error:  # noqa: BLE001 - the last line of defence: no request ends the server
            if not started:
                await answer_to(error, scope)(scope, receive, send)
                return
            # Too late for a status: the connection is closed in the middle of the answer.
            _LOG.error("the answer to %s %s broke off", scope.get("method"), scope.get("path"), exc_info=error)


def _is_endless(message: Message) -> bool:
    headers = Headers(raw=message.get("headers", []))
    kind = headers.get("content-type", "").partition(";")[0]
    return kind in _STREAMS and "content-length" not in headers
