"""What a running engine takes from a configuration that was read again, and what waits for its next start."""

from __future__ import annotations

import msgspec

from maos_ckpt.config.keys import keys
from maos_ckpt.config.types import Config

#: These say what the engine is of, and where it keeps it: another value makes another engine.
FIXED = (
    "sources",
    "system",
    "claude_home",
    "read_only",
    "encryption_enabled",
    "encryption_key",
    "storage",
    "log_format",
)


def reloaded(before: Config, after: Config) -> tuple[Config, list[str], list[str]]:
    """The configuration that a running engine has from now on; the keys that changed with it; and those that did not,
    because they cannot while it runs."""
    taken = msgspec.structs.replace(after, **{name: getattr(before, name) for name in FIXED})
    return taken, _differing(before, taken), _differing(taken, after)


def _differing(one: Config, other: Config) -> list[str]:
    return [path for path in keys() if _value(one, path) != _value(other, path)]


def _value(config: Config, path: str) -> object:
    value: object = config
    for name in path.split("."):
        value = getattr(value, name)
    return value
