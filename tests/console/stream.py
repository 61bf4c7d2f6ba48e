"""What a console may send to a terminal, and what in its output is not of that kind."""

from __future__ import annotations

import base64
import re
import unicodedata

#: Modes that the driver switches: cursor, alternate screen, focus reports, paste, synchronised output, kitty's keys.
_MODES = "|".join(("25", "1049", "1004", "2004", "2026", "2048", "7"))
_MODE = re.compile(rf"\x1b\[\?(?:{_MODES})[hl]|\x1b\[\?(?:2026|2048)\$p")
_KEYS = re.compile(r"\x1b\[>\d*u|\x1b\[<u|\x1b\[=\d+;\d+u")
_CURSOR = re.compile(r"\x1b\[(?:(\d+);(\d+))?H")
_COLOUR = re.compile(r"\x1b\[([0-9;]*)m")
_POINTER = re.compile(r"\x1b\]22;[a-z]*\x07")
_COPY = re.compile(r"\x1b\]52;c;([A-Za-z0-9+/=]*)\x07")
_TEXT = re.compile(r"[^\x00-\x1f\x7f-\x9f]+")
#: Bold, dim, italic, underlined, reverse, struck out, colours and their ends; no blinking.
_PLAIN_CODES = frozenset({"", "0", "1", "2", "3", "4", "7", "9", *map(str, (*range(21, 50), *range(90, 108)))})
#: Invisible to the operator, or of an effect that depends on the terminal.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_CONTEXT = 60


def _colours_are_ours(codes: str) -> bool:
    parts = codes.split(";")
    while parts:
        one = parts.pop(0)
        if one in ("38", "48"):
            kind = parts.pop(0) if parts else ""
            wanted = {"5": 1, "2": 3}.get(kind, 99)
            if len(parts) < wanted or not all(part.isdigit() and int(part) < 256 for part in parts[:wanted]):
                return False
            parts = parts[wanted:]
        elif one not in _PLAIN_CODES:
            return False
    return True


def _ours(text: str, at: int, columns: int, rows: int) -> int:
    """Length of the sequence of ours that stands at `at`; 0 where there is none."""
    for pattern in (_MODE, _KEYS, _POINTER):
        if found := pattern.match(text, at):
            return found.end() - at
    if found := _CURSOR.match(text, at):
        row, column = int(found.group(1) or 1), int(found.group(2) or 1)
        return found.end() - at if row <= rows and column <= columns else 0
    if found := _COLOUR.match(text, at):
        return found.end() - at if _colours_are_ours(found.group(1)) else 0
    if found := _COPY.match(text, at):
        copied = base64.b64decode(found.group(1)).decode("utf-8", "replace")
        return found.end() - at if not foreign_characters(copied.replace("\n", "")) else 0
    return 0


def foreign_characters(text: str) -> str:
    """The characters of a text that would be hidden or acted on."""
    return "".join(one for one in text if unicodedata.category(one) in _HIDDEN)


def foreign(text: str, columns: int, rows: int) -> list[str]:
    """Everything in a console's output that no console sends by itself, each with what stands around it.

    Args:
        columns, rows: the largest size that the terminal had.
    """
    found: list[str] = []
    at = 0
    while at < len(text):
        if plain := _TEXT.match(text, at):
            if bad := foreign_characters(plain.group()):
                found.append(f"{bad!r} in {plain.group()[:_CONTEXT]!r}")
            at = plain.end()
        elif text[at] in "\r\n":
            at += 1
        elif length := _ours(text, at, columns, rows):
            at += length
        else:
            found.append(f"{text[at : at + 12]!r} after {text[max(0, at - _CONTEXT) : at]!r}")
            at += 1
    return found
