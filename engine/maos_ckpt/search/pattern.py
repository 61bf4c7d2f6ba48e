"""A text as a pattern over stored bytes, which finds it as it is and as JSON writes it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from maos_ckpt.errors import UsageError

TEXT_CHARACTERS_MAX = 1000
#: Backslashes before an escaped character: JSON inside JSON inside JSON doubles them each time.
_BACKSLASHES_MAX = 16
_ESCAPED = {"\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t"}
_SLASHES = rb"\\{1,%d}" % _BACKSLASHES_MAX
_RUNS = re.compile(r"\\+|[^\\]")
_EXCERPT_BYTES = 60


@dataclass(frozen=True, slots=True)
class Pattern:
    """`expression` over UTF-8 bytes; no match is longer than `bytes_max`."""

    text: str
    expression: re.Pattern[bytes]
    bytes_max: int

    def excerpt(self, data: bytes) -> str | None:
        """The first place of a match with what stands around it; None where there is none."""
        found = self.expression.search(data)
        if found is None:
            return None
        start, end = max(0, found.start() - _EXCERPT_BYTES), found.end() + _EXCERPT_BYTES
        shown = data[start:end].decode("utf-8", "ignore")
        return f"{'…' if start else ''}{shown}{'…' if end < len(data) else ''}"


def compile_text(text: str, *, ignore_case: bool) -> Pattern:
    """The pattern of a text.

    Raises:
        UsageError: it is empty or too long.
    """
    if not text or len(text) > TEXT_CHARACTERS_MAX:
        raise UsageError(
            f"A text to find has 1 to {TEXT_CHARACTERS_MAX} characters.", kept="Nothing was searched.", hint=""
        )
    parts = [_run(one, ignore_case=ignore_case) for one in _RUNS.findall(text)]
    expression = re.compile(b"".join(parts), re.IGNORECASE if ignore_case else 0)
    return Pattern(text, expression, sum(_longest(one) for one in text))


def _run(one: str, *, ignore_case: bool) -> bytes:
    """A character, or backslashes in a row: itself, or escaped as in JSON, at any depth."""
    if one[0] == "\\":
        # In one piece: in many, a text with fewer of them takes all ways to share them out before it is no match.
        return rb"\\{%d,%d}" % (len(one), len(one) * _BACKSLASHES_MAX)
    if one in '"/':
        return rb"\\{0,%d}" % _BACKSLASHES_MAX + re.escape(one.encode())
    if one.isascii() and one.isprintable():
        return re.escape(one.encode())
    variants = {one}
    if ignore_case:
        variants |= {other for other in (one.lower(), one.upper()) if len(other) == 1}
    forms = set()
    for variant in variants:
        forms.add(re.escape(variant.encode()))
        # Beyond the basic plane JSON has two escapes, a surrogate pair.
        codes = json.dumps(variant)[1:-1].split("\\u")[1:] or [f"{ord(variant):04x}"]
        forms.add(b"".join(_SLASHES + b"u" + _hexadecimal(code) for code in codes))
        if variant in _ESCAPED:
            forms.add(_SLASHES + _ESCAPED[variant].encode())
    return b"(?:" + b"|".join(sorted(forms)) + b")"


def _hexadecimal(code: str) -> bytes:
    return b"".join(b"[%b%b]" % (one.encode(), one.upper().encode()) for one in code)


def _longest(one: str) -> int:
    """The longest form of a character in bytes: two escapes, each with all its backslashes."""
    return 1 if one.isascii() and one.isalnum() else 2 * (_BACKSLASHES_MAX + 5)
