"""What the contract names and this version does not have: refused in one sentence, with what serves instead.

An entry is only looked at for a word that the parser does not know, so it is dead once its command is there.
"""

from __future__ import annotations

from maos_ckpt.errors import UsageError

#: Command → what serves instead.
_COMMANDS = {
    "metrics": "`maos-ckpt status` and `maos-ckpt events --since 1d` tell how the saves went.",
}


def refuse_later_command(word: str) -> None:
    """Raise `UsageError` where `word` is a command of a later version."""
    if word in _COMMANDS:
        raise _later(f"`maos-ckpt {word}`", _COMMANDS[word])


def _later(what: str, instead: str) -> UsageError:
    return UsageError(f"{what} comes with a later version.", kept="Nothing was changed.", hint=instead, later=what)
