"""Metrics and alerts: for people and programs as JSON, for Prometheus as its text."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.responses import Response

from maos_ckpt.alerts.book import SNOOZE_S_MAX
from maos_ckpt.api.answers import json_answer
from maos_ckpt.api.codec import Computed, changed
from maos_ckpt.api.endpoint import Endpoint, Exchange
from maos_ckpt.api.reading import matching
from maos_ckpt.api.underway import read_body
from maos_ckpt.model.access import Scope
from maos_ckpt.model.alerts import Alert, AlertName
from maos_ckpt.model.metrics import HOURS, HOURS_MAX, MetricsReport, TrendPoint

AlertNamed = Annotated[
    str,
    matching(
        f"^({'|'.join(AlertName)})$", f"one of {', '.join(AlertName)}", max_length=40, description="An alert's name."
    ),
]
#: The names that the reference gives these; times in seconds, sizes in bytes.
changed(
    MetricsReport,
    left_out=("average_save_time_s", "average_recovery_time_s", "storage_usage_bytes"),
    computed=(
        Computed("average_save_time", float | None, operator.attrgetter("average_save_time_s")),
        Computed("average_recovery_time", float | None, operator.attrgetter("average_recovery_time_s")),
        Computed("storage_usage", int, operator.attrgetter("storage_usage_bytes")),
    ),
)


class Window(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many hours to look back."""

    hours: Annotated[int, Meta(ge=1, le=HOURS_MAX)] = HOURS


class Seen(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """An alert was seen; with `snooze_seconds` it is told again after that, else not before it has cleared."""

    snooze_seconds: Annotated[int, Meta(ge=0, le=int(SNOOZE_S_MAX))] = 0


@dataclass(frozen=True, slots=True)
class Trends:
    """How things went over a window of time, in buckets of `bucket_s`."""

    hours: int
    bucket_s: int
    save_time_trend: tuple[TrendPoint, ...]
    success_rate_over_time: tuple[TrendPoint, ...]
    compression_ratio_trend: tuple[TrendPoint, ...]
    recovery_time_trend: tuple[TrendPoint, ...]
    lock_time_trend: tuple[TrendPoint, ...]
    stored_bytes_trend: tuple[TrendPoint, ...]


@dataclass(frozen=True, slots=True)
class AlertList:
    """The alerts that stand, the worst first."""

    alerts: tuple[Alert, ...]


async def _metrics(exchange: Exchange) -> Response:
    asked = exchange.asked(Window)
    return json_answer(exchange.request, await exchange.call(exchange.client.metrics, asked.hours))


async def _trends(exchange: Exchange) -> Response:
    asked = exchange.asked(Window)
    one = await exchange.call(exchange.client.metrics, asked.hours)
    found = Trends(
        one.hours,
        one.bucket_s,
        one.save_time_trend,
        one.success_rate_over_time,
        one.compression_ratio_trend,
        one.recovery_time_trend,
        one.lock_time_trend,
        one.stored_bytes_trend,
    )
    return json_answer(exchange.request, found)


async def _alerts(exchange: Exchange) -> Response:
    return json_answer(exchange.request, AlertList(await exchange.call(exchange.client.alerts)))


async def _acknowledge(exchange: Exchange) -> Response:
    name, seen = exchange.named("name", AlertNamed), await read_body(exchange, Seen)
    alert = await exchange.call(exchange.client.acknowledge, name, float(seen.snooze_seconds))
    return json_answer(exchange.request, alert)


async def _exposition(exchange: Exchange) -> Response:
    from maos_ckpt.metrics import exposition  # Loaded where somebody scrapes.

    client = exchange.client

    def text() -> bytes:
        return exposition.exposition(client.metrics(), client.status(), client.alerts())

    headers = {"cache-control": "no-store", "content-type": exposition.CONTENT_TYPE}
    return Response(await exchange.call(text), HTTPStatus.OK, headers)


ENDPOINTS = (
    Endpoint(
        "GET",
        "/metrics",
        Scope.READ,
        _metrics,
        "what was measured, with percentiles and trends",
        query=Window,
        answer=MetricsReport,
    ),
    Endpoint("GET", "/trends", Scope.READ, _trends, "how things went over time", query=Window, answer=Trends),
    Endpoint("GET", "/alerts", Scope.READ, _alerts, "the alerts that stand", answer=AlertList),
    Endpoint(
        "POST",
        "/alerts/{name}/acknowledge",
        Scope.SAVE,
        _acknowledge,
        "say that an alert was seen",
        body=Seen,
        answer=Alert,
        placeholders={"name": AlertNamed},
    ),
    Endpoint(
        "GET",
        "/metrics",
        Scope.READ,
        _exposition,
        "the metrics as Prometheus reads them",
        media_type="text/plain",
        at_root=True,
        listed=False,
    ),
)
