"""What a terminal sends for a key."""

from __future__ import annotations

#: Keys as Textual names them → what a terminal sends.
SENT = {
    "enter": "\r",
    "escape": "\x1b",
    "tab": "\t",
    "space": " ",
    "slash": "/",
    "question_mark": "?",
    "exclamation_mark": "!",
    "colon": ":",
    "comma": ",",
    "full_stop": ".",
    "minus": "-",
    "plus": "+",
    "equals_sign": "=",
    "asterisk": "*",
    "number_sign": "#",
    "at": "@",
    "semicolon": ";",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "less_than_sign": "<",
    "greater_than_sign": ">",
    "left": "\x1b[D",
    "right": "\x1b[C",
    "up": "\x1b[A",
    "down": "\x1b[B",
    "home": "\x1b[H",
    "end": "\x1b[F",
    "pageup": "\x1b[5~",
    "pagedown": "\x1b[6~",
    "backspace": "\x7f",
    "delete": "\x1b[3~",
    "shift+tab": "\x1b[Z",
    **{f"ctrl+{letter}": chr(ord(letter) - 96) for letter in "abcdefghijklmnoprstuvwxyz"},
}


def sent(key: str) -> str:
    """What a terminal sends for a key of Textual's name; nothing for one it has no sequence for here."""
    return SENT.get(key, key if len(key) == 1 else "")
