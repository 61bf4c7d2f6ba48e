"""The one door through which untrusted text reaches a terminal.

State content, file names and ids come from agents: an escape sequence in them could retitle the operator's terminal,
write to the clipboard or fake output, and a bidirectional override could turn a path around. Every such character
becomes its visible escape (`\\x1b`, `\\u202e`); nothing is dropped, so two different texts stay different to the eye.
"""

from __future__ import annotations

import unicodedata

_NAMED = {0x09: "\\t", 0x0A: "\\n", 0x0D: "\\r"}
#: Control, format (bidirectional, zero width, tags), surrogate, private, unassigned, line and paragraph separators.
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
#: Invisible although their category says letter or mark: fillers, joiners, variation selectors, the blank Braille cell.
_HIDDEN = frozenset(
    {0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0, *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)}
)


class _Escapes(dict[int, str]):
    """Table for `str.translate` that decides about each character once; emptied when it holds `ENTRIES_MAX`."""

    ENTRIES_MAX = 20_000

    def __missing__(self, code: int) -> str:
        if len(self) >= self.ENTRIES_MAX:
            self.clear()
        hidden = code in _HIDDEN or unicodedata.category(chr(code)) in _HIDDEN_CATEGORIES
        shown = self[code] = escape(code) if hidden else chr(code)
        return shown


def clipped(text: str, characters_max: int) -> str:
    """A text cut to so many characters, of which the last says that there was more."""
    return text if len(text) <= characters_max else text[: characters_max - 1] + "…"


def escape(code: int) -> str:
    """A character, given by its number, as `\\n`, `\\x1b`, `\\u202e` or `\\U000e0041`."""
    if code in _NAMED:
        return _NAMED[code]
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


_ESCAPES = _Escapes()


def safe_text(value: str) -> str:
    """`value` on one line with every control, invisible and direction-changing character as a visible escape."""
    return value.translate(_ESCAPES)
