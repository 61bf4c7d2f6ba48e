"""Answers: JSON with an entity tag, and what conditional requests ask about it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from maos_ckpt.api.codec import encode, shown
from maos_ckpt.api.problems import HttpProblem
from maos_ckpt.api.reading import JSON
from maos_ckpt.errors import ConflictError

_TAG_CHARACTERS = 32
#: Nothing of this is for a cache that others share, and whoever keeps it asks again.
_CACHING = {"cache-control": "private, no-cache"}
_CONDITIONAL = ("GET", "HEAD")


def entity_tag(body: bytes) -> str:
    """The tag of a representation; the same bytes always have the same one."""
    return f'"{hashlib.sha256(body).hexdigest()[:_TAG_CHARACTERS]}"'


def json_answer(
    request: Request,
    value: object,
    status: HTTPStatus = HTTPStatus.OK,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A value of the model, or of JSON's own types, as an answer; 304 where the asking side has it already."""
    body = encode(shown(value))
    sent = {**_CACHING, **(headers or {})}
    if request.method in _CONDITIONAL:
        sent["etag"] = tag = entity_tag(body)
        if _names(request.headers.get("if-none-match", ""), tag):
            return Response(None, HTTPStatus.NOT_MODIFIED, sent)
    return Response(body, status, sent, JSON)


def refuse_unless_matching(request: Request, current: Any) -> None:
    """Carry on only where `If-Match`, if it is there, names the tag of `current`, which a GET would answer with.

    Raises:
        HttpProblem: 412.
    """
    wanted = request.headers.get("if-match", "")
    if not wanted:
        return
    tag = entity_tag(encode(shown(current)))
    if not _names(wanted, tag):
        error = ConflictError(
            "It is not any more what the If-Match header names.",
            kept="Nothing was changed.",
            hint="GET it again, and send its ETag.",
            etag=tag,
        )
        raise HttpProblem(HTTPStatus.PRECONDITION_FAILED, error, {"etag": tag})


def _names(header: str, tag: str) -> bool:
    given = [one.strip().removeprefix("W/") for one in header.split(",")]
    return tag in given or "*" in given
