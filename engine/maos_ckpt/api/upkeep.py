"""The engine at a glance: status, tiers, drills, processes; integrity, and mending it."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.responses import Response

from maos_ckpt.api.answers import json_answer
from maos_ckpt.api.endpoint import Endpoint, Exchange
from maos_ckpt.api.reading import Drill, Name, Nothing
from maos_ckpt.api.underway import carry_out, read_body
from maos_ckpt.errors import NotFoundError
from maos_ckpt.model import EngineStatus, ProcessReport, TierStatus, VerifyLevel, VerifyResult
from maos_ckpt.model.access import Scope
from maos_ckpt.model.drills import DrillHistory, DrillReport, DrillScenario
from maos_ckpt.model.integrity import IntegrityReport

DRILLS_MAX = 100
RUNS_MAX = 1000
_REASON_CHARACTERS_MAX = 2000


class DrillAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What to rehearse: a checkpoint, and scenarios, all where none is named."""

    checkpoint_id: Name = "latest"
    scenarios: Annotated[list[DrillScenario], Meta(max_length=len(DrillScenario))] = []
    reason: Annotated[str, Meta(max_length=_REASON_CHARACTERS_MAX)] = ""


class DrillsAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many drills, the newest first."""

    limit: Annotated[int, Meta(ge=1, le=DRILLS_MAX)] = 20


class IntegrityAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many verifications, the newest first."""

    limit: Annotated[int, Meta(ge=0, le=RUNS_MAX)] = 50


class RepairAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How deep to look for what is to be mended."""

    level: VerifyLevel = VerifyLevel.STANDARD


@dataclass(frozen=True, slots=True)
class TierList:
    """The places where checkpoints are kept."""

    tiers: tuple[TierStatus, ...]


async def _status(exchange: Exchange) -> Response:
    return json_answer(exchange.request, await exchange.call(exchange.client.status))


async def _tiers(exchange: Exchange) -> Response:
    status = await exchange.call(exchange.client.status)
    return json_answer(exchange.request, TierList(status.tiers))


async def _integrity(exchange: Exchange) -> Response:
    asked = exchange.asked(IntegrityAsked)
    return json_answer(exchange.request, await exchange.call(exchange.client.integrity, asked.limit))


async def _repair(exchange: Exchange) -> Response:
    asked = await read_body(exchange, RepairAsked)
    return await carry_out(exchange, "repair", lambda: exchange.client.repair(asked.level))


async def _cancel(exchange: Exchange) -> Response:
    await read_body(exchange, Nothing)
    return json_answer(exchange.request, {"cancelled": await exchange.call(exchange.client.cancel_verification)})


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
    Endpoint(
        "GET",
        "/integrity",
        Scope.READ,
        _integrity,
        "how far what is stored has been read back, and the last verifications",
        query=IntegrityAsked,
        answer=IntegrityReport,
    ),
    Endpoint(
        "POST",
        "/integrity/repair",
        Scope.RECOVER,
        _repair,
        "check everything, and mend it from the other tier",
        body=RepairAsked,
        answer=VerifyResult,
        problems=(HTTPStatus.CONFLICT,),
        runs=True,
    ),
    Endpoint(
        "POST",
        "/integrity/cancel",
        Scope.SAVE,
        _cancel,
        "stop the verification that is under way",
        body=Nothing,
        answer=dict[str, bool],
    ),
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
