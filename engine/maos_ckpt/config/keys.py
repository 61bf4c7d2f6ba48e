"""The configuration's keys as a flat table, generated from the types, and what is said when a value does not fit."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import msgspec
from msgspec import inspect

from maos_ckpt.config.types import Config
from maos_ckpt.environment import PREFIX
from maos_ckpt.errors import ConfigError

#: Short names of the environment variables that stand for command-line options.
ALIASES = {
    "REPO": "storage.local.path",
    "SOURCE": "sources",
    "INTERVAL": "interval_seconds",
}
#: Names of the mission's reference configuration for settings that have another place here.
REFERENCE_NAMES = {"compression_level": "compression.level"}
#: What stands in the place of a secret's value.
MASK = "set, not shown"
_VALUE_CHARACTERS_MAX = 60
#: These say where a secret is, and are none.
_SECRET_PLACES = ("env:", "file:")
_CREDENTIALS_IN_URL = re.compile(r"://[^/@\s]*@")


@dataclass(frozen=True, slots=True)
class Key:
    """One setting. `path` is dotted, as in `performance.max_save_time_ms`."""

    path: str
    type: Any
    default: object
    description: str
    secret: bool = False

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return PREFIX + self.path.replace(".", "_").upper()

    @property
    def wanted(self) -> str:
        """What a value must be, in words."""
        return _wanted(inspect.type_info(self.type))


def _constraints(info: inspect.Type) -> tuple[inspect.Type, str]:
    while isinstance(info, inspect.Metadata):
        info = info.type
    low, high = getattr(info, "ge", None), getattr(info, "le", None)
    if low is not None and high is not None:
        return info, f" from {_number(low)} to {_number(high)}"
    return info, ""


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else str(value)


def _wanted(info: inspect.Type) -> str:
    if isinstance(info, inspect.Metadata) and info.extra:
        return str(info.extra["wanted"])
    plain, bounds = _constraints(info)
    match plain:
        case inspect.IntType():
            return f"a whole number{bounds}"
        case inspect.FloatType():
            return f"a number{bounds}"
        case inspect.BoolType():
            return "true or false"
        case inspect.LiteralType(values):
            return "one of " + ", ".join(f'"{value}"' for value in values)
        case inspect.VarTupleType():
            return "a list of texts"
        case _:
            return "a text"


def _describe(info: inspect.Type) -> str:
    if isinstance(info, inspect.Metadata) and info.extra_json_schema:
        return str(info.extra_json_schema.get("description", ""))
    return ""


def _is_secret(info: inspect.Type) -> bool:
    return isinstance(info, inspect.Metadata) and bool((info.extra_json_schema or {}).get("writeOnly"))


def _walk(struct: type[msgspec.Struct], prefix: str) -> Iterable[Key]:
    for field in msgspec.structs.fields(struct):
        path = prefix + field.name
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            yield from _walk(field.type, path + ".")
        else:
            info = inspect.type_info(field.type)
            default = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
            yield Key(path, field.type, default, _describe(info), _is_secret(info))


@cache
def keys() -> dict[str, Key]:
    """All settings by path, in the order of the example file."""
    return {key.path: key for key in _walk(Config, "")}


def type_name(value: object) -> str:
    """What a value from a file is, in words."""
    names = {bool: "true/false", int: "number", float: "number", str: "text", list: "list", dict: "table"}
    return "null" if value is None else names.get(type(value), type(value).__name__)


def masked(key: Key, value: object) -> object:
    """A setting's value as it may be shown: a secret only as being set, a URL without credentials in it."""
    if key.secret and value and not (isinstance(value, str) and value.startswith(_SECRET_PLACES)):
        return MASK
    return without_credentials(value) if isinstance(value, str) else value


def without_credentials(text: str) -> str:
    """A text with the user and password of every URL in it left out."""
    return _CREDENTIALS_IN_URL.sub("://…@", text)


def shown(key: Key, value: object) -> str:
    """A value for an error message: its type and its beginning; of a secret only the type."""
    if key.secret:
        return f"this {type_name(value)}"
    text = without_credentials(repr(value))
    text = text if len(text) <= _VALUE_CHARACTERS_MAX else text[: _VALUE_CHARACTERS_MAX - 1] + "…"
    return f"{type_name(value)} {text}"


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate that `name` most likely means, or None."""
    found = difflib.get_close_matches(name, list(candidates), n=1, cutoff=0.5)
    return found[0] if found else None


def convert(key: Key, value: object, where: str, *, text: bool = False) -> object:
    """`value` as the key's type; with `text`, from the words of an environment variable or option.

    Raises:
        ConfigError: it does not fit; names key, wanted type and what was there.
    """
    given = value
    if text and isinstance(value, str):
        value = _from_text(key, value)
    try:
        return msgspec.convert(value, key.type)
    except msgspec.ValidationError as error:
        raise ConfigError(
            f"{where}: {key.path} must be {key.wanted}, not {shown(key, given)}.",
            kept="Nothing was started or changed.",
            hint="`maos-ckpt config init` writes an example with every key.",
            key=key.path,
            wanted=key.wanted,
            got=type_name(given),
        ) from error


def _from_text(key: Key, text: str) -> object:
    plain, _ = _constraints(inspect.type_info(key.type))
    lowered = text.strip().lower()
    if isinstance(plain, inspect.BoolType):
        return {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False}.get(
            lowered, text
        )
    if isinstance(plain, inspect.VarTupleType):
        return [line for line in text.splitlines() if line]
    if isinstance(plain, inspect.LiteralType):
        return lowered
    if isinstance(plain, inspect.DictType):
        pairs = (line.partition("=") for line in text.splitlines() if line.strip())
        return {name.strip(): value.strip() for name, _, value in pairs}
    try:
        if isinstance(plain, inspect.IntType):
            return int(lowered)
        if isinstance(plain, inspect.FloatType):
            return float(lowered)
    except ValueError:
        return text
    return text
