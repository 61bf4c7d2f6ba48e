"""Actions of the overview."""

from __future__ import annotations

from maos_ckpt_tui.commands.declare import DANGER as _D
from maos_ckpt_tui.commands.declare import NOTHING_YET as _NOTHING_YET
from maos_ckpt_tui.commands.declare import READ as _R
from maos_ckpt_tui.commands.declare import REVERSIBLE as _W
from maos_ckpt_tui.commands.declare import Command, at

OVERVIEW = "overview"

COMMANDS: tuple[Command, ...] = (
    *at(
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
        ("alerts", "A", "alerts", _R, 0, "Show the alerts", "those that stand, and what to do about each"),
        ("bars", "b", "bars", _R, 0, "Switch the timeline's bars", "bytes stored by each save, or size of the state"),
        ("older", "left", "older", _R, 0, "Select the next older checkpoint", ""),
        ("newer", "right", "newer", _R, 0, "Select the next newer checkpoint", ""),
        ("delete", "x", "delete", _D, 0, "Delete the selected checkpoint", "for ever; its short id must be typed"),
    ),
)
