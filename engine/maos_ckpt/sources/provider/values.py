"""Python values as canonical records, and back: never pickle, and nothing is imported or run that a record names.

A record's `value` is what SQLite could hold (NULL, 64-bit integer, float, text, bytes), and `form` says how to read it:

- `plain`: the value itself.
- `json`: a JSON text. What JSON has no word for is an object with one key: `$bytes`, `$bytearray` (base64), `$real`
  (`inf`, `-inf`, `nan`), `$tuple` ([…]), `$map` ([[key, value], …], for keys that are no text or begin with `$`),
  `$datetime` (ISO 8601), `$ext` ([code, base64], MessagePack's), `$array` ([typecode, byte order, base64]), `$view`
  ([format, shape, base64]), `$ndarray` ([dtype, shape, base64]), `$dataclass` ([class, {field: value}]).

A dict keeps its order. Arrays are read through the buffer protocol and come back as what they were.
"""

from __future__ import annotations

import array
import base64
import dataclasses
import json
import math
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final, cast

import msgspec

from maos_ckpt.model import Value

PLAIN: Final = "plain"
JSON: Final = "json"
#: Containers inside containers.
DEPTH_MAX: Final = 64
#: Longer integers are refused: they are no state, and slow to write as text.
INTEGER_BITS_MAX: Final = 4096
_INT64: Final = range(-(1 << 63), 1 << 63)
_PATH_CHARACTERS_MAX: Final = 200
#: What reading a record that is none may raise.
_UNREADABLE: Final = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, ImportError, RecursionError)

Ext = msgspec.msgpack.Ext


class ValueRefusedError(ValueError):
    """A value that cannot be captured or put back; the text begins with the path to it."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(path, why)
        self.path = path
        self.why = why

    def __str__(self) -> str:
        path = self.path if len(self.path) <= _PATH_CHARACTERS_MAX else "…" + self.path[-_PATH_CHARACTERS_MAX:]
        return f"{path}: {self.why}"

    def inside(self, path: str) -> ValueRefusedError:
        """The same, seen from what holds it: paths are only put together for what is refused."""
        self.path = path + self.path
        return self


def encode_value(value: object, types: dict[str, type]) -> tuple[Value, str]:
    """(value, form) of a record; `types` learns its dataclasses.

    Raises:
        ValueRefusedError: a type that is none of the above, a container in itself, text that is not Unicode.
    """
    kind = type(value)
    if value is None or kind is float or kind is bytes:
        return value, PLAIN
    if kind is int and value in _INT64:
        return value, PLAIN
    if kind is str:
        return _text(cast(str, value)), PLAIN
    return _to_json(_plain(value, types, ())), JSON


_to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False, check_circular=False).encode


def _text(value: str) -> str:
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueRefusedError("", "text with half a surrogate pair") from None
    return value


def _plain(value: object, types: dict[str, type], above: tuple[int, ...]) -> object:
    kind = type(value)
    if kind is str:
        return _text(cast(str, value))
    if kind is int:
        if cast(int, value).bit_length() > INTEGER_BITS_MAX:
            raise ValueRefusedError("", f"an integer of more than {INTEGER_BITS_MAX} bits")
        return value
    if value is None or kind is bool:
        return value
    if kind is float:
        return value if math.isfinite(cast(float, value)) else {"$real": repr(value)}
    if kind in _LEAVES:
        return _LEAVES[kind](value)
    if id(value) in above:
        raise ValueRefusedError("", "a container that holds itself")
    if len(above) >= DEPTH_MAX:
        raise ValueRefusedError("", f"more than {DEPTH_MAX} containers inside each other")
    above = (*above, id(value))
    if kind is dict:
        return _mapping(cast("dict[object, object]", value), types, above)
    if kind is list:
        return _items(cast("list[object]", value), types, above)
    return _rarer(value, types, above)


def _items(value: Iterable[object], types: dict[str, type], above: tuple[int, ...]) -> list[object]:
    found: list[object] = []
    try:
        for one in value:
            found.append(_plain(one, types, above))
    except ValueRefusedError as error:
        raise error.inside(f"[{len(found)}]") from None
    return found


def _mapping(value: dict[object, object], types: dict[str, type], above: tuple[int, ...]) -> object:
    found: dict[str, object] = {}
    key: object = ""
    try:
        for key, one in value.items():
            if type(key) is not str or key[:1] == "$":
                break
            found[_text(key)] = _plain(one, types, above)
        else:
            return found
    except ValueRefusedError as error:
        raise error.inside(f".{key}") from None
    pairs = []
    for key, one in value.items():
        try:
            pairs.append([_plain(key, types, above), _plain(one, types, above)])
        except ValueRefusedError as error:
            raise error.inside(f"[{key!r}]") from None
    return {"$map": pairs}


def _rarer(value: Any, types: dict[str, type], above: tuple[int, ...]) -> object:
    kind = type(value)
    if kind is tuple:
        return {"$tuple": _items(value, types, above)}
    if dataclasses.is_dataclass(kind):
        types[class_name(kind)] = kind
        fields = {one.name: getattr(value, one.name) for one in dataclasses.fields(kind)}
        found: dict[str, object] = {}
        name = ""
        try:
            for name, one in fields.items():
                found[name] = _plain(one, types, above)
        except ValueRefusedError as error:
            raise error.inside(f".{name}") from None
        return {"$dataclass": [class_name(kind), found]}
    numpy = sys.modules.get("numpy")
    if numpy is not None and kind is numpy.ndarray:
        return _ndarray(value)
    raise ValueRefusedError("", f"a {kind.__module__}.{kind.__qualname__}, which is none of the types of a record")


def class_name(kind: type) -> str:
    """How a dataclass is called in a record: only ever compared with those that are known."""
    return f"{kind.__module__}:{kind.__qualname__}"


def _base64(data: bytes | bytearray | memoryview) -> str:
    return base64.b64encode(data).decode("ascii")


def _array(value: Any) -> object:
    if value.typecode == "u" or value.typecode == "w":
        raise ValueRefusedError("", "an array of characters; keep it as text")
    return {"$array": [value.typecode, sys.byteorder, _base64(value.tobytes())]}


def _view(value: Any) -> object:
    try:
        # A view of a view with the same format: what cannot be cast cannot come back either.
        memoryview(b"").cast("B").cast(value.format)
    except (ValueError, TypeError):
        raise ValueRefusedError("", f"a memoryview of the format {value.format!r}") from None
    return {"$view": [value.format, list(value.shape), _base64(value.tobytes())]}


def _ndarray(value: Any) -> object:
    if value.dtype.hasobject or value.dtype.fields is not None:
        raise ValueRefusedError("", f"an array of {value.dtype}, which is no plain number")
    return {"$ndarray": [value.dtype.str, list(value.shape), _base64(value.tobytes())]}


_LEAVES: Final[Mapping[type, Callable[[Any], object]]] = {
    bytes: lambda value: {"$bytes": _base64(value)},
    bytearray: lambda value: {"$bytearray": _base64(value)},
    datetime: lambda value: {"$datetime": value.isoformat()},
    Ext: lambda value: {"$ext": [value.code, _base64(value.data)]},
    array.array: _array,
    memoryview: _view,
}


def decode_value(value: Value, form: Value, path: str, types: Mapping[str, type]) -> object:
    """The object behind (value, form); `types` are the dataclasses that may come back, by `class_name`.

    Raises:
        ValueRefusedError: not what `encode_value` makes, or a dataclass that is not known.
    """
    if form == PLAIN:
        return value
    if form != JSON or not isinstance(value, str):
        raise ValueRefusedError(path, "a record of an unknown form")
    try:
        return _object(json.loads(value), path, types)
    except ValueRefusedError:
        raise
    except _UNREADABLE as error:
        raise ValueRefusedError(path, f"a record that cannot be read back ({type(error).__name__})") from error


def _object(value: object, path: str, types: Mapping[str, type]) -> object:
    if isinstance(value, list):
        return [_object(one, f"{path}[{at}]", types) for at, one in enumerate(value)]
    if not isinstance(value, dict):
        return value
    tag = next(iter(value), "")
    if len(value) != 1 or not tag.startswith("$"):
        return {key: _object(one, f"{path}.{key}", types) for key, one in value.items()}
    body: Any = value[tag]
    if tag == "$tuple":
        return tuple(_object(one, f"{path}[{at}]", types) for at, one in enumerate(body))
    if tag == "$map":
        return {_object(key, path, types): _object(one, f"{path}[{key!r}]", types) for key, one in body}
    if tag == "$dataclass":
        name, fields = body
        return _instance(name, {key: _object(one, f"{path}.{key}", types) for key, one in fields.items()}, path, types)
    if tag not in _READERS:
        raise ValueRefusedError(path, f"an unknown kind of value {tag!r}")
    return _READERS[tag](body)


def _instance(name: str, values: dict[str, object], path: str, types: Mapping[str, type]) -> object:
    kind = types.get(name)
    if kind is None:
        raise ValueRefusedError(path, f"a {name}, which is not among the provider's types")
    fields = {one.name: one for one in dataclasses.fields(kind)}
    unknown = values.keys() - fields.keys()
    if unknown:
        raise ValueRefusedError(path, f"{name} has no field {sorted(unknown)[0]!r} any more")
    # Neither __init__ nor __post_init__ runs: a record gives values and decides nothing.
    made: Any = object.__new__(kind)
    for field in fields.values():
        if field.name in values:
            one = values[field.name]
        elif field.default is not dataclasses.MISSING:
            one = field.default
        elif field.default_factory is not dataclasses.MISSING:
            one = field.default_factory()
        else:
            raise ValueRefusedError(path, f"the record has no {field.name!r}, which {name} needs")
        object.__setattr__(made, field.name, one)
    return made


def _read_array(body: Any) -> object:
    typecode, order, text = body
    made: array.array[Any] = array.array(typecode, base64.b64decode(text, validate=True))
    if order != sys.byteorder:
        made.byteswap()
    return made


def _read_view(body: Any) -> object:
    form, shape, text = body
    view = memoryview(base64.b64decode(text, validate=True))
    return view.cast("B").cast(form, shape) if shape != [len(view)] or form != "B" else view


def _read_ndarray(body: Any) -> object:
    import importlib

    dtype, shape, text = body
    numpy = importlib.import_module("numpy")
    return numpy.frombuffer(base64.b64decode(text, validate=True), numpy.dtype(dtype)).reshape(shape).copy()


_READERS: Final[Mapping[str, Callable[[Any], object]]] = {
    "$real": lambda body: {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}[body],
    "$bytes": lambda body: base64.b64decode(body, validate=True),
    "$bytearray": lambda body: bytearray(base64.b64decode(body, validate=True)),
    "$datetime": datetime.fromisoformat,
    "$ext": lambda body: Ext(body[0], base64.b64decode(body[1], validate=True)),
    "$array": _read_array,
    "$view": _read_view,
    "$ndarray": _read_ndarray,
}
