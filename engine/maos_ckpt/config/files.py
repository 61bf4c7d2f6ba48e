"""Configuration files: TOML, and JSON with the names of the mission's reference, in camelCase or snake_case."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from maos_ckpt.config.keys import REFERENCE_NAMES, convert, keys, nearest, type_name
from maos_ckpt.errors import ConfigError, PermissionRefusedError

#: A configuration is a page of text; anything bigger is not one.
FILE_BYTES_MAX = 1 << 20
#: A file with this ending is JSON, any other TOML.
JSON_SUFFIX = ".json"
_KEPT = "Nothing was started or changed."
_CAPITAL = re.compile(r"(?<=[a-z0-9])[A-Z]")


def read_file(path: Path) -> dict[str, tuple[object, str]]:
    """A file's settings: key path → (value, origin).

    Raises:
        ConfigError: neither TOML nor JSON, too big, an unknown key, or a value that does not fit.
        PermissionRefusedError: not readable.
    """
    return settings_in(_tables(path), str(path), f"file {path}")


def settings_in(tables: Mapping[str, object], where: str, origin: str) -> dict[str, tuple[object, str]]:
    """The settings in nested tables: key path → (value, origin); `where` begins what is said of an error in them.

    Raises:
        ConfigError: see `read_file`.
    """
    found: dict[str, tuple[object, str]] = {}
    for typed, value in _flatten(tables, ""):
        dotted = _our_path(typed)
        key = keys().get(dotted)
        if key is None:
            _raise_unknown(typed, value, where)
        if dotted in found:
            raise ConfigError(
                f"{where}: {typed} and another key set {dotted}.", kept=_KEPT, hint="Keep one of them.", key=dotted
            )
        found[dotted] = (convert(key, value, where), origin)
    return found


def _tables(path: Path) -> dict[str, Any]:
    """The tables of a file, as its format gives them."""
    try:
        with path.open("rb") as stream:
            data = stream.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise PermissionRefusedError(
            f"The configuration file {path} cannot be read: {error.strerror}.",
            kept=_KEPT,
            hint="Give this user the right to read it, or name another with --config.",
            path=str(path),
        ) from error
    if len(data) > FILE_BYTES_MAX:
        raise ConfigError(f"{path} is no configuration file: it is larger than 1 MiB.", path=str(path))
    form = "JSON" if path.suffix.lower() == JSON_SUFFIX else "TOML"
    try:
        return _json_tables(data.decode()) if form == "JSON" else tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            f"{path} is not valid {form}: {_reason(error)}.",
            kept=_KEPT,
            hint="Mend that line; `maos-ckpt config check` looks again.",
            path=str(path),
        ) from error


def _json_tables(text: str) -> dict[str, Any]:
    found = json.loads(text, object_pairs_hook=_without_repetition)
    if not isinstance(found, dict):
        raise ValueError(f"it holds a {type_name(found)} instead of an object")
    # JSON's escapes can spell half a character, which no file name and no S3 key can hold.
    json.dumps(found, ensure_ascii=False).encode()
    return found


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"it has {next(name for name in names if names.count(name) > 1)[:60]} twice")
    return found


def _reason(error: Exception) -> str:
    """What the parser says, without what the file says: a line may hold a secret."""
    if isinstance(error, UnicodeError):
        return "it is not UTF-8 text"
    if isinstance(error, RecursionError):
        return "it is too deeply nested"
    return str(error)


def _flatten(table: Mapping[str, object], prefix: str) -> list[tuple[str, object]]:
    flat: list[tuple[str, object]] = []
    for name, value in table.items():
        dotted = f"{prefix}{name}"
        if isinstance(value, dict) and _is_table(_our_path(dotted)):
            flat += _flatten(value, dotted + ".")
        else:
            flat.append((dotted, value))
    return flat


def _is_table(path: str) -> bool:
    return any(key.startswith(path + ".") for key in keys())


def _our_path(typed: str) -> str:
    """The path of the key that a name in a file stands for: the reference's names and its camelCase are known."""
    path = _CAPITAL.sub(lambda found: "_" + found[0].lower(), typed)
    return REFERENCE_NAMES.get(path, path)


def _as_typed(path: str, typed: str) -> str:
    """A key's path in the spelling that the name at fault has."""
    return re.sub(r"_([a-z0-9])", lambda found: found[1].upper(), path) if _CAPITAL.search(typed) else path


def _raise_unknown(typed: str, value: object, path: str) -> NoReturn:
    dotted = _our_path(typed)
    if _is_table(dotted):
        raise ConfigError(
            f"{path}: {typed} must be a table, not {type_name(value)}.",
            kept=_KEPT,
            hint=f"Write its keys below {typed}.",
            key=dotted,
        )
    name = dotted.rpartition(".")[2]
    parts = {key.rpartition(".")[2]: key for key in keys()}
    # A right name in the wrong table first, then a mistyped path, then a mistyped name in the wrong table.
    near = parts.get(name) or nearest(dotted, [*keys(), *REFERENCE_NAMES]) or parts.get(nearest(name, parts) or "")
    raise ConfigError(
        f"{path}: there is no key {typed}." + (f" Did you mean {_as_typed(near, typed)}?" if near else ""),
        kept=_KEPT,
        hint="`maos-ckpt config show` lists all keys.",
        key=typed,
        nearest=near,
    )
