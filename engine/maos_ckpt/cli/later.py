"""What the contract names and this version does not have: refused in one sentence, with what serves instead.

An entry is only looked at for a word that the parser does not know, so it is dead once its command or option is there.
"""

from __future__ import annotations

from collections.abc import Container

from maos_ckpt.errors import UsageError

_ONE_MACHINE = "Run it in the MAOS directory: commands and console work there beside a running engine."

#: Command → what serves instead.
_COMMANDS: dict[str, str] = {}
#: (command, or "" for all; option) → what serves instead.
_OPTIONS = {
    ("", "--connect"): _ONE_MACHINE,
    ("", "--token-file"): _ONE_MACHINE,
}


def refuse_later_command(word: str) -> None:
    """Raise `UsageError` where `word` is a command of a later version."""
    if word in _COMMANDS:
        raise _later(f"`maos-ckpt {word}`", _COMMANDS[word])


def refuse_later_options(command: str, words: list[str], known: Container[str]) -> None:
    """Raise `UsageError` where one of `words` is an option of a later version and not among the `known` ones."""
    for word in words:
        option = word.partition("=")[0]
        for place in ("", command):
            if (place, option) in _OPTIONS and option not in known:
                name = f"`maos-ckpt {place} {option}`" if place else f"`{option}`"
                raise _later(name, _OPTIONS[place, option])


def _later(what: str, instead: str) -> UsageError:
    return UsageError(f"{what} comes with a later version.", kept="Nothing was changed.", hint=instead, later=what)
