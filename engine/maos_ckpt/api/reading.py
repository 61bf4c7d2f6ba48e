"""What a request says: path, query and body, each checked against its type before anything is done."""

from __future__ import annotations

import functools
import re
from http import HTTPStatus
from typing import Annotated, Any, TypeVar, cast

import msgspec
from msgspec import Meta
from starlette.requests import Request

from maos_ckpt.api.problems import HttpProblem
from maos_ckpt.errors import NotFoundError, UsageError

T = TypeVar("T")
#: A query that is longer than this means nothing.
QUERY_CHARACTERS_MAX = 16_384
JSON = "application/json"
_KEPT = "Nothing was changed."
_IDENTITY = "cp_[0-9a-hjkmnp-tv-z]{15}"
_INTEGER = re.compile("-?[0-9]{1,18}", re.ASCII)
_LATEST = "latest(~[0-9]{1,6})?"
#: A checkpoint that is looked at or recovered, and one that is changed or removed: the latter by its whole id alone.
Name = Annotated[
    str,
    Meta(
        pattern=f"^({_IDENTITY}|{_LATEST})$",
        max_length=18,
        description="A checkpoint's id, `latest`, or `latest~N` for the N-th before it.",
    ),
]
Identity = Annotated[str, Meta(pattern=f"^{_IDENTITY}$", max_length=18, description="A checkpoint's id.")]
Digest = Annotated[
    str, Meta(pattern="^[0-9a-f]{12,64}$", max_length=64, description="A plan's digest, or how it begins.")
]
Operation = Annotated[str, Meta(pattern="^op_[0-9a-f]{16}$", max_length=19, description="An operation's id.")]
Drill = Annotated[str, Meta(pattern="^dr_[0-9a-zA-Z_-]{1,60}$", max_length=63, description="A drill's id.")]


@functools.cache
def _pattern(kind: Any) -> re.Pattern[str]:
    return re.compile(kind.__metadata__[0].pattern)


def placeholder(request: Request, name: str, kind: Any) -> str:
    """A value in the path.

    Raises:
        NotFoundError: nothing is called so, and nothing can be.
    """
    value: str = request.path_params[name]
    # `$` lets a line end pass that stands last.
    if not _pattern(kind).fullmatch(value):
        raise NotFoundError("There is nothing of this name.", kept=_KEPT, hint="Names are what lists show as `id`.")
    return value


def query(request: Request, kind: type[T]) -> T:
    """The query as a struct; a list takes the parameters of its name in their order.

    Raises:
        UsageError: an unknown, repeated or mistyped parameter.
    """
    if len(request.url.query) > QUERY_CHARACTERS_MAX:
        raise HttpProblem(HTTPStatus.REQUEST_URI_TOO_LONG, UsageError("The query is too long.", kept=_KEPT))
    fields = _parameters(cast("Any", kind))
    given: dict[str, object] = {}
    for name, value in request.query_params.multi_items():
        if isinstance(fields.get(name), msgspec.inspect.ListType):
            cast("list[str]", given.setdefault(name, [])).append(value)
        elif name in given:
            raise UsageError(f"The parameter {name[:50]!r} is there twice.", kept=_KEPT)
        else:
            given[name] = _typed(value, fields.get(name))
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        raise UsageError(f"The query is not what it should be: {error}.", kept=_KEPT) from error


@functools.cache
def _parameters(kind: Any) -> dict[str, msgspec.inspect.Type]:
    return {one.encode_name: _kind(one.type) for one in msgspec.structs.fields(kind)}


def _kind(annotation: Any) -> msgspec.inspect.Type:
    found = msgspec.inspect.type_info(annotation)
    return found.type if isinstance(found, msgspec.inspect.Metadata) else found


def _typed(text: str, kind: msgspec.inspect.Type | None) -> object:
    """A parameter's value as its type is written in a query; where it is not, the text, which its type refuses."""
    if isinstance(kind, msgspec.inspect.IntType) and _INTEGER.fullmatch(text):
        return int(text)
    if isinstance(kind, msgspec.inspect.BoolType):
        return {"true": True, "false": False}.get(text, text)
    return text


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A body or a query in which there is nothing to say."""


def body(request: Request, raw: bytes, kind: type[T]) -> T:
    """A JSON body as a struct; without any body all that has a default.

    Raises:
        HttpProblem: 400 no JSON, 415 another type of content.
        UsageError: JSON that is not what is asked for.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != JSON and (raw or media_type):
        error = UsageError(f"The body must be {JSON}.", kept=_KEPT, hint=f"Send `Content-Type: {JSON}`.")
        raise HttpProblem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, error, {"accept": JSON})
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        error = UsageError("The body must not be compressed.", kept=_KEPT)
        raise HttpProblem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, error, {"accept-encoding": "identity"})
    try:
        return msgspec.json.decode(raw or b"{}", type=kind)
    except msgspec.ValidationError as error:
        raise UsageError(f"The body is not what it should be: {error}.", kept=_KEPT) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        unreadable = UsageError("The body is no JSON.", kept=_KEPT)
        raise HttpProblem(HTTPStatus.BAD_REQUEST, unreadable) from error
