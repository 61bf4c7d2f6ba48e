"""Every glyph of the console in ASCII, cell for cell, for terminals that have nothing else.

The driver passes all that goes to the terminal through `to_ascii`, so that borders, scrollbars and input fields are as
plain as what `draw` makes, and no layout changes.
"""

from __future__ import annotations

import re

from rich.cells import cell_len

_BRAILLE_FIRST, _BRAILLE_LAST = 0x2800, 0x28FF
#: By the number of dots that a plot's cell holds.
_DOTS = " ..::**##"
_GLYPHS = {
    **dict(zip("▁▂▃▄▅▆▇█", "_.,-=+*#", strict=True)),
    **dict.fromkeys("─━═╌┄┈╴╶╸╺", "-"),
    **dict.fromkeys("│┃║╎┆┊▏▎▍▐▕▋▊▉╵╷", "|"),
    **dict.fromkeys("┌┐└┘├┤┬┴┼╭╮╰╯┏┓┗┛┣┫┳┻╋╔╗╚╝╠╣╦╩╬", "+"),
    **dict.fromkeys("░▒", "."),
    **dict.fromkeys("▓■◼▪", "#"),
    **dict.fromkeys("□◻▫○◌", "o"),
    **dict.fromkeys("▶▸►❯›»→⇒▌⟶", ">"),  # noqa: RUF001
    **dict.fromkeys("◀◂◄❮‹«←⇐⟵", "<"),  # noqa: RUF001
    **dict.fromkeys("▲△▴↑⇑▀", "^"),
    **dict.fromkeys("▼▽▾↓⇓", "v"),
    **dict.fromkeys("●•∙◆★✱", "*"),
    **dict.fromkeys("◇☆", "o"),
    **dict.fromkeys("·˙", "."),
    **dict.fromkeys("–—−‐‑", "-"),  # noqa: RUF001
    **dict.fromkeys("‘’′", "'"),  # noqa: RUF001
    **dict.fromkeys("“”″", '"'),
    **dict.fromkeys("×✗✘☓", "x"),  # noqa: RUF001
    **dict.fromkeys("✓✔☑", "+"),
    **dict.fromkeys("↕↔⇅", "|"),
    **dict.fromkeys("≤≥≈≠", "="),
    "…": "~",
    "±": "+",
    "µ": "u",
    "μ": "u",
    "°": "o",
    "Δ": "d",
    "∅": "0",
    "⏎": "<",
    "↵": "<",
    "\xa0": " ",
}
_BEYOND = re.compile(r"[^\x00-\x7f]")


def to_ascii(text: str) -> str:
    """`text` in as many cells, without any character beyond ASCII; what has no likeness becomes question marks."""
    return text if text.isascii() else _BEYOND.sub(_one, text)


def _one(found: re.Match[str]) -> str:
    character = found[0]
    if _BRAILLE_FIRST <= ord(character) <= _BRAILLE_LAST:
        return _DOTS[(ord(character) - _BRAILLE_FIRST).bit_count()]
    return _GLYPHS.get(character) or "?" * cell_len(character)
