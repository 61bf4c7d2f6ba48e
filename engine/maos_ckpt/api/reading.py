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
#: What an error says of a text that does not match, by the pattern as msgspec quotes it.
_WANTED: dict[str, str] = {}


def matching(pattern: str, wanted: str, **more: Any) -> Meta:
    """What a text must match, and what that is in words for whoever gave another one."""
    _WANTED[repr(pattern)] = wanted
    return Meta(pattern=pattern, **more)


_A_NAME = "an id in full, `latest` or `latest~N`"
#: A checkpoint that is looked at or recovered, and one that is changed or removed: the latter by its whole id alone.
Name = Annotated[
    str,
    matching(
        f"^({_IDENTITY}|{_LATEST})$",
        _A_NAME,
        max_length=18,
        description="A checkpoint's id, `latest`, or `latest~N` for the N-th before it.",
    ),
]
Side = Annotated[str, matching(f"^(live|{_IDENTITY}|{_LATEST})$", f"`live`, {_A_NAME}", max_length=18)]
MaybeName = Annotated[str, matching(f"^({_IDENTITY}|{_LATEST})?$", _A_NAME, max_length=18)]
Identity = Annotated[
    str, matching(f"^{_IDENTITY}$", "a checkpoint's id in full", max_length=18, description="A checkpoint's id.")
]
Digest = Annotated[
    str,
    matching(
        "^[0-9a-f]{12,64}$",
        "a plan's digest, or its first 12 digits or more",
        max_length=64,
        description="A plan's digest, or how it begins.",
    ),
]
Operation = Annotated[
    str, matching("^op_[0-9a-f]{16}$", "an operation's id", max_length=19, description="An operation's id.")
]
Drill = Annotated[str, matching("^dr_[0-9a-zA-Z_-]{1,60}$", "a drill's id", max_length=63, description="A drill's id.")]
#: What msgspec says of a text that does not match.
_MISMATCH = re.compile(r"Expected `str` matching regex (?P<pattern>'.*')(?P<place> - at `.*`)?", re.DOTALL)


def in_words(error: msgspec.ValidationError) -> str:
    """What is wrong with a query or a body; the pattern that a text fails as what it stands for."""
    text = str(error)
    found = _MISMATCH.fullmatch(text)
    if found is None:
        return text
    wanted = _WANTED.get(found["pattern"])
    return f"Expected {wanted}{found['place'] or ''}" if wanted else text


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
        wanted = _WANTED[repr(_pattern(kind).pattern)]
        raise NotFoundError("There is nothing of this name.", kept=_KEPT, hint=f"Here stands {wanted}.")
    return value


def query(request: Request, kind: type[T]) -> T:
    """The query as a struct; a list takes the parameters of its name in their order.

    Raises:
        UsageError: an unknown, repeated or mistyped parameter.
    """
    if len(request.url.query) > QUERY_CHARACTERS_MAX:
        raise HttpProblem(HTTPStatus.REQUEST_URI_TOO_LONG, UsageError("The query is too long.", kept=_KEPT))
    wanted: Any = kind
    fields = _parameters(wanted)
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
        raise UsageError(f"The query is not what it should be: {in_words(error)}.", kept=_KEPT) from error


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
        raise UsageError(f"The body is not what it should be: {in_words(error)}.", kept=_KEPT) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        unreadable = UsageError("The body is no JSON.", kept=_KEPT)
        raise HttpProblem(HTTPStatus.BAD_REQUEST, unreadable) from error
