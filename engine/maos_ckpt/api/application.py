"""The ASGI application: every endpoint, behind the guard, with one way out for errors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from maos_ckpt.api import calls, checkpoints, contents, events, health, metrics, openapi, recoveries, underway, upkeep
from maos_ckpt.api.endpoint import Endpoint, Exchange, Shared
from maos_ckpt.api.guard import CALLER, Gate, Guard, require
from maos_ckpt.api.limits import Limits
from maos_ckpt.api.problems import Problems, answer_to
from maos_ckpt.audit.actor import acting_for
from maos_ckpt.client import EngineClient

#: Where the API lies in a server that is its own.
PREFIX = "/api/checkpoint"
#: All there is; each area exports its own. Routes are tried in this order, so what is asked for often comes first.
ENDPOINTS: tuple[Endpoint, ...] = (
    *health.ENDPOINTS,
    *checkpoints.ENDPOINTS,
    *contents.ENDPOINTS,
    *recoveries.ENDPOINTS,
    *events.ENDPOINTS,
    *underway.ENDPOINTS,
    *upkeep.ENDPOINTS,
    *metrics.ENDPOINTS,
    *openapi.ENDPOINTS,
    *calls.ENDPOINTS,
)


def application(client: EngineClient, *, guard: Guard | None = None, prefix: str = "") -> Starlette:
    """All endpoints over a client.

    Args:
        client: started and closed by the caller.
        guard: who may ask for what; None lets every request in, because the application around this one has looked.
        prefix: where a server that is the API's own has it; "" for mounting it elsewhere.
    """
    shared = Shared(client, ENDPOINTS, prefix)
    here = [(prefix + one.path, one) for one in ENDPOINTS if not one.at_root]
    beside = [(one.path, one) for one in ENDPOINTS if one.at_root and prefix]
    made = Starlette(
        routes=_routes([*here, *beside], client, shared),
        middleware=[Middleware(Problems), Middleware(Gate, guard), Middleware(Limits)],
        exception_handlers={HTTPException: _routing_problem},
    )
    # A redirect would be built from the Host header.
    made.router.redirect_slashes = False
    return made


def _routes(endpoints: Iterable[tuple[str, Endpoint]], client: EngineClient, shared: Shared) -> list[BaseRoute]:
    by_path: dict[str, dict[str, Endpoint]] = {}
    for path, one in endpoints:
        by_path.setdefault(path, {})[one.method] = one
    return [Route(path, _handler(methods, client, shared), methods=list(methods)) for path, methods in by_path.items()]


def _handler(
    methods: dict[str, Endpoint], client: EngineClient, shared: Shared
) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        endpoint = methods["GET" if request.method == "HEAD" else request.method]
        caller = request.scope[CALLER]
        require(caller, endpoint.scope)
        # The threads that the handler begins take this along, so that the audit log names the caller.
        with acting_for(caller.name):
            return await endpoint.handle(Exchange(request, client, caller, shared))

    return handle


async def _routing_problem(request: Request, error: Exception) -> Response:
    return answer_to(error, request.scope)
