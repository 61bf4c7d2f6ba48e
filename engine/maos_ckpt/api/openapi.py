"""The API's own description, OpenAPI 3.1, made from the endpoints and the types that they check and answer with."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from starlette.responses import Response

from maos_ckpt import __version__
from maos_ckpt.api.answers import json_answer
from maos_ckpt.api.codec import form_of
from maos_ckpt.api.endpoint import Endpoint, Exchange
from maos_ckpt.api.problems import MEDIA_TYPE
from maos_ckpt.api.reading import JSON
from maos_ckpt.api.underway import OperationReport
from maos_ckpt.model.access import Scope

_COMPONENT = "#/components/schemas/{name}"
_PLACEHOLDER = re.compile(r"\{([a-z]+)\}")
_CHANGING = ("PATCH", "DELETE")
_PROBLEM = {"$ref": "#/components/responses/Problem"}
#: What any endpoint may be answered with: who asks, how often, and what the engine stands on.
_ALWAYS = (400, 401, 403, 404, 409, 421, 422, 424, 429, 500, 503)
_WITH_BODY = (408, 413, 415)


class ProblemDocument(msgspec.Struct, frozen=True):
    """A problem, as in RFC 9457; `kept` says what was not lost, `hint` what to do next, `data` are facts for
    machines."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    kind: str
    kept: str
    hint: str
    data: dict[str, Any]


def _header(name: str, text: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": text, "schema": schema}


_IF_NONE_MATCH = _header(
    "If-None-Match", "Answer 304 where the representation has one of these tags.", {"type": "string"}
)
_IF_MATCH = _header("If-Match", "Change it only where it has one of these tags.", {"type": "string"})
_IDEMPOTENCY_KEY = _header(
    "Idempotency-Key",
    "A request that repeats the key of an earlier one gets its answer and changes nothing more.",
    {"type": "string", "pattern": "^[!-~]{1,200}$", "maxLength": 200},
)
_PREFER = _header(
    "Prefer",
    "`respond-async`, or `wait=N` in seconds: after that the answer is 202, and the operation goes on.",
    {"type": "string"},
)


def document(endpoints: Iterable[Endpoint], prefix: str) -> dict[str, Any]:
    """The description of all that is listed, below a prefix."""
    listed = [one for one in endpoints if one.listed and not one.at_root]
    kinds = [ProblemDocument, form_of(OperationReport).schema, *_kinds(listed)]
    refs, schemas = msgspec.json.schema_components(kinds, ref_template=_COMPONENT)
    known = {id(kind): ref for kind, ref in zip(kinds, refs, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for one in listed:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, known, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "maos-ckpt",
            "version": __version__,
            "description": "Checkpoints of a MAOS, and recovery from them. Times are RFC 3339 in UTC, sizes bytes,"
            " durations seconds. Every error is a problem document.",
        },
        "servers": [{"url": prefix or "/"}],
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": {
                "Problem": {
                    "description": "what went wrong",
                    "content": {MEDIA_TYPE: {"schema": known[id(ProblemDocument)]}},
                }
            },
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token of `maos-ckpt token create`; none over the Unix socket.",
                }
            },
        },
    }


def _kinds(endpoints: Iterable[Endpoint]) -> Iterator[Any]:
    seen: set[int] = set()
    for one in endpoints:
        answer = () if one.answer is None else (form_of(one.answer).schema,)
        for kind in (one.body, one.query, *one.placeholders.values(), *answer):
            if kind is not None and id(kind) not in seen:
                seen.add(id(kind))
                yield kind


def _operation(one: Endpoint, known: dict[int, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": known[id(one.placeholders[name])]}
        for name in _PLACEHOLDER.findall(one.path)
    ]
    if one.query is not None:
        parameters += _query_parameters(schemas[one.query.__name__])
    if one.method == "GET" and one.media_type == JSON:
        parameters.append(_IF_NONE_MATCH)
    if one.runs:
        parameters += [_IDEMPOTENCY_KEY, _PREFER]
    if one.method in _CHANGING and one.runs:
        parameters.append(_IF_MATCH)
    described: dict[str, Any] = {
        "operationId": _operation_id(one),
        "summary": one.summary,
        "description": f"Needs the scope `{one.scope}`.",
        "tags": [one.path.split("/")[1]],
        "parameters": parameters,
        "responses": _responses(one, known),
    }
    if one.body is not None:
        described["requestBody"] = {"required": False, "content": {JSON: {"schema": known[id(one.body)]}}}
    return described


def _operation_id(one: Endpoint) -> str:
    words = [word.strip("{}") for word in re.split(r"[/.-]", one.path) if word]
    return one.method.lower() + "".join(word[:1].upper() + word[1:] for word in words)


def _query_parameters(schema: dict[str, Any]) -> list[dict[str, Any]]:
    required = schema.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": one}
        for name, one in schema["properties"].items()
    ]


def _responses(one: Endpoint, known: dict[int, Any]) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": {"type": "string", "contentEncoding": "binary"}}
    if one.answer is not None:
        content = {"schema": known[id(form_of(one.answer).schema)]}
    found: dict[str, Any] = {str(int(one.status)): {"description": one.summary, "content": {one.media_type: content}}}
    if one.method == "GET" and one.media_type == JSON:
        found["304"] = {"description": "the asking side has it already"}
    if one.runs:
        report = known[id(form_of(OperationReport).schema)]
        found["202"] = {"description": "begun, and goes on", "content": {JSON: {"schema": report}}}
    with_body = _WITH_BODY if one.body is not None else ()
    for status in (*_ALWAYS, *with_body, *(int(status) for status in one.problems)):
        found[str(status)] = _PROBLEM
    return dict(sorted(found.items()))


async def _openapi(exchange: Exchange) -> Response:
    return json_answer(exchange.request, document(exchange.shared.endpoints, exchange.base))


ENDPOINTS = (
    Endpoint("GET", "/openapi.json", Scope.READ, _openapi, "this description, OpenAPI 3.1", answer=dict[str, Any]),
)
