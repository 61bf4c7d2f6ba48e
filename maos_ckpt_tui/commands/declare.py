"""What an action is: declared once; key, footer, palette entry, tooltip and help come from the declaration."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum

from textual.binding import Binding

from maos_ckpt_tui.commands.asks import ASKS

#: Cursor movements and the palette itself: it makes no sense to choose them by name.
_NOT_BY_NAME = frozenset(
    {"palette", "back", "older", "newer", "older_change", "newer_change", "unfold", "mark", "mark_range"}
)


class Level(IntEnum):
    """How dangerous an action is; a read-only console offers `READ` alone."""

    READ = 0
    REVERSIBLE = 1
    DANGER = 2


READ, REVERSIBLE, DANGER = Level.READ, Level.REVERSIBLE, Level.DANGER
NOTHING_YET = "nothing is written before you confirm"


@dataclass(frozen=True, slots=True)
class Command:
    """One action at one place.

    `keys` are Textual key names, the first one is shown. `label` is the footer's word, `title` what it does in a few
    words, `more` the rest of the sentence. `footer` is the rank in the footer (1 is kept longest where the screen is
    narrow), None keeps it out.
    """

    place: str
    action: str
    keys: str
    label: str
    title: str
    more: str = ""
    level: Level = Level.READ
    footer: int | None = None

    @property
    def help(self) -> str:
        """The whole sentence."""
        return f"{self.title}: {self.more}." if self.more else f"{self.title}."

    @property
    def in_palette(self) -> bool:
        """Whether it makes sense to choose it by name."""
        return self.action not in _NOT_BY_NAME

    @property
    def id(self) -> str:
        """Binding id; that of an action with an argument, `mode('drills')`, reads `app.mode_drills`."""
        return f"{self.place}.{re.sub(r'[^a-z_]+', '_', self.action).strip('_')}"

    @property
    def asks(self) -> tuple[str, ...] | None:
        """The methods of `EngineClient` that it is about, whose `equivalents` are the command line and the request that
        do the same; None for what is the console's own."""
        return ASKS.get(self.id, ASKS.get(self.action))

    @property
    def handler(self) -> str:
        """The method that carries it out."""
        return f"action_{self.action.partition('(')[0]}"

    def binding(self) -> Binding:
        """As Textual wants it; no display text, so that a changed key shows."""
        return Binding(self.keys, self.action, self.label, show=False, tooltip=self.help, id=self.id)


def at(place: str, *rows: tuple[str, str, str, Level, int, str, str]) -> tuple[Command, ...]:
    """The actions of one place: (action, keys, label, level, footer rank or 0, what it does, more about it)."""
    return tuple(
        Command(place, action, keys, label, title, more, level, footer or None)
        for action, keys, label, level, footer, title, more in rows
    )
