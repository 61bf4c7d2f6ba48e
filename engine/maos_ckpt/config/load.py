"""Finds the configuration file and merges flag > environment > file > default, keeping where each value came from."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from maos_ckpt import environment
from maos_ckpt.config.keys import ALIASES, Key, convert, keys, nearest
from maos_ckpt.config.types import Config
from maos_ckpt.errors import ConfigError, PermissionRefusedError

FILE_NAME = "maos-ckpt.toml"
#: A configuration is a page of text; anything bigger is not one.
FILE_BYTES_MAX = 1 << 20
#: Variables that are no settings.
_CONFIG_VARIABLE = environment.PREFIX + "CONFIG"


@dataclass(frozen=True, slots=True)
class Settings:
    """A configuration with the origin of every value (`default`, `file PATH`, `environment NAME`, `flag --NAME`)."""

    config: Config
    origins: Mapping[str, str]
    file: Path | None

    def items(self) -> list[tuple[str, object, str]]:
        """(key, value, origin) in the order of the example file."""
        found = []
        for path in keys():
            value: Any = self.config
            for part in path.split("."):
                value = getattr(value, part)
            found.append((path, value, self.origins[path]))
        return found


def load(
    *,
    cwd: Path,
    file: str | None = None,
    flags: Mapping[str, tuple[str, object]] | None = None,
    variables: Mapping[str, str] | None = None,
    config_home: Path | None = None,
) -> Settings:
    """The settings in force.

    Args:
        cwd: where `maos-ckpt.toml` is looked for.
        file: the file that `--config` names.
        flags: key path → (option as typed, value as typed), highest precedence.
        variables: `MAOS_CKPT_*` variables; by default the process's own.
        config_home: the user's configuration directory; by default by the XDG rules.

    Raises:
        ConfigError: an unknown key, a wrong type or value, or a file that is missing or no TOML.
    """
    variables = environment.variables() if variables is None else variables
    path = _find(cwd, file, variables, config_home or environment.config_home())
    values: dict[str, object] = {}
    origins = dict.fromkeys(keys(), "default")
    layers = [_from_variables(variables), _from_flags(flags or {})]
    if path is not None:
        layers.insert(0, _from_file(path))
    for layer in layers:
        for key, (value, origin) in layer.items():
            values[key], origins[key] = value, origin
    return Settings(msgspec.convert(_nest(values), Config), origins, path)


def _find(cwd: Path, file: str | None, variables: Mapping[str, str], config_home: Path) -> Path | None:
    named = file or variables.get(_CONFIG_VARIABLE)
    if named:
        path = Path(named).expanduser()
        path = path if path.is_absolute() else cwd / path
        if not path.is_file():
            origin = "--config" if file else _CONFIG_VARIABLE
            raise ConfigError(
                f"There is no configuration file {path} ({origin} names it).",
                kept="Nothing was started or changed.",
                hint="Mend the path, or write an example with `maos-ckpt config init`.",
                path=str(path),
            )
        return path
    for candidate in (cwd / FILE_NAME, config_home / "maos-ckpt" / "config.toml"):
        if candidate.is_file():
            return candidate
    return None


def read_file(path: Path) -> dict[str, object]:
    """The tables of a configuration file as `tomllib` gives them.

    Raises:
        ConfigError: not TOML, not UTF-8, or too big.
        PermissionRefusedError: not readable.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise PermissionRefusedError(
            f"The configuration file {path} cannot be read: {error.strerror}.",
            kept="Nothing was started or changed.",
            hint="Give this user the right to read it, or name another with --config.",
            path=str(path),
        ) from error
    if len(data) > FILE_BYTES_MAX:
        raise ConfigError(f"{path} is no configuration file: it is larger than 1 MiB.", path=str(path))
    try:
        return tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(
            f"{path} is not valid TOML: {str(error) or 'too deeply nested'}.",
            kept="Nothing was started or changed.",
            hint="Mend that line; `maos-ckpt config check` looks again.",
            path=str(path),
        ) from error


def _from_file(path: Path) -> dict[str, tuple[object, str]]:
    found: dict[str, tuple[object, str]] = {}
    for dotted, value in _flatten(read_file(path), ""):
        key = keys().get(dotted)
        if key is None:
            _raise_unknown(dotted, value, path)
        found[dotted] = (convert(key, value, str(path)), f"file {path}")
    return found


def _flatten(table: Mapping[str, object], prefix: str) -> list[tuple[str, object]]:
    flat: list[tuple[str, object]] = []
    for name, value in table.items():
        dotted = prefix + name
        is_table = any(key.startswith(dotted + ".") for key in keys())
        if is_table and isinstance(value, dict):
            flat += _flatten(value, dotted + ".")
        else:
            flat.append((dotted, value))
    return flat


def _raise_unknown(dotted: str, value: object, path: Path) -> NoReturn:
    if any(key.startswith(dotted + ".") for key in keys()):
        raise ConfigError(
            f"{path}: {dotted} must be a table, not {value!r}.",
            kept="Nothing was started or changed.",
            hint=f"Write its keys below [{dotted}].",
            key=dotted,
        )
    name = dotted.rpartition(".")[2]
    parts = {key.rpartition(".")[2]: key for key in keys()}
    # A right name in the wrong table first, then a mistyped path, then a mistyped name in the wrong table.
    near = parts.get(name) or nearest(dotted, keys()) or parts.get(nearest(name, parts) or "")
    raise ConfigError(
        f"{path}: there is no key {dotted}." + (f" Did you mean {near}?" if near else ""),
        kept="Nothing was started or changed.",
        hint="`maos-ckpt config show` lists all keys.",
        key=dotted,
        nearest=near,
    )


def _from_variables(variables: Mapping[str, str]) -> dict[str, tuple[object, str]]:
    known: dict[str, Key] = {key.variable: key for key in keys().values()}
    known |= {environment.PREFIX + alias: keys()[path] for alias, path in ALIASES.items()}
    found: dict[str, tuple[object, str]] = {}
    for name, text in sorted(variables.items()):
        if name == _CONFIG_VARIABLE:
            continue
        key = known.get(name)
        if key is None:
            near = nearest(name, known)
            raise ConfigError(
                f"There is no setting behind the environment variable {name}."
                + (f" Did you mean {near}?" if near else ""),
                kept="Nothing was started or changed.",
                hint="`maos-ckpt config show` lists all keys.",
                key=name,
                nearest=near,
            )
        found[key.path] = (convert(key, text, name, text=True), f"environment {name}")
    return found


def _from_flags(flags: Mapping[str, tuple[str, object]]) -> dict[str, tuple[object, str]]:
    found: dict[str, tuple[object, str]] = {}
    for path, (option, value) in flags.items():
        found[path] = (convert(keys()[path], value, option, text=True), f"flag {option}")
    return found


def _nest(values: Mapping[str, object]) -> dict[str, object]:
    nested: dict[str, object] = {}
    for path, value in values.items():
        *tables, name = path.split(".")
        here = nested
        for table in tables:
            here = here.setdefault(table, {})  # type: ignore[assignment]
        here[name] = value
    return nested
