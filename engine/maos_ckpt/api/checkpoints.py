"""Checkpoints: taking, listing, looking, marking, checking and removing them."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated
from urllib.parse import urlencode

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from maos_ckpt.api.answers import json_answer, refuse_unless_matching
from maos_ckpt.api.codec import Computed, changed
from maos_ckpt.api.endpoint import Endpoint, Exchange
from maos_ckpt.api.reading import Identity, Name, Nothing, matching
from maos_ckpt.api.shapes import ComponentSize, component_sizes
from maos_ckpt.api.underway import carry_out, read_body
from maos_ckpt.capture.save import DESCRIPTION_CHARACTERS_MAX, TAGS_MAX
from maos_ckpt.errors import UsageError
from maos_ckpt.model import Checkpoint, CheckpointState, Trigger, VerifyLevel, VerifyResult
from maos_ckpt.model.access import Scope

#: More than any repository holds.
_ALL = 1 << 40
PAGE_DEFAULT = 20
PAGE_MAX = 500
OFFSET_MAX = 1_000_000
_TAG_CHARACTERS_MAX = 100

Tag = Annotated[str, matching(r"\S", "a tag that is not blank", min_length=1, max_length=_TAG_CHARACTERS_MAX)]
Tags = Annotated[list[Tag], Meta(max_length=TAGS_MAX)]
Limit = Annotated[int, Meta(ge=1, le=PAGE_MAX)]
Offset = Annotated[int, Meta(ge=0, le=OFFSET_MAX)]


class Listing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which checkpoints to list, the newest first."""

    limit: Limit = PAGE_DEFAULT
    offset: Offset = 0
    tag: Annotated[str, Meta(max_length=_TAG_CHARACTERS_MAX, description="Only those that carry it.")] = ""


class Save(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to say of a new checkpoint."""

    description: Annotated[str, Meta(max_length=DESCRIPTION_CHARACTERS_MAX)] = ""
    tags: Tags = []


class Marks(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What to change about a checkpoint: its pin, its tags, or both."""

    pinned: bool | None = None
    add_tags: Tags = []
    remove_tags: Tags = []


class Validation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How deep to look."""

    level: VerifyLevel = VerifyLevel.STANDARD


@dataclass(frozen=True, slots=True)
class CheckpointSummary:
    """A checkpoint in a list."""

    id: str
    created_at_ms: int
    description: str
    tags: tuple[str, ...]
    pinned: bool
    trigger: Trigger
    state: CheckpointState
    records: int
    logical_bytes: int
    stored_bytes: int
    duration_s: float
    components: tuple[ComponentSize, ...]


@dataclass(frozen=True, slots=True)
class CheckpointPage:
    """A part of the list of checkpoints; `total` counts all that it is a part of."""

    checkpoints: tuple[CheckpointSummary, ...]
    total: int
    limit: int
    offset: int


@dataclass(frozen=True, slots=True)
class Removed:
    """A checkpoint that is gone."""

    id: str
    deleted: bool = True


changed(VerifyResult, computed=(Computed("valid", bool, lambda one: one.ok),))


def summary(one: Checkpoint) -> CheckpointSummary:
    """A checkpoint at a glance."""
    return CheckpointSummary(
        one.id,
        one.created_at_ms,
        one.description,
        one.tags,
        one.pinned,
        one.trigger,
        one.state,
        one.records,
        one.logical_bytes,
        one.stored_bytes,
        one.duration_s,
        component_sizes(one),
    )


def paging_links(request: Request, asked: Listing, total: int) -> dict[str, str]:
    """The `Link` header of a page: first, prev, next and last."""
    limit, offset = asked.limit, asked.offset
    last = max((total - 1) // limit * limit, 0)
    found = {"first": 0, "last": last}
    if offset > 0:
        found["prev"] = min(max(offset - limit, 0), last)
    if offset + limit < total:
        found["next"] = offset + limit
    links = []
    for relation, place in found.items():
        parameters = {"limit": limit, "offset": place} | ({"tag": asked.tag} if asked.tag else {})
        links.append(f'<{request.url.path}?{urlencode(parameters)}>; rel="{relation}"')
    return {"link": ", ".join(links)}


async def _list(exchange: Exchange) -> Response:
    asked = exchange.asked(Listing)
    found = await exchange.call(exchange.client.checkpoints, _ALL)
    if asked.tag:
        found = [one for one in found if asked.tag in one.tags]
    shown = tuple(map(summary, found[asked.offset : asked.offset + asked.limit]))
    page = CheckpointPage(shown, len(found), asked.limit, asked.offset)
    return json_answer(exchange.request, page, headers=paging_links(exchange.request, asked, len(found)))


async def _save(exchange: Exchange) -> Response:
    asked = await read_body(exchange, Save)
    call = functools.partial(exchange.client.save, asked.description, tuple(asked.tags), trigger=Trigger.API)
    place = f"{exchange.base}/checkpoints"
    return await carry_out(
        exchange,
        "save",
        call,
        status=HTTPStatus.CREATED,
        headers=lambda saved: {"location": f"{place}/{saved.id}"},
    )


async def _show(exchange: Exchange) -> Response:
    found = await exchange.call(exchange.client.checkpoint, exchange.named("id", Name))
    return json_answer(exchange.request, found)


async def _mark(exchange: Exchange) -> Response:
    identity = exchange.named("id", Identity)
    asked = await read_body(exchange, Marks)
    if asked.pinned is None and not asked.add_tags and not asked.remove_tags:
        raise UsageError(
            "There is nothing to change.", kept="Nothing was changed.", hint="Give pinned, addTags or removeTags."
        )
    client = exchange.client

    def mark() -> Checkpoint:
        refuse_unless_matching(exchange.request, client.checkpoint(identity))
        if asked.pinned is not None:
            client.set_pinned(identity, asked.pinned)
        if asked.add_tags or asked.remove_tags:
            client.change_tags(identity, asked.add_tags, asked.remove_tags)
        return client.checkpoint(identity)

    return await carry_out(exchange, "mark", mark)


async def _delete(exchange: Exchange) -> Response:
    identity = exchange.named("id", Identity)
    await read_body(exchange, Nothing)
    client = exchange.client

    def delete() -> Removed:
        refuse_unless_matching(exchange.request, client.checkpoint(identity))
        return Removed(client.delete(identity))

    return await carry_out(exchange, "delete", delete)


async def _validate(exchange: Exchange) -> Response:
    name = exchange.named("id", Name)
    asked = await read_body(exchange, Validation)
    return await carry_out(exchange, "verify", lambda: exchange.client.verify([name], asked.level))


_NAMED = {"id": Name}
_IDENTIFIED = {"id": Identity}
_PRECONDITION = (HTTPStatus.CONFLICT, HTTPStatus.PRECONDITION_FAILED)

ENDPOINTS = (
    Endpoint(
        "GET", "/checkpoints", Scope.READ, _list, "checkpoints, newest first", query=Listing, answer=CheckpointPage
    ),
    Endpoint(
        "POST",
        "/checkpoints",
        Scope.SAVE,
        _save,
        "take a checkpoint now",
        body=Save,
        answer=Checkpoint,
        status=HTTPStatus.CREATED,
        runs=True,
    ),
    Endpoint("GET", "/checkpoints/{id}", Scope.READ, _show, "one checkpoint", answer=Checkpoint, placeholders=_NAMED),
    Endpoint(
        "PATCH",
        "/checkpoints/{id}",
        Scope.SAVE,
        _mark,
        "pin or unpin a checkpoint, give it tags or take some away",
        body=Marks,
        answer=Checkpoint,
        placeholders=_IDENTIFIED,
        problems=_PRECONDITION,
        runs=True,
    ),
    Endpoint(
        "DELETE",
        "/checkpoints/{id}",
        Scope.ADMIN,
        _delete,
        "remove a checkpoint that is not pinned",
        answer=Removed,
        placeholders=_IDENTIFIED,
        problems=_PRECONDITION,
        runs=True,
    ),
    Endpoint(
        "POST",
        "/checkpoints/{id}/validate",
        Scope.SAVE,
        _validate,
        "check what is stored of a checkpoint",
        body=Validation,
        answer=VerifyResult,
        placeholders=_NAMED,
        runs=True,
    ),
)
