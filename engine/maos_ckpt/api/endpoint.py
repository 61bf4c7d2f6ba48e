"""What the API consists of: endpoints, and the exchange that each of them handles."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, ParamSpec, TypeVar

import anyio
import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response

from maos_ckpt.api.guard import Caller
from maos_ckpt.api.problems import HttpProblem
from maos_ckpt.client import EngineClient
from maos_ckpt.errors import UnavailableError
from maos_ckpt.model.access import Scope

P = ParamSpec("P")
T = TypeVar("T")
#: Calls that answer at once, and calls that run for seconds or minutes, each wait in threads of their own.
QUICK_CALLS_MAX = 8
LONG_CALLS_MAX = 32
_RETRY_AFTER_S = 5


class Threads:
    """The threads that calls of the engine wait in; asynchronous code never blocks."""

    def __init__(self) -> None:
        self._quick = anyio.CapacityLimiter(QUICK_CALLS_MAX)
        self._long = anyio.CapacityLimiter(LONG_CALLS_MAX)

    async def quick(self, call: Callable[[], T]) -> T:
        """Run a call that answers at once; waits for a thread."""
        return await anyio.to_thread.run_sync(call, limiter=self._quick)

    async def long(self, call: Callable[[], T]) -> T:
        """Run a call that may take minutes.

        Raises:
            HttpProblem: 503, as many as may run are running.
        """
        if self._long.borrowed_tokens >= self._long.total_tokens:
            error = UnavailableError(
                f"{LONG_CALLS_MAX} long calls are running, and no more are taken.",
                kept="Nothing was begun.",
                hint="Try again when one of them has ended.",
            )
            raise HttpProblem(HTTPStatus.SERVICE_UNAVAILABLE, error, {"retry-after": str(_RETRY_AFTER_S)})
        return await anyio.to_thread.run_sync(call, limiter=self._long)


class Exchange:
    """One request with what serves to answer it."""

    def __init__(self, request: Request, client: EngineClient, caller: Caller, threads: Threads) -> None:
        self.request = request
        self.client = client
        self.caller = caller
        self._threads = threads

    @property
    def path(self) -> dict[str, str]:
        """The values of the placeholders in the endpoint's path, undone of their percent-encoding; unchecked."""
        return self.request.path_params

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call the engine where it answers at once."""
        return await self._threads.quick(functools.partial(function, *args, **kwargs))

    async def call_long(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call the engine where it may take seconds or minutes. It goes on where the asking client goes away."""
        return await self._threads.long(functools.partial(function, *args, **kwargs))


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method of one path.

    Args:
        path: below the API's prefix, as `/checkpoints/{id}`.
        scope: what a caller must be allowed to do.
        body, query, answer: the shapes of the JSON body, the query and the answer; None where there is none.
        at_root: it lies beside the prefix, not below it, and only where a whole server is the API's.
    """

    method: str
    path: str
    scope: Scope
    handle: Callable[[Exchange], Awaitable[Response]]
    summary: str
    body: Any = None
    query: Any = None
    answer: Any = None
    status: HTTPStatus = HTTPStatus.OK
    at_root: bool = False
