"""Colours of the console.

Good is blue-green and bad is orange-red in every theme, which people with any of the common colour-vision deficiencies
tell apart; and no state is told by colour alone. `maos-ansi` uses the terminal's own sixteen colours, and none at all
where NO_COLOR is set.
"""

from __future__ import annotations

from textual.theme import BUILTIN_THEMES, Theme

DARK = "maos-dark"
LIGHT = "maos-light"
ANSI = "maos-ansi"

#: Variables of console.tcss beyond Textual's own.
_DARK_VARIABLES = {
    "tone-dim": "#8792a2",
    "tone-faint": "#4d5866",
    "tone-head": "#9fb0c3",
    "tone-key": "#e9c46a",
    "tone-select": "#1f3a52",
    "tone-select-text": "#ffffff",
    "border": "#3d5166",
    "border-blurred": "#2a3644",
    "scrollbar": "#3d5166",
    "scrollbar-background": "#10151b",
    "scrollbar-hover": "#5b7896",
    "scrollbar-active": "#5b7896",
    "scrollbar-background-hover": "#10151b",
    "scrollbar-background-active": "#10151b",
}
_LIGHT_VARIABLES = {
    "tone-dim": "#56616e",
    "tone-faint": "#b4bcc6",
    "tone-head": "#3b4a5a",
    "tone-key": "#8a5a00",
    "tone-select": "#cfe3f5",
    "tone-select-text": "#0b1620",
    "border": "#8fa3b8",
    "border-blurred": "#c3ccd6",
    "scrollbar": "#9fb2c5",
    "scrollbar-background": "#eef1f4",
    "scrollbar-hover": "#6f8aa5",
    "scrollbar-active": "#6f8aa5",
    "scrollbar-background-hover": "#eef1f4",
    "scrollbar-background-active": "#eef1f4",
}
_ANSI_VARIABLES = {
    **BUILTIN_THEMES["ansi-dark"].variables,
    "tone-dim": "ansi_default",
    "tone-faint": "ansi_bright_black",
    "tone-head": "ansi_default",
    "tone-key": "ansi_yellow",
    "tone-select": "ansi_default",
    "tone-select-text": "ansi_default",
    "border": "ansi_blue",
    "border-blurred": "ansi_bright_black",
    "scrollbar": "ansi_blue",
    "scrollbar-background": "ansi_default",
    "scrollbar-background-hover": "ansi_default",
    "scrollbar-background-active": "ansi_default",
}

THEMES = (
    Theme(
        name=DARK,
        primary="#7cc0ff",
        secondary="#b7a6f0",
        success="#5fd0c5",
        warning="#f2b84b",
        error="#ff7a5c",
        accent="#7cc0ff",
        foreground="#d6dde6",
        background="#10151b",
        surface="#171e26",
        panel="#1b242e",
        dark=True,
        variables=_DARK_VARIABLES,
    ),
    Theme(
        name=LIGHT,
        primary="#0b5cad",
        secondary="#5b3fb0",
        success="#00706b",
        warning="#8f5400",
        error="#b5310f",
        accent="#0b5cad",
        foreground="#17202a",
        background="#f6f8fa",
        surface="#ffffff",
        panel="#e9eef3",
        dark=False,
        variables=_LIGHT_VARIABLES,
    ),
    Theme(
        name=ANSI,
        primary="ansi_blue",
        secondary="ansi_magenta",
        success="ansi_cyan",
        warning="ansi_yellow",
        error="ansi_red",
        accent="ansi_blue",
        foreground="ansi_default",
        background="ansi_default",
        surface="ansi_default",
        panel="ansi_default",
        boost="ansi_default",
        dark=True,
        ansi=True,
        variables=_ANSI_VARIABLES,
    ),
)

#: What the variables are while a theme of Textual's own is active (it is for a moment, before ours is set).
VARIABLE_DEFAULTS = {name: value for name, value in _DARK_VARIABLES.items() if name.startswith("tone-")}

#: Short names for the command line and the palette.
NAMES = {"dark": DARK, "light": LIGHT, "ansi": ANSI}


def choose_theme(wanted: str | None, *, no_color: bool, background: str = "") -> str:
    """The theme to start with: what was asked for, unless colour is unwanted; then the one that uses none.

    Args:
        wanted: `dark`, `light`, `ansi`; None or anything else decides by the terminal.
        background: the terminal's COLORFGBG, whose last number is its background colour where it is known.
    """
    if no_color:
        return ANSI
    light = background.rpartition(";")[2] in ("7", "15")
    return NAMES.get(wanted or "", LIGHT if light else DARK)
