"""Looking inside: records, differences, histories, texts, and a checkpoint as a download."""

from __future__ import annotations

import contextlib
import functools
from http import HTTPStatus
from pathlib import Path
from typing import Annotated
from urllib.parse import urlencode

import msgspec
from msgspec import Meta
from starlette.responses import Response

from maos_ckpt.api.answers import json_answer
from maos_ckpt.api.downloads import TAR, Download, archive_bytes, members
from maos_ckpt.api.endpoint import Endpoint, Exchange
from maos_ckpt.api.reading import MaybeName, Name, Side
from maos_ckpt.errors import UsageError
from maos_ckpt.model import Checkpoint, DiffResult, FindResult, Recommendation
from maos_ckpt.model.access import Scope
from maos_ckpt.model.contents import History, RecordPage

LIVE = "live"
CHANGES_MAX = 10_000
MATCHES_MAX = 10_000
VERSIONS_MAX = 1000
RECORDS_MAX = 1000
CLIP_MAX = 1 << 30
_TEXT_CHARACTERS_MAX = 1000
_MARK_CHARACTERS_MAX = 8192
#: A checkpoint, or the live state.
Text = Annotated[str, Meta(max_length=_TEXT_CHARACTERS_MAX)]


class RecordsAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which records of a checkpoint, or of the live state."""

    component: Text = ""
    record: Annotated[
        str, Meta(max_length=_TEXT_CHARACTERS_MAX, description="A glob over the key, or component/collection/key.")
    ] = ""
    after: Annotated[str, Meta(max_length=_MARK_CHARACTERS_MAX, description="`next` of the page before.")] = ""
    limit: Annotated[int, Meta(ge=1, le=RECORDS_MAX)] = 100
    clip: Annotated[int, Meta(ge=0, le=CLIP_MAX, description="Characters of a value; 0 gives it in full.")] = 0


class DiffAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which two states; `live` is the present one."""

    before: Side
    after: Side = LIVE
    limit: Annotated[int, Meta(ge=0, le=CHANGES_MAX, description="Changes listed; all are counted.")] = 1000


class HistoryAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which record, by its key, `component/collection/key`, or a glob that means one."""

    key: Annotated[str, Meta(min_length=1, max_length=_TEXT_CHARACTERS_MAX)]
    limit: Annotated[int, Meta(ge=1, le=VERSIONS_MAX)] = 100


class FindAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Which text, and where; `between` is two checkpoints, the older one first."""

    text: Annotated[str, Meta(min_length=1, max_length=_TEXT_CHARACTERS_MAX)]
    between: Annotated[list[Name], Meta(max_length=2)] = []
    component: Text = ""
    ignore_case: bool = False
    limit: Annotated[int, Meta(ge=1, le=MATCHES_MAX)] = 1000


class RecommendationAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A checkpoint to say something about, too."""

    checkpoint: MaybeName = ""


async def _records(exchange: Exchange) -> Response:
    name, asked = exchange.named("id", Side), exchange.asked(RecordsAsked)
    page = await exchange.call_long(
        exchange.client.records,
        name,
        component=asked.component or None,
        record=asked.record or None,
        after=asked.after,
        limit=asked.limit,
        clip=asked.clip or None,
    )
    headers = {}
    if page.next:
        parameters = {**{k: v for k, v in msgspec.structs.asdict(asked).items() if v}, "after": page.next}
        # By its id: `latest` may be another one by then.
        place = exchange.request.url.path.replace(f"/{name}/", f"/{page.checkpoint}/")
        headers = {"link": f'<{place}?{urlencode(parameters)}>; rel="next"'}
    return json_answer(exchange.request, page, headers=headers)


async def _diff(exchange: Exchange) -> Response:
    asked = exchange.asked(DiffAsked)
    found = await exchange.call_long(exchange.client.diff, asked.before, asked.after, asked.limit)
    return json_answer(exchange.request, found)


async def _history(exchange: Exchange) -> Response:
    asked = exchange.asked(HistoryAsked)
    return json_answer(exchange.request, await exchange.call_long(exchange.client.history, asked.key, asked.limit))


async def _find(exchange: Exchange) -> Response:
    asked = exchange.asked(FindAsked)
    if len(asked.between) == 1:
        raise UsageError("`between` is given twice, for two checkpoints, or not at all.")
    found = await exchange.call_long(
        exchange.client.find,
        asked.text,
        between=(asked.between[0], asked.between[1]) if asked.between else None,
        component=asked.component or None,
        ignore_case=asked.ignore_case,
        limit=asked.limit,
    )
    return json_answer(exchange.request, found)


async def _recommend(exchange: Exchange) -> Response:
    asked = exchange.asked(RecommendationAsked)
    found = await exchange.call_long(exchange.client.recommend, asked.checkpoint or None)
    return json_answer(exchange.request, found)


async def _export(exchange: Exchange) -> Response:
    name = exchange.named("id", Name)
    checkpoint = await exchange.call(exchange.client.checkpoint, name)
    made = await exchange.call_long(functools.partial(_make, exchange, checkpoint))
    return made


def _make(exchange: Exchange, checkpoint: Checkpoint) -> Download:
    repository = Path(exchange.client.status().repository)
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(exchange.shared.downloads.room(repository))
        files = []
        if exchange.request.method != "HEAD":
            exchange.client.export(checkpoint.id, str(place))
            files = members(place, checkpoint.id, checkpoint.created_at_ms // 1000)
        headers = {
            "content-disposition": f'attachment; filename="{checkpoint.id}.tar"',
            "cache-control": "private, no-store",
        }
        if files:
            headers["content-length"] = str(archive_bytes(files))
        return Download(files, headers, stack.pop_all())


_NAMED = {"id": Name}

ENDPOINTS = (
    Endpoint(
        "GET",
        "/checkpoints/{id}/records",
        Scope.READ,
        _records,
        "what a checkpoint, or the live state, holds, page by page",
        query=RecordsAsked,
        answer=RecordPage,
        placeholders={"id": Side},
    ),
    Endpoint(
        "GET",
        "/checkpoints/{id}/export",
        Scope.READ,
        _export,
        "a checkpoint as a tar archive of JSON lines",
        placeholders=_NAMED,
        media_type=TAR,
        problems=(HTTPStatus.SERVICE_UNAVAILABLE,),
    ),
    Endpoint("GET", "/diff", Scope.READ, _diff, "what differs between two states", query=DiffAsked, answer=DiffResult),
    Endpoint("GET", "/history", Scope.READ, _history, "how one record changed", query=HistoryAsked, answer=History),
    Endpoint(
        "GET", "/find", Scope.READ, _find, "which records held a text, and when", query=FindAsked, answer=FindResult
    ),
    Endpoint(
        "GET",
        "/recommendation",
        Scope.READ,
        _recommend,
        "which checkpoint to go back to, and why",
        query=RecommendationAsked,
        answer=Recommendation,
    ),
)
