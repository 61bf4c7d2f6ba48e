"""Checkpoint ids: `cp_` + nine characters of time + six random ones.

The alphabet is Crockford's base 32 in lower case (no i, l, o, u), so an id can be read out over a phone. Nine
characters hold 45 bits of milliseconds since 1970 and sort by time; six hold 30 random bits. Order inside a repository
is by sequence number, never by this clock: the time in an id is for people.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from maos_ckpt.errors import NotFoundError, UsageError
from maos_ckpt.seams import Seams

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_TIME_CHARACTERS = 9
_RANDOM_CHARACTERS = 6
_PATTERN = re.compile(rf"cp_[{_ALPHABET}]{{{_TIME_CHARACTERS + _RANDOM_CHARACTERS}}}")
#: Shortest part of an id that is looked up; shorter ones are nearly always typing errors.
PREFIX_CHARACTERS_MIN = 3


def _encode(number: int, length: int) -> str:
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(5 * (length - 1), -1, -5))


def new_checkpoint_id(seams: Seams) -> str:
    """A fresh id for a checkpoint taken now."""
    bits = int.from_bytes(seams.random.token(4), "big") & (1 << 5 * _RANDOM_CHARACTERS) - 1
    return "cp_" + _encode(seams.clock.now_ms(), _TIME_CHARACTERS) + _encode(bits, _RANDOM_CHARACTERS)


def is_checkpoint_id(text: str) -> bool:
    """Whether `text` has the form of a whole id; says nothing of its existence."""
    return _PATTERN.fullmatch(text) is not None


def short_id(checkpoint_id: str) -> str:
    """The six random characters: unlike the first ones they differ between neighbours, and `resolve` takes them."""
    return checkpoint_id[-_RANDOM_CHARACTERS:]


def resolve(text: str, ids_newest_first: Iterable[str]) -> str:
    """The one id that `text` names: whole, by unique prefix, by unique ending, `latest` or `latest~N`.

    Raises:
        NotFoundError: none, or more than one id matches; `data["candidates"]` lists up to five.
        UsageError: `text` is too short to mean anything.
    """
    ids = list(ids_newest_first)
    text = text.lower()
    if text == "latest" or text.startswith("latest~"):
        return _resolve_latest(text, ids)
    if text in ids:
        return text
    if len(text.removeprefix("cp_")) < PREFIX_CHARACTERS_MIN:
        raise UsageError(
            f"{text!r} is too short for a checkpoint id.",
            hint=f"Give at least {PREFIX_CHARACTERS_MIN} characters, or `latest`; `maos-ckpt list` shows the ids.",
        )
    prefix = text if text.startswith("cp_") else "cp_" + text
    found = [one for one in ids if one.startswith(prefix)] or [one for one in ids if one.endswith(text)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise NotFoundError(f"There is no checkpoint {text!r}.", hint="`maos-ckpt list` shows the ids.", id=text)
    raise NotFoundError(
        f"{text!r} is ambiguous: {len(found)} checkpoints match.",
        hint="Give more characters, for example " + ", ".join(short_id(one) for one in found[:3]) + ".",
        id=text,
        candidates=found[:5],
    )


def _resolve_latest(text: str, ids: list[str]) -> str:
    steps = text.removeprefix("latest").removeprefix("~") or "0"
    if not steps.isdecimal() or len(steps) > 9:
        raise UsageError(f"{text!r} is not `latest~N`.", hint="N counts back from the newest, as in `latest~2`.")
    if not ids:
        raise NotFoundError("There is no checkpoint yet.", hint="Run `maos-ckpt save` first.", id=text)
    if int(steps) >= len(ids):
        raise NotFoundError(f"There are only {len(ids)} checkpoints.", hint="`maos-ckpt list` shows them.", id=text)
    return ids[int(steps)]
