"""How a console looks and listens, as the configuration says and the terminal allows."""

from __future__ import annotations

import locale
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from maos_ckpt.config.types import Console
from maos_ckpt_tui.keymap import keymap

#: Their fonts have no more than the old sets.
_ASCII_TERMINALS = ("linux", "vt", "dumb", "ansi", "cons")
#: Seconds between two ticks; on a slow line.
TICK_S, SLOW_TICK_S = 1.0, 5.0
#: At most so often does a progress report reach the screen, however many the engine gives.
PROGRESS_INTERVAL_S, SLOW_PROGRESS_INTERVAL_S = 0.25, 2.0


@dataclass(frozen=True, slots=True)
class Looks:
    """Args:
    theme: a name of `themes.NAMES`, or None for what suits the terminal.
    ascii: draw with ASCII alone.
    low_bandwidth: a clock of five seconds, nothing that moves, the terminal's own colours.
    mouse: take clicks and the wheel.
    keys: binding id → keys in Textual's names, for what is not as declared.
    """

    theme: str | None = None
    ascii: bool = False
    low_bandwidth: bool = False
    mouse: bool = False
    keys: Mapping[str, str] = field(default_factory=dict)

    @property
    def tick_s(self) -> float:
        """Seconds between two ticks of what counts seconds."""
        return SLOW_TICK_S if self.low_bandwidth else TICK_S

    @property
    def progress_interval_s(self) -> float:
        """Least seconds between two progress reports of one phase."""
        return SLOW_PROGRESS_INTERVAL_S if self.low_bandwidth else PROGRESS_INTERVAL_S


def looks_of(settings: Console, variables: Mapping[str, str] = os.environ) -> Looks:
    """What the settings mean on this terminal.

    Raises:
        ConfigError: `keys` cannot be; see `keymap`.
    """
    theme = "ansi" if settings.low_bandwidth and settings.theme == "auto" else settings.theme
    return Looks(
        theme=None if theme == "auto" else theme,
        ascii=settings.ascii == "always" or (settings.ascii == "auto" and not draws_unicode(variables)),
        low_bandwidth=settings.low_bandwidth,
        mouse=settings.mouse,
        keys=keymap(settings.keys),
    )


def draws_unicode(variables: Mapping[str, str]) -> bool:
    """Whether the terminal shows more than ASCII: its locale is UTF-8 and its kind has the glyphs."""
    named = next((variables[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if variables.get(name)), "")
    # With no locale at all Python itself decides; it takes UTF-8 for C.
    encoding = named.rpartition(".")[2] if "." in named else locale.getpreferredencoding(False)
    utf_8 = encoding.partition("@")[0].replace("-", "").lower() == "utf8"
    return utf_8 and not variables.get("TERM", "").startswith(_ASCII_TERMINALS)
