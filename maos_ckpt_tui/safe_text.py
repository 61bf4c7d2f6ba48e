"""The one boundary between text that others wrote and the operator's screen.

Agents write what a checkpoint holds, so any string of it may carry terminal commands (clipboard, title, fake output),
text that runs backwards, or characters nobody sees. `safe_text` turns all of them into visible escapes; what it returns
is printable, on one line, and as wide as it says. The escapes are those of the command line (`maos_ckpt.safe_text`);
a screen adds widths, and bounds what one cell may carry.
"""

from __future__ import annotations

import re
import unicodedata

from rich.cells import cell_len, chop_cells

from maos_ckpt.safe_text import escape
from maos_ckpt.safe_text import safe_text as visible

ELLIPSIS = "…"
#: Accents a character may carry; real scripts need no more, and a tower of them draws over the lines above.
COMBINING_MAX = 3
#: A longer name than this is shown with its length.
NAME_CHARACTERS_MAX = 200
#: Characters looked at for each cell that is asked for; wide enough for any real text, and it bounds the work.
CHARACTERS_PER_CELL = 8
#: What Input widgets accept: nothing that this module would have to escape.
INPUT_PATTERN = (
    r"[^\x00-\x1f\x7f-\x9f\u00ad\u034f\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff"
    r"\ud800-\udfff\ue000-\uf8ff\U000e0000-\U0010ffff]*"
)
#: One word of a shell line, quoted parts included.
_SHELL_WORD = re.compile(r"""(?:[^\s'"\\]|\\.|'[^']*'|"(?:[^"\\]|\\.)*"|['"\\])+""")
_EMOJI_PRESENTATION = re.compile("([\u203c-\u3299\U0001f000-\U0001faff])\ufe0f")


def _limit_combining(text: str) -> str:
    shown = []
    run = 0
    for character in text:
        run = run + 1 if unicodedata.category(character) in ("Mn", "Me") else 0
        shown.append(escape(ord(character)) if run > COMBINING_MAX else character)
    return "".join(shown)


def safe_text(value: str, width: int | None = None) -> str:
    """`value` on one line, without any character that is invisible or that a terminal would act on.

    Args:
        value: untrusted text.
        width: cells to clip to, with an ellipsis; None leaves the length as it is.
    """
    clipped = width is not None and len(value) > max(width, 1) * CHARACTERS_PER_CELL
    text = value[: max(width, 1) * CHARACTERS_PER_CELL] if clipped and width is not None else value
    if not text.isascii():
        # The selector only asks for a coloured picture; dropping it keeps everyday emoji readable.
        text = _limit_combining(visible(_EMOJI_PRESENTATION.sub(r"\1", text)))
    elif not text.isprintable():
        text = visible(text)
    return text if width is None else clip(text, width, force=clipped)


def safe_name(name: str, width: int) -> str:
    """An untrusted name in `width` cells; a very long one with its length: `aaa… (1,048,576 characters)`."""
    if len(name) <= NAME_CHARACTERS_MAX:
        return safe_text(name, width)
    tail = f"… ({len(name):,} characters)"
    if cell_len(tail) * 2 > width:
        tail = f"… ({len(name):,})"
    return clip(safe_text(name, max(1, width - cell_len(tail) + 1)).removesuffix(ELLIPSIS) + tail, width)


def clip(text: str, width: int, *, force: bool = False) -> str:
    """Printable text cut to `width` cells, an ellipsis in place of what is missing; `force` says that some is."""
    if width <= 0:
        return ""
    if cell_len(text) <= width and not force:
        return text
    if width == 1:
        return ELLIPSIS
    pieces = chop_cells(text[: width * CHARACTERS_PER_CELL], width - 1)
    return (pieces[0] if pieces else "") + ELLIPSIS


def pad(text: str, width: int, *, right: bool = False) -> str:
    """Printable text clipped or filled with blanks to exactly `width` cells; `right` aligns it to the right."""
    text = clip(text, width)
    blank = " " * (width - cell_len(text))
    return blank + text if right else text + blank


def wrap(text: str, width: int) -> list[str]:
    """Safe text broken at blanks into lines of at most `width` cells; words longer than a line are cut."""
    lines: list[str] = []
    line = ""
    for word in safe_text(text).split(" "):
        candidate = f"{line} {word}" if line else word
        if cell_len(candidate) <= width:
            line = candidate
            continue
        if line:
            lines.append(line)
        *full, line = chop_cells(word, max(width, 2)) or [""]
        lines.extend(full)
    return [*lines, line]


def wrap_command(text: str, width: int) -> list[str]:
    """A printable shell line in pieces of at most `width` cells that give the same command when pasted together.

    It is broken only at blanks outside of quotes, with a backslash; a single longer word stays whole.
    """
    lines: list[str] = []
    line = ""
    for word in _SHELL_WORD.findall(text):
        candidate = f"{line} {word}" if line else word
        if line and cell_len(candidate) > width - 2:
            lines.append(line + " \\")
            line = word
        else:
            line = candidate
    return [*lines, line]
