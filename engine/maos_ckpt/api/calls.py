"""The server's side of `RemoteClient`: every method of `EngineClient` as a call, and the stream of events.

`POST calls/METHOD` takes the arguments as MessagePack and answers with the result as MessagePack, or with a problem. A
call that takes long, or that must not be made twice, bears a key: while it goes on it is answered 202, and is to be
asked for again with the same key. `GET calls/events` is the stream of `frames`.
"""

from __future__ import annotations

import re
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus

import msgspec
from starlette.applications import Starlette
from starlette.responses import Response, StreamingResponse

from maos_ckpt.api.endpoint import Endpoint, Exchange
from maos_ckpt.api.fanout import Fanout
from maos_ckpt.api.methods import METHODS, Method, arguments_decoder, carry_out
from maos_ckpt.api.names import CLIENT, ENGINE, KEY, MEDIA_TYPE
from maos_ckpt.api.ongoing import OngoingCalls
from maos_ckpt.api.problems import HttpProblem
from maos_ckpt.api.shared_hold import SharedHold
from maos_ckpt.client import EngineClient
from maos_ckpt.errors import ConflictError, EngineRestartedError, UsageError
from maos_ckpt.model.access import Scope

#: Keys and names of clients are random tokens.
_TOKEN = re.compile(r"[0-9A-Za-z_-]{16,64}")
_MAKING = threading.Lock()


@dataclass(frozen=True, slots=True)
class Consoles:
    """What one application keeps for all remote clients. `stop` ends the program that serves, in order."""

    fanout: Fanout
    ongoing: OngoingCalls
    holds: SharedHold
    stop: Callable[[], None] | None


def serve_consoles(app: Starlette, client: EngineClient, stop: Callable[[], None] | None = None) -> Consoles:
    """Make an application ready for the calls of remote clients; again gives what there is."""
    with _MAKING:
        found = getattr(app.state, "consoles", None)
        if not isinstance(found, Consoles):
            found = Consoles(Fanout(client), OngoingCalls(), SharedHold(client), stop)
            app.state.consoles = found
        return found


def _consoles(exchange: Exchange) -> Consoles:
    return serve_consoles(exchange.request.app, exchange.client)


async def _call(method: Method, exchange: Exchange) -> Response:
    request, consoles = exchange.request, _consoles(exchange)
    body = await _body(method, exchange)
    headers = {ENGINE: consoles.fanout.engine, "cache-control": "no-store"}
    if method.name == "hold":
        names = msgspec.structs.asdict(arguments_decoder("hold").decode(body))["names"]
        await exchange.call(consoles.holds.hold, _token(exchange, CLIENT), names)
        return Response(msgspec.msgpack.encode(None), HTTPStatus.OK, headers, MEDIA_TYPE)
    work = partial(carry_out, exchange.client, method.name, body)
    if not method.once:
        return Response(await exchange.call(work), HTTPStatus.OK, headers, MEDIA_TYPE)
    key = f"{exchange.caller.name}:{_token(exchange, KEY)}"
    known = request.headers.get(ENGINE)
    if known not in (None, consoles.fanout.engine) and not consoles.ongoing.knows(key):
        raise EngineRestartedError(
            "The engine has been started anew since it was asked to do this.",
            kept="What it had begun is finished or taken back; every checkpoint is untouched.",
            hint="`maos-ckpt events` tells what came of it; then ask again.",
            engine=consoles.fanout.engine,
        )
    answer = await consoles.ongoing.join(key, method.name.encode() + b"\0" + body, work)
    if answer is None:
        return Response(status_code=HTTPStatus.ACCEPTED, headers=headers)
    return Response(answer, HTTPStatus.OK, headers, MEDIA_TYPE)


async def _body(method: Method, exchange: Exchange) -> bytes:
    kind = exchange.request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != MEDIA_TYPE:
        error = UsageError(f"A call's arguments are {MEDIA_TYPE}.", kept="Nothing was done.")
        raise HttpProblem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, error)
    body = await exchange.request.body()
    try:
        arguments_decoder(method.name).decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise UsageError(
            f"These are no arguments of {method.name}: {error}.",
            kept="Nothing was done.",
            hint="Client and engine are to be of one version.",
        ) from error
    return body


def _token(exchange: Exchange, header: str) -> str:
    token: str = exchange.request.headers.get(header, "")
    if not _TOKEN.fullmatch(token):
        raise UsageError(
            f"This call needs a header {header}: 16 to 64 letters, digits, - or _, drawn at random.",
            kept="Nothing was done.",
            header=header,
        )
    return token


async def _events(exchange: Exchange) -> Response:
    consoles, query = _consoles(exchange), exchange.request.query_params
    cursor = query.get("cursor", "")
    if cursor and not (cursor.isascii() and cursor.isdecimal() and len(cursor) <= 18):
        raise UsageError("A cursor is a whole number.", kept="Nothing was done.")
    stream = consoles.fanout.stream(query.get("engine", ""), int(cursor) if cursor else None)
    # What is wrong shows at the first frame, while there is still a status to give.
    first = await anext(stream)

    async def frames() -> AsyncIterator[bytes]:
        try:
            yield first
            async for piece in stream:
                yield piece
        finally:
            await stream.aclose()

    headers = {ENGINE: consoles.fanout.engine, "cache-control": "no-store"}
    return StreamingResponse(frames(), headers=headers, media_type=MEDIA_TYPE)


async def _stop(exchange: Exchange) -> Response:
    stop = _consoles(exchange).stop
    if stop is None:
        raise ConflictError(
            "This engine ends with the program that it runs in.", kept="It goes on.", hint="End that program."
        )
    stop()
    return Response(status_code=HTTPStatus.ACCEPTED)


#: Not listed in the API's own description: they are between a client and an engine of one version.
ENDPOINTS = (
    *(
        Endpoint("POST", f"/calls/{one.name}", one.scope, partial(_call, one), f"EngineClient.{one.name}", listed=False)
        for one in METHODS.values()
    ),
    Endpoint("POST", "/calls/stop_engine", Scope.ADMIN, _stop, "end the engine, in order", listed=False),
    Endpoint("GET", "/calls/events", Scope.READ, _events, "events and progress as MessagePack frames", listed=False),
)
