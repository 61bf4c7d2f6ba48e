"""The example configuration file, generated from the types so that it can never be out of date."""

from __future__ import annotations

import textwrap

from maos_ckpt.config.keys import Key, keys

_WIDTH = 100
_HEAD = """\
# Configuration of maos-ckpt. Every key is optional; shown are the defaults.
# A file whose name ends in .json holds the same keys as JSON, in camelCase (intervalSeconds) or as here.
# It is looked for as --config PATH, MAOS_CKPT_CONFIG, ./maos-ckpt.toml, $XDG_CONFIG_HOME/maos-ckpt/config.toml.
# A flag beats the environment (the variable beside each key), the environment beats this file.
"""


def toml_value(value: object) -> str:
    """A setting's value as TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml_value(one) for one in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml_value(name)} = {toml_value(one)}" for name, one in value.items()) + "}"
    return '"' + "".join(_character(one) for one in str(value)) + '"'


def _character(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x20 or code == 0x7F else character


def example() -> str:
    """The text of `config.example.toml`."""
    lines = [_HEAD]
    table = ""
    for key in keys().values():
        head, _, name = key.path.rpartition(".")
        if head != table:
            table = head
            lines.append(f"[{table}]")
        lines += _comment(key)
        lines.append(f"{name} = {toml_value(key.default)}\n")
    return "\n".join(lines)


def _comment(key: Key) -> list[str]:
    text = f"{key.description} Wants {key.wanted}. ({key.variable})"
    return [f"# {line}" for line in textwrap.wrap(text, _WIDTH, break_on_hyphens=False)]
