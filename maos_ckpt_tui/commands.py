"""Every action of the console, declared once: key, footer, palette entry, tooltip and help come from here.

A screen takes its bindings with `bindings_for(place)` and implements `action_<name>`. Binding ids are
`<place>.<action>`, so that keys can be changed by id later.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from textual.binding import Binding


class Level(IntEnum):
    """How dangerous an action is; a read-only console offers `READ` alone."""

    READ = 0
    REVERSIBLE = 1
    DANGER = 2


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
        """Whether it makes sense to choose it by name: not cursor movements, and not the palette itself."""
        return self.action not in ("palette", "back", "older", "newer", "unfold", "mark")

    @property
    def id(self) -> str:
        """Binding id."""
        return f"{self.place}.{self.action}"

    def binding(self) -> Binding:
        """As Textual wants it; no display text, so that a changed key shows."""
        return Binding(self.keys, self.action, self.label, show=False, tooltip=self.help, id=self.id)


APP = "app"
OVERVIEW = "overview"
DETAIL = "detail"
DIFF = "diff"
CHOOSE = "choose"
PLAN = "plan"
RUN = "run"
DRILLS = "drills"
LIST = "list"

_R, _W, _D = Level.READ, Level.REVERSIBLE, Level.DANGER
_NOTHING_YET = "nothing is written before you confirm"


def _at(place: str, *rows: tuple[str, str, str, Level, int, str, str]) -> tuple[Command, ...]:
    # (action, keys, label, level, footer rank or 0, what it does, more about it)
    return tuple(
        Command(place, action, keys, label, title, more, level, footer or None)
        for action, keys, label, level, footer, title, more in rows
    )


COMMANDS: tuple[Command, ...] = (
    *_at(
        OVERVIEW,
        ("open", "enter,o", "open", _R, 2, "Open the selected checkpoint", "its components, capture and integrity"),
        ("diff", "d", "diff", _R, 3, "Show what has changed since then", "the selected checkpoint against live state"),
        ("recover", "r", "recover", _D, 1, "Recover the selected checkpoint", "shows the plan first; " + _NOTHING_YET),
        ("undo", "u", "undo", _D, 5, "Take the last recovery back", "shows the plan first; " + _NOTHING_YET),
        ("save", "c", "checkpoint", _W, 4, "Take a checkpoint now", "with a description, if you like"),
        ("pin", "p", "pin", _W, 8, "Pin or unpin the selected checkpoint", "no pruning removes a pinned one"),
        ("verify", "v", "verify", _R, 7, "Check the selected checkpoint's bytes", "quick, standard or full"),
        ("copy", "y", "copy id", _R, 0, "Copy the selected checkpoint's id", "and show it, for terminals that refuse"),
        ("filter", "slash", "filter", _R, 6, "Filter the checkpoints", "by id, description, tag, trigger, state, date"),
        ("rescue", "m", "mend", _D, 0, "Mend what a crash left behind", "shows the plan first; " + _NOTHING_YET),
        (
            "resume",
            "a",
            "agent",
            _D,
            0,
            "Continue one agent",
            "its transcript back in place, and the command; " + _NOTHING_YET,
        ),
        ("processes", "w", "who runs", _R, 0, "Show every live MAOS", "its agents, their processes, and orphans"),
        ("bars", "b", "bars", _R, 0, "Switch the timeline's bars", "bytes stored by each save, or size of the state"),
        ("drills", "e", "drills", _R, 0, "Rehearse recoveries", "in a scratch copy; the live system is not touched"),
        ("older", "left", "older", _R, 0, "Select the next older checkpoint", ""),
        ("newer", "right", "newer", _R, 0, "Select the next newer checkpoint", ""),
        ("delete", "x", "delete", _D, 0, "Delete the selected checkpoint", "for ever; its short id must be typed"),
    ),
    *_at(
        DETAIL,
        ("recover", "r", "recover", _D, 1, "Recover this checkpoint", "shows the plan first; " + _NOTHING_YET),
        ("diff", "d", "diff live", _R, 2, "Show what has changed since then", "this checkpoint against the live state"),
        ("diff_parent", "b", "diff before", _R, 3, "Show what this checkpoint changed", "against the one before it"),
        ("verify", "v", "verify", _R, 5, "Check this checkpoint's bytes", "quick, standard or full"),
        ("pin", "p", "pin", _W, 6, "Pin or unpin this checkpoint", "no pruning removes a pinned one"),
        ("copy", "y", "copy id", _R, 7, "Copy this checkpoint's id", "and show it, for terminals that refuse"),
        ("delete", "x", "delete", _D, 8, "Delete this checkpoint", "for ever; its short id must be typed"),
        ("back", "escape", "back", _R, 4, "Go back", ""),
    ),
    *_at(
        DIFF,
        ("unfold", "enter,space", "fold/full", _R, 2, "Fold or unfold; show a field in full", ""),
        ("fold_all", "f", "fold all", _R, 6, "Fold all records, or unfold them", ""),
        ("live", "l", "vs live", _R, 4, "Compare with the live state", "what has changed since this checkpoint"),
        ("before", "b", "vs before", _R, 5, "Compare with the one before", "what this checkpoint changed"),
        ("more", "m", "more", _R, 7, "List more changes", "where the list was cut"),
        ("recover", "r", "recover", _D, 1, "Recover this checkpoint", "shows the plan first; " + _NOTHING_YET),
        ("filter", "slash", "filter", _R, 8, "Filter the changes", "by component, key, field or value"),
        ("back", "escape", "back", _R, 3, "Go back", ""),
    ),
    *_at(
        CHOOSE,
        ("mark", "space", "mark", _W, 2, "Mark or unmark this component", "only marked ones are recovered"),
        ("mark_all", "a", "all", _W, 3, "Mark all components, or none", "all of them is an exact recovery"),
        (
            "exact",
            "e",
            "exact",
            _W,
            4,
            "Remove what came since, or keep it",
            "live records the checkpoint does not hold",
        ),
        ("dependencies", "w", "with deps", _W, 5, "Add what the chosen records refer to", "where it is missing now"),
        ("plan", "enter", "plan", _W, 1, "Compute the plan", "exactly what would change; writes nothing"),
        ("back", "escape", "back", _R, 6, "Leave the recovery", "nothing has been changed"),
    ),
    *_at(
        PLAN,
        ("apply", "a", "apply…", _D, 1, "Confirm and apply exactly this plan", "asks for a reason and the short id"),
        ("unfold", "enter,space", "fold/full", _R, 2, "Fold or unfold; show a field in full", ""),
        ("fold_all", "f", "fold all", _R, 5, "Fold all records, or unfold them", ""),
        ("replan", "l", "plan again", _R, 4, "Plan again", "against the live state of now"),
        ("part", "p", "a part…", _R, 8, "Plan a part of it", "one component, record or agent alone"),
        ("findings", "n", "findings", _R, 7, "Show all findings in full", "references that would break, and notes"),
        ("filter", "slash", "filter", _R, 6, "Filter the changes", "by component, key, field or value"),
        ("back", "escape", "back", _R, 3, "Leave the plan", "nothing has been changed"),
    ),
    *_at(
        RUN,
        ("cancel", "x", "cancel", _D, 4, "Cancel this recovery", "what it has done is taken back, until it commits"),
        ("undo", "u", "undo this", _D, 1, "Take this recovery back", "shows the plan first; " + _NOTHING_YET),
        ("copy", "y", "copy commands", _R, 2, "Copy the commands that resume agents", ""),
        ("back", "escape,enter", "back", _R, 3, "Go back", "to the overview; to the plan where nothing was done"),
    ),
    *_at(
        DRILLS,
        (
            "run",
            "enter",
            "rehearse",
            _W,
            1,
            "Rehearse the selected scenario",
            "in a scratch copy of the latest checkpoint",
        ),
        ("run_all", "a", "all", _W, 2, "Rehearse all scenarios", "those that apply, one after the other"),
        ("copy", "y", "copy evidence", _R, 4, "Copy the path of the evidence", "the report of the last result"),
        ("back", "escape", "back", _R, 3, "Go back", "a drill under way goes on"),
    ),
    *_at(
        APP,
        ("help", "question_mark,f1", "help", _R, 20, "Help for this screen", "keys in force, and what the signs mean"),
        ("palette", "colon,ctrl+p", "palette", _R, 21, "Find an action or checkpoint by name", ""),
        ("next_theme", "t", "theme", _R, 0, "Switch the colours", "dark, light, the terminal's own sixteen"),
        ("leave", "q", "quit", _R, 22, "Close the console", "a running save finishes first"),
        ("stop_engine", "Q", "stop engine", _D, 0, "Stop the engine, for everybody", "asks first"),
    ),
)

#: What each place is called in help and palette.
PLACES = {
    OVERVIEW: "Overview",
    DETAIL: "Checkpoint",
    DIFF: "Differences",
    CHOOSE: "Recovery: choose",
    PLAN: "Plan",
    RUN: "Recovery",
    DRILLS: "Drills",
    APP: "Everywhere",
}

_SHOWN_KEYS = {
    "slash": "/",
    "question_mark": "?",
    "colon": ":",
    "escape": "esc",
    "left": "←",
    "right": "→",
    "space": "space",
}


def commands_for(place: str) -> tuple[Command, ...]:
    """The actions declared for one place, in the order of declaration."""
    return tuple(one for one in COMMANDS if one.place == place)


def bindings_for(place: str) -> list[Binding]:
    """The key bindings of one place."""
    return [one.binding() for one in commands_for(place)]


def shown_key(key: str) -> str:
    """A Textual key name as people write it: `slash` → `/`, `ctrl+p` → `^p`."""
    return _SHOWN_KEYS.get(key, key.replace("ctrl+", "^"))


def level_of(place: str, action: str) -> Level:
    """How dangerous an action is; `READ` for actions that are not declared here (cursor keys and the like)."""
    return next((one.level for one in COMMANDS if one.place == place and one.action == action), Level.READ)
