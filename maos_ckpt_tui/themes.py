"""Colours of the console.

Good is blue-green and bad is orange-red, which most people with a colour-vision deficiency tell apart; in
`maos-colour-blind` good is blue, bad vermilion and a warning yellow, three colours to everybody. No state is told by
colour alone. Text has a contrast of at least 4.5:1, and of 7:1 in `maos-high-contrast`. `maos-ansi` uses the terminal's
own sixteen colours, and none at all where NO_COLOR is set.
"""

from __future__ import annotations

from textual.theme import BUILTIN_THEMES, Theme

DARK = "maos-dark"
LIGHT = "maos-light"
HIGH_CONTRAST = "maos-high-contrast"
COLOUR_BLIND = "maos-colour-blind"
ANSI = "maos-ansi"


def _theme(name: str, dark: bool, *, colours: tuple[str, ...], grounds: tuple[str, str, str], **tones: str) -> Theme:
    """A theme of its `colours` (primary, secondary, success, warning, error, foreground), its `grounds` (background,
    surface, panel) and the variables of console.tcss beyond Textual's own."""
    primary, secondary, success, warning, error, foreground = colours
    background, surface, panel = grounds
    bar, ground = tones["scrollbar"], tones.get("scrollbar_background", background)
    return Theme(
        name=name,
        primary=primary,
        secondary=secondary,
        success=success,
        warning=warning,
        error=error,
        accent=primary,
        foreground=foreground,
        background=background,
        surface=surface,
        panel=panel,
        dark=dark,
        variables={
            **{f"tone-{one}": tones[one.replace("-", "_")] for one in ("dim", "faint", "head", "key", "select")},
            "tone-select-text": tones["select_text"],
            "border": tones["border"],
            "border-blurred": tones["border_blurred"],
            "scrollbar": bar,
            "scrollbar-hover": tones["scrollbar_hover"],
            "scrollbar-active": tones["scrollbar_hover"],
            "scrollbar-background": ground,
            "scrollbar-background-hover": ground,
            "scrollbar-background-active": ground,
        },
    )


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
    _theme(
        DARK,
        True,
        colours=("#7cc0ff", "#b7a6f0", "#5fd0c5", "#f2b84b", "#ff7a5c", "#d6dde6"),
        grounds=("#10151b", "#171e26", "#1b242e"),
        dim="#9aa5b5",
        faint="#828e9c",
        head="#9fb0c3",
        key="#e9c46a",
        select="#1f3a52",
        select_text="#ffffff",
        border="#3d5166",
        border_blurred="#2a3644",
        scrollbar="#3d5166",
        scrollbar_hover="#5b7896",
    ),
    _theme(
        LIGHT,
        False,
        colours=("#0b5cad", "#5b3fb0", "#00706b", "#8f5400", "#b5310f", "#17202a"),
        grounds=("#f6f8fa", "#ffffff", "#e9eef3"),
        dim="#4a5560",
        faint="#606b77",
        head="#3b4a5a",
        key="#8a5a00",
        select="#cfe3f5",
        select_text="#0b1620",
        border="#8fa3b8",
        border_blurred="#c3ccd6",
        scrollbar="#9fb2c5",
        scrollbar_hover="#6f8aa5",
        scrollbar_background="#eef1f4",
    ),
    _theme(
        HIGH_CONTRAST,
        True,
        colours=("#a8d4ff", "#d9c8ff", "#66ffe0", "#ffd75f", "#ff9b80", "#ffffff"),
        grounds=("#000000", "#0a0a0a", "#161616"),
        dim="#d8dee6",
        faint="#b8c2cc",
        head="#ffffff",
        key="#ffe680",
        select="#ffe95c",
        select_text="#000000",
        border="#ffffff",
        border_blurred="#b8c2cc",
        scrollbar="#b8c2cc",
        scrollbar_hover="#ffffff",
    ),
    _theme(
        COLOUR_BLIND,
        True,
        colours=("#c8b6ff", "#c8b6ff", "#62b6f7", "#f0e442", "#f0803c", "#d6dde6"),
        grounds=("#10151b", "#171e26", "#1b242e"),
        dim="#9aa5b5",
        faint="#828e9c",
        head="#c3ccd6",
        key="#ffffff",
        select="#1f3a52",
        select_text="#ffffff",
        border="#3d5166",
        border_blurred="#2a3644",
        scrollbar="#3d5166",
        scrollbar_hover="#5b7896",
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
VARIABLE_DEFAULTS = {name: value for name, value in THEMES[0].variables.items() if name.startswith("tone-")}

#: Names for people, on the command line and when one switches.
NAMES = {
    "dark": DARK,
    "light": LIGHT,
    "high-contrast": HIGH_CONTRAST,
    "colour-blind": COLOUR_BLIND,
    "ansi": ANSI,
}


def choose_theme(wanted: str | None, *, no_color: bool, background: str = "") -> str:
    """The theme to start with: what was asked for, unless colour is unwanted; then the one that uses none.

    Args:
        wanted: a key of `NAMES`; None or anything else decides by the terminal.
        background: the terminal's COLORFGBG, whose last number is its background colour where it is known.
    """
    if no_color:
        return ANSI
    light = background.rpartition(";")[2] in ("7", "15")
    return NAMES.get(wanted or "", LIGHT if light else DARK)
