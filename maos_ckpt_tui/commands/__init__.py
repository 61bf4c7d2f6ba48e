"""Every action of the console, declared once, a module for each mode.

A screen takes its bindings with `bindings_for(place)` and implements `action_<name>`. Binding ids are
`<place>.<action>`, so that keys can be changed by id.
"""

from __future__ import annotations

from textual.binding import Binding

from maos_ckpt_tui.commands import (
    checkpoint,
    checkpoints,
    diff,
    drills,
    events,
    everywhere,
    explore,
    integrity,
    metrics,
    overview,
    recovery,
)
from maos_ckpt_tui.commands.checkpoint import DETAIL as DETAIL
from maos_ckpt_tui.commands.checkpoints import CHECKPOINTS as CHECKPOINTS
from maos_ckpt_tui.commands.declare import Command as Command
from maos_ckpt_tui.commands.declare import Level as Level
from maos_ckpt_tui.commands.diff import DIFF as DIFF
from maos_ckpt_tui.commands.drills import DRILLS as DRILLS
from maos_ckpt_tui.commands.events import ALERTS as ALERTS
from maos_ckpt_tui.commands.events import EVENTS as EVENTS
from maos_ckpt_tui.commands.everywhere import APP as APP
from maos_ckpt_tui.commands.explore import CONVERSATION as CONVERSATION
from maos_ckpt_tui.commands.explore import EXPLORE as EXPLORE
from maos_ckpt_tui.commands.explore import FOUND as FOUND
from maos_ckpt_tui.commands.explore import PART as PART
from maos_ckpt_tui.commands.explore import RECORD as RECORD
from maos_ckpt_tui.commands.explore import VERSIONS as VERSIONS
from maos_ckpt_tui.commands.integrity import INTEGRITY as INTEGRITY
from maos_ckpt_tui.commands.metrics import METRICS as METRICS
from maos_ckpt_tui.commands.overview import OVERVIEW as OVERVIEW
from maos_ckpt_tui.commands.recovery import CHOOSE as CHOOSE
from maos_ckpt_tui.commands.recovery import PLAN as PLAN
from maos_ckpt_tui.commands.recovery import RUN as RUN
from maos_ckpt_tui.commands.recovery import SELECT as SELECT

COMMANDS: tuple[Command, ...] = (
    *overview.COMMANDS,
    *checkpoints.COMMANDS,
    *checkpoint.COMMANDS,
    *explore.COMMANDS,
    *diff.COMMANDS,
    *integrity.COMMANDS,
    *recovery.COMMANDS,
    *drills.COMMANDS,
    *metrics.COMMANDS,
    *events.COMMANDS,
    *everywhere.COMMANDS,
)

#: What each place is called in help and palette.
PLACES = {
    OVERVIEW: "Overview",
    CHECKPOINTS: "Checkpoints",
    DETAIL: "Checkpoint",
    EXPLORE: "Explore",
    CONVERSATION: "Conversation",
    RECORD: "Record",
    VERSIONS: "Versions",
    FOUND: "Found",
    PART: "Changes since",
    DIFF: "Differences",
    INTEGRITY: "Integrity",
    CHOOSE: "Recover",
    SELECT: "Recovery: select",
    PLAN: "Plan",
    RUN: "Recovery",
    DRILLS: "Drills",
    METRICS: "Metrics",
    EVENTS: "Events",
    ALERTS: "Alerts",
    APP: "Everywhere",
}

_SHOWN_KEYS = {
    "slash": "/",
    "question_mark": "?",
    "exclamation_mark": "!",
    "colon": ":",
    "escape": "esc",
    "up": "↑",
    "down": "↓",
    "pageup": "pgup",
    "pagedown": "pgdn",
    "left": "←",
    "right": "→",
    "space": "space",
    "plus": "+",
    "minus": "-",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "shift+left": "shift+←",
    "shift+right": "shift+→",
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
