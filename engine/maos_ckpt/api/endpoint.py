"""What the API consists of: endpoints, and the exchange that each of them handles."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, ParamSpec, TypeVar

import anyio
import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response

from maos_ckpt.api.broadcast import Broadcast
from maos_ckpt.api.downloads import Downloads
from maos_ckpt.api.guard import Caller
from maos_ckpt.api.plans import Plans
from maos_ckpt.api.problems import HttpProblem
from maos_ckpt.api.reading import JSON, placeholder, query
from maos_ckpt.api.runs import Runs
from maos_ckpt.client import EngineClient
from maos_ckpt.errors import UnavailableError
from maos_ckpt.model.access import Scope
from maos_ckpt.seams import SYSTEM, Seams

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


class Shared:
    """What the requests of one application have in common."""

    def __init__(
        self, client: EngineClient, endpoints: tuple[Endpoint, ...], prefix: str, seams: Seams = SYSTEM
    ) -> None:
        self.endpoints = endpoints
        self.prefix = prefix
        self.threads = Threads()
        self.runs = Runs(seams)
        self.plans = Plans(seams)
        self.broadcast = Broadcast(client)
        self.downloads = Downloads(seams)


class Exchange:
    """One request with what serves to answer it."""

    def __init__(self, request: Request, client: EngineClient, caller: Caller, shared: Shared) -> None:
        self.request = request
        self.client = client
        self.caller = caller
        self.shared = shared
        #: The checked body, for telling two requests apart.
        self.said = b""
        self._threads = shared.threads

    @property
    def base(self) -> str:
        """The path that the API's own paths stand behind, wherever it is mounted."""
        return str(self.request.scope.get("root_path", "")) + self.shared.prefix

    @property
    def path(self) -> dict[str, str]:
        """The values of the placeholders in the endpoint's path, undone of their percent-encoding; unchecked."""
        return self.request.path_params

    def asked(self, kind: type[T]) -> T:
        """The query, checked; raises UsageError."""
        return query(self.request, kind)

    def named(self, placeholder_name: str, kind: Any) -> str:
        """A placeholder of the path, checked; raises NotFoundError."""
        return placeholder(self.request, placeholder_name, kind)

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
        placeholders: the shapes of the placeholders in the path.
        media_type: of an answer that is no JSON.
        problems: statuses of problems besides those that any endpoint may answer with.
        runs: it begins a run (`runs`), so it knows `Idempotency-Key` and `Prefer`, and may answer 202.
        listed: whether the API's own description tells of it.
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
    placeholders: Mapping[str, Any] = field(default_factory=dict)
    media_type: str = JSON
    problems: tuple[HTTPStatus, ...] = ()
    runs: bool = False
    listed: bool = True
