"""The engine at a glance: status, tiers, drills, processes."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.responses import Response

from maos_ckpt.api.answers import json_answer
from maos_ckpt.api.endpoint import Endpoint, Exchange
from maos_ckpt.api.reading import Drill, Name
from maos_ckpt.api.underway import carry_out, read_body
from maos_ckpt.errors import NotFoundError
from maos_ckpt.model import EngineStatus, ProcessReport, TierStatus
from maos_ckpt.model.access import Scope
from maos_ckpt.model.drills import DrillHistory, DrillReport, DrillScenario

DRILLS_MAX = 100
_REASON_CHARACTERS_MAX = 2000


class DrillAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What to rehearse: a checkpoint, and scenarios, all where none is named."""

    checkpoint_id: Name = "latest"
    scenarios: Annotated[list[DrillScenario], Meta(max_length=len(DrillScenario))] = []
    reason: Annotated[str, Meta(max_length=_REASON_CHARACTERS_MAX)] = ""


class DrillsAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many drills, the newest first."""

    limit: Annotated[int, Meta(ge=1, le=DRILLS_MAX)] = 20


@dataclass(frozen=True, slots=True)
class TierList:
    """The places where checkpoints are kept."""

    tiers: tuple[TierStatus, ...]


async def _status(exchange: Exchange) -> Response:
    return json_answer(exchange.request, await exchange.call(exchange.client.status))


async def _tiers(exchange: Exchange) -> Response:
    status = await exchange.call(exchange.client.status)
    return json_answer(exchange.request, TierList(status.tiers))


async def _processes(exchange: Exchange) -> Response:
    return json_answer(exchange.request, await exchange.call_long(exchange.client.processes))


async def _drills(exchange: Exchange) -> Response:
    asked = exchange.asked(DrillsAsked)
    return json_answer(exchange.request, await exchange.call(exchange.client.drills, asked.limit))


async def _show_drill(exchange: Exchange) -> Response:
    identity = exchange.named("id", Drill)
    history = await exchange.call(exchange.client.drills, DRILLS_MAX)
    found = next((one for one in history.reports if one.id == identity), None)
    if found is None:
        raise NotFoundError(f"There is no drill {identity} among the last {DRILLS_MAX}.")
    return json_answer(exchange.request, found)


async def _drill(exchange: Exchange) -> Response:
    asked = await read_body(exchange, DrillAsked)
    scenarios = [one.value for one in asked.scenarios]
    place = f"{exchange.base}/drills"
    return await carry_out(
        exchange,
        "drill",
        lambda: exchange.client.drill(asked.checkpoint_id, scenarios, reason=asked.reason),
        status=HTTPStatus.CREATED,
        headers=lambda report: {"location": f"{place}/{report.id}"},
    )


ENDPOINTS = (
    Endpoint("GET", "/status", Scope.READ, _status, "engine, schedule and repository now", answer=EngineStatus),
    Endpoint("GET", "/tiers", Scope.READ, _tiers, "the places where checkpoints are kept", answer=TierList),
    Endpoint("GET", "/processes", Scope.READ, _processes, "every live MAOS of this machine", answer=ProcessReport),
    Endpoint("GET", "/drills", Scope.READ, _drills, "the last drills", query=DrillsAsked, answer=DrillHistory),
    Endpoint(
        "POST",
        "/drills",
        Scope.RECOVER,
        _drill,
        "rehearse a recovery in a scratch copy",
        body=DrillAsked,
        answer=DrillReport,
        status=HTTPStatus.CREATED,
        problems=(HTTPStatus.CONFLICT,),
        runs=True,
    ),
    Endpoint(
        "GET", "/drills/{id}", Scope.READ, _show_drill, "one drill", answer=DrillReport, placeholders={"id": Drill}
    ),
)
