"""Carrying out what a request asks for as a run, and looking at runs."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, TypeVar

import msgspec
from msgspec import Raw
from starlette.responses import Response

from maos_ckpt.api.answers import json_answer
from maos_ckpt.api.codec import encode, shown, special
from maos_ckpt.api.endpoint import Endpoint, Exchange
from maos_ckpt.api.problems import HttpProblem, problem_fields
from maos_ckpt.api.reading import JSON, Operation, body, placeholder
from maos_ckpt.api.runs import Reply, Run, RunState, failure_of, fingerprint, reply_of
from maos_ckpt.errors import UsageError
from maos_ckpt.model import RunningOperation
from maos_ckpt.model.access import Scope

T = TypeVar("T")
B = TypeVar("B")
#: How long a request waits for its run where it does not say how long.
WAIT_S = 300.0
_KEY = re.compile(r"[\x21-\x7e]{1,200}")
_WAIT = re.compile(r"wait=([0-9]{1,6})")
_Headers = Callable[[Any], dict[str, str]]


@dataclass(frozen=True, slots=True)
class OperationReport:
    """Something that a request began. `result` is what it is answered with in the end, a problem where it failed."""

    id: str
    operation: str
    state: RunState
    started_at_ms: int
    ended_at_ms: int | None
    result: Raw | None


special(Raw, Any, lambda raw: raw)


@dataclass(frozen=True, slots=True)
class OperationList:
    """What requests began, newest first."""

    operations: tuple[OperationReport, ...]


@dataclass(frozen=True, slots=True)
class CurrentOperation:
    """What the engine does now, whoever asked for it; None where it does nothing."""

    operation: RunningOperation | None


async def read_body(exchange: Exchange, kind: type[B]) -> B:
    """The checked body of a request that begins a run."""
    asked = body(exchange.request, await exchange.request.body(), kind)
    # Written again in one way: two bodies that say the same are the same.
    exchange.said = msgspec.json.encode(asked)
    return asked


async def carry_out(
    exchange: Exchange,
    operation: str,
    call: Callable[[], T],
    *,
    status: HTTPStatus = HTTPStatus.OK,
    headers: _Headers = lambda result: {},
) -> Response:
    """Carry out a blocking call as a run; its answer, or 202 where the request does not wait so long.

    Raises:
        CkptError: whatever the call raised.
    """
    request = exchange.request
    key = request.headers.get("idempotency-key")
    if key is not None and not _KEY.fullmatch(key):
        error = UsageError("An Idempotency-Key is 1 to 200 visible ASCII characters.", kept="Nothing was changed.")
        raise HttpProblem(HTTPStatus.BAD_REQUEST, error)

    def replied() -> Reply:
        result = call()
        return Reply(status, headers(result), encode(shown(result)))

    # The same key behind another address, or with other conditions, is another request.
    about = f"{request.url.path}?{request.url.query} {request.headers.get('if-match', '')}"
    run, again = exchange.shared.runs.begin(
        operation,
        exchange.caller.name,
        replied,
        key=key or "",
        fingerprint=fingerprint(request.method, about, exchange.said),
    )
    reply = await reply_of(run, _wait_s(request.headers.get("prefer", "")))
    sent = {"cache-control": "no-store", **({"idempotency-replayed": "true"} if again else {})}
    if reply is None:
        place = f"{exchange.base}/operations/{run.id}"
        return json_answer(request, _report(run), HTTPStatus.ACCEPTED, {**sent, "location": place})
    return Response(reply.body, reply.status, {**sent, **reply.headers}, JSON)


def _wait_s(prefer: str) -> float:
    wanted = [one.strip().lower() for one in re.split("[,;]", prefer)]
    if "respond-async" in wanted:
        return 0.0
    found = [float(match[1]) for one in wanted if (match := _WAIT.fullmatch(one))]
    return min(found[0], WAIT_S) if found else WAIT_S


def _report(run: Run) -> OperationReport:
    result: bytes | None = None
    failure = failure_of(run)
    if failure is not None:
        result = msgspec.json.encode(problem_fields(*failure), enc_hook=str)
    elif run.state is RunState.SUCCEEDED:
        result = run.future.result().body
    return OperationReport(
        run.id, run.operation, run.state, run.started_at_ms, run.ended_at_ms, None if result is None else Raw(result)
    )


async def _operations(exchange: Exchange) -> Response:
    found = tuple(map(_short, exchange.shared.runs.newest_first()))
    return json_answer(exchange.request, OperationList(found))


def _short(run: Run) -> OperationReport:
    return OperationReport(run.id, run.operation, run.state, run.started_at_ms, run.ended_at_ms, None)


async def _operation(exchange: Exchange) -> Response:
    run = exchange.shared.runs.find(placeholder(exchange.request, "id", Operation))
    return json_answer(exchange.request, _report(run))


async def _current(exchange: Exchange) -> Response:
    status = await exchange.call(exchange.client.status)
    return json_answer(exchange.request, CurrentOperation(status.running))


ENDPOINTS = (
    Endpoint("GET", "/operations", Scope.READ, _operations, "what requests began", answer=OperationList),
    Endpoint("GET", "/operations/current", Scope.READ, _current, "what the engine does now", answer=CurrentOperation),
    Endpoint(
        "GET",
        "/operations/{id}",
        Scope.READ,
        _operation,
        "one of them, with its result",
        answer=OperationReport,
        placeholders={"id": Operation},
    ),
)
