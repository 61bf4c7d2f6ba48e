"""Whether the engine is well, for probes."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.responses import Response

from maos_ckpt import __version__
from maos_ckpt.api.answers import json_answer
from maos_ckpt.api.endpoint import Endpoint, Exchange
from maos_ckpt.model.access import Scope
from maos_ckpt.model.alerts import CRITICAL


@dataclass(frozen=True, slots=True)
class Health:
    """`status` is `healthy`, or `degraded` where the last operation of the engine failed or a critical alert stands;
    `alerts` names all that stand."""

    status: str
    alerts: tuple[str, ...]
    version: str
    role: str


async def _health(exchange: Exchange) -> Response:
    status = await exchange.call(exchange.client.status)
    bad = bool(status.last_error) or any(one.severity == CRITICAL for one in status.alerts)
    found = Health("degraded" if bad else "healthy", tuple(one.name for one in status.alerts), __version__, status.role)
    return json_answer(exchange.request, found)


ENDPOINTS = (Endpoint("GET", "/health", Scope.READ, _health, "whether the engine is well", answer=Health),)
