"""The one place that says how the engine's values look as JSON in the REST API, and what schema that has.

Every type of the model is turned by the same rules: names in camel case; times (`…_ms`) as RFC 3339 in UTC, without
their unit; durations (`…_s`) as float seconds, `…Seconds`; bytes in hexadecimal. `shapes` names the few types that look
otherwise. A form is made once for a type and then only called.
"""

from __future__ import annotations

import dataclasses
import functools
import operator
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from maos_ckpt.events import public_field
from maos_ckpt.times import rfc3339

Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
Hex = Annotated[str, Meta(pattern="^[0-9a-f]*$")]
_PLAIN = (str, int, float, bool, type(None))


@dataclass(frozen=True, slots=True)
class Form:
    """How the values of one type look as JSON: `schema` is a type that msgspec describes, `convert` gives something
    that msgspec encodes."""

    schema: Any
    convert: Callable[[Any], Any]


#: Types that look otherwise than the rules would have it.
_SPECIAL: dict[type, Form] = {}


def special(kind: type, schema: Any, convert: Callable[[Any], Any]) -> None:
    """Let a type look otherwise; before any form that holds it is made."""
    _SPECIAL[kind] = Form(schema, convert)


def encode(value: object) -> bytes:
    """JSON of a converted value; numbers that JSON lacks become null."""
    return msgspec.json.encode(value)


def shown(value: object) -> Any:
    """A value of the model as JSON's own types, which themselves stay as they are."""
    kind: Any = type(value)
    return value if kind in (dict, list) else form_of(kind).convert(value)


@functools.cache
def form_of(kind: Any) -> Form:
    """The form of a type: of the model, a union, tuple, list or mapping of such, or one of JSON's own.

    Raises:
        TypeError: nothing says how such a value looks.
    """
    if kind in _SPECIAL:
        return _SPECIAL[kind]
    if kind in _PLAIN or kind in (Any, object):
        return Form(Any if kind is object else kind, _as_it_is)
    if kind is bytes:
        return Form(Hex, bytes.hex)
    if isinstance(kind, type) and issubclass(kind, (Enum, msgspec.Struct)):
        return Form(kind, _as_it_is)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _of_dataclass(kind)
    return _of_generic(kind)


def _as_it_is(value: Any) -> Any:
    return value


def _of_generic(kind: Any) -> Form:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal or origin is Annotated:
        return Form(kind, _as_it_is)
    if origin in (typing.Union, types.UnionType):
        return _of_union(arguments)
    if origin in (list, tuple) and len({*arguments} - {Ellipsis}) == 1:
        item = form_of(arguments[0])
        if item.convert is _as_it_is:
            return Form(list[item.schema], _as_it_is)  # type: ignore[name-defined]
        return Form(list[item.schema], lambda values: [item.convert(one) for one in values])  # type: ignore[name-defined]
    if origin is dict and arguments[0] is str:
        item = form_of(arguments[1])
        if item.convert is _as_it_is:
            return Form(dict[str, item.schema], _as_it_is)  # type: ignore[name-defined]
        return Form(
            dict[str, item.schema],  # type: ignore[name-defined]
            lambda values: {name: item.convert(one) for name, one in values.items()},
        )
    raise TypeError(f"nothing says how {kind!r} looks as JSON")


def _of_union(kinds: tuple[Any, ...]) -> Form:
    forms = {kind: form_of(kind) for kind in kinds}
    schema = functools.reduce(lambda a, b: a | b, (one.schema for one in forms.values()))
    if all(one.convert is _as_it_is for one in forms.values()):
        return Form(schema, _as_it_is)
    others = [one for kind, one in forms.items() if kind is not type(None)]
    if len(others) == 1:
        convert = others[0].convert
        return Form(schema, lambda value: None if value is None else convert(value))
    return Form(schema, lambda value: forms[type(value)].convert(value))


@dataclass(frozen=True, slots=True)
class Computed:
    """A member that a value has in JSON besides its fields: what it is called, its type, and what it is."""

    name: str
    kind: Any
    value: Callable[[Any], Any]


def _of_dataclass(kind: type, left_out: frozenset[str] = frozenset(), computed: tuple[Computed, ...] = ()) -> Form:
    hints = typing.get_type_hints(kind)
    members: list[tuple[str, str, Form, Callable[[Any], Any]]] = []
    for field in dataclasses.fields(kind):
        if field.name not in left_out:
            form = _time_form(hints[field.name]) if field.name.endswith("_ms") else form_of(hints[field.name])
            members.append((field.name, public_field(field.name), form, operator.attrgetter(field.name)))
    members += [(one.name, public_field(one.name), form_of(one.kind), one.value) for one in computed]
    schema = msgspec.defstruct(
        kind.__name__,
        [(name, form.schema) for name, _, form, _ in members],
        rename={name: shown_name for name, shown_name, _, _ in members},
        kw_only=True,
        frozen=True,
        module=kind.__module__,
        # What stands behind it speaks of Python's names.
        namespace={"__doc__": (kind.__doc__ or "").partition("\n\n")[0]},
    )
    steps = [(shown_name, form.convert, value) for _, shown_name, form, value in members]
    return Form(schema, lambda one: {name: convert(value(one)) for name, convert, value in steps})


def changed(kind: type, *, left_out: tuple[str, ...] = (), computed: tuple[Computed, ...] = ()) -> None:
    """Let a type of the model look as the rules have it, but without some fields and with some members more."""
    _SPECIAL[kind] = _of_dataclass(kind, frozenset(left_out), computed)


def _time_form(kind: Any) -> Form:
    if kind is int:
        return Form(Time, rfc3339)
    if typing.get_args(kind) == (int, type(None)):
        return Form(Time | None, lambda at_ms: None if at_ms is None else rfc3339(at_ms))
    raise TypeError(f"a time is a number of milliseconds, not {kind!r}")
