"""Finds the configuration file and merges flag > environment > file > default, keeping where each value came from."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from maos_ckpt import environment
from maos_ckpt.config.files import read_file, settings_in
from maos_ckpt.config.keys import ALIASES, MASK, Key, convert, keys, masked, nearest
from maos_ckpt.config.types import Config
from maos_ckpt.errors import ConfigError, PermissionRefusedError

FILE_NAME = "maos-ckpt.toml"
_PROGRAM = "the program"
#: Variables that are no settings.
_CONFIG_VARIABLE = environment.PREFIX + "CONFIG"
#: Variables with this ending are what `env:NAME` may lead to.
_PASSPHRASE = "PASSPHRASE"


@dataclass(frozen=True, slots=True)
class Settings:
    """A configuration with the origin of every value (`default`, `file PATH`, `environment NAME`, `flag --NAME`)."""

    config: Config
    origins: Mapping[str, str]
    file: Path | None

    def items(self) -> list[tuple[str, object, str]]:
        """(key, value, origin) in the order of the example file; in the place of secrets stands that they are set."""
        found = []
        for path in keys():
            found.append((path, masked(keys()[path], self._value(path)), self.origins[path]))
        return found

    def secrets(self) -> list[str]:
        """The secrets that stand in the configuration itself, for leaving them out of what is shown."""
        return [str(self._value(path)) for path, shown, _ in self.items() if shown == MASK]

    def _value(self, path: str) -> object:
        value: Any = self.config
        for part in path.split("."):
            value = getattr(value, part)
        return value

    def exposed_secrets(self) -> list[str]:
        """Keys of secrets that stand in a configuration file which others may read."""
        secrets = [key.path for key in keys().values() if key.secret and self.origins[key.path].startswith("file")]
        found = [path for path, value, _ in self.items() if path in secrets and value == MASK]
        if not found or self.file is None:
            return []
        try:
            return found if stat.S_IMODE(os.stat(self.file).st_mode) & 0o077 else []
        except OSError:
            return []


def load(
    *,
    cwd: Path,
    file: str | None = None,
    flags: Mapping[str, tuple[str, object]] | None = None,
    variables: Mapping[str, str] | None = None,
    config_home: Path | None = None,
    given: Mapping[str, object] | Config | None = None,
) -> Settings:
    """The settings in force.

    Args:
        cwd: where `maos-ckpt.toml` is looked for.
        file: the file that `--config` names.
        flags: key path → (option as typed, value as typed), highest precedence.
        variables: `MAOS_CKPT_*` variables; by default the process's own.
        config_home: the user's configuration directory; by default by the XDG rules.
        given: what a program says itself, as keys or all of it: it beats the environment, and no file is looked for.

    Raises:
        ConfigError: an unknown key, a wrong type or value, or a file that is missing or neither TOML nor JSON.
        PermissionRefusedError: there may be a file, and this user cannot look or read.
    """
    variables = environment.variables() if variables is None else variables
    if isinstance(given, Config):
        return Settings(given, dict.fromkeys(keys(), _PROGRAM), None)
    path = None if given is not None else _find(cwd, file, variables, config_home or environment.config_home())
    values: dict[str, object] = {}
    origins = dict.fromkeys(keys(), "default")
    layers = [_from_variables(variables), _from_flags(flags or {})]
    if given is not None:
        layers.append(settings_in(given, "The configuration", _PROGRAM))
    if path is not None:
        layers.insert(0, read_file(path))
    for layer in layers:
        for key, (value, origin) in layer.items():
            values[key], origins[key] = value, origin
    return Settings(msgspec.convert(_nest(values), Config), origins, path)


def _find(cwd: Path, file: str | None, variables: Mapping[str, str], config_home: Path) -> Path | None:
    named = file or variables.get(_CONFIG_VARIABLE)
    if named:
        path = environment.expanded(named)
        path = path if path.is_absolute() else cwd / path
        if not _is_file(path):
            origin = "--config" if file else _CONFIG_VARIABLE
            raise ConfigError(
                f"There is no configuration file {path} ({origin} names it).",
                kept="Nothing was started or changed.",
                hint="Mend the path, or write an example with `maos-ckpt config init`.",
                path=str(path),
            )
        return path
    for candidate in (cwd / FILE_NAME, config_home / "maos-ckpt" / "config.toml"):
        if _is_file(candidate):
            return candidate
    return None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError as error:
        # Going on without would be going on without what it may say about encryption.
        raise PermissionRefusedError(
            f"The configuration file {path} cannot be looked for: {error.strerror}.",
            kept="Nothing was started or changed.",
            hint="Give this user the right to look there, or name a file with --config.",
            path=str(path),
        ) from error


def _from_variables(variables: Mapping[str, str]) -> dict[str, tuple[object, str]]:
    known: dict[str, Key] = {key.variable: key for key in keys().values()}
    known |= {environment.PREFIX + alias: keys()[path] for alias, path in ALIASES.items()}
    found: dict[str, tuple[object, str]] = {}
    for name, text in sorted(variables.items()):
        if name == _CONFIG_VARIABLE or name.endswith(_PASSPHRASE):
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
