"""Actions of drills."""

from __future__ import annotations

from maos_ckpt_tui.commands.declare import READ as _R
from maos_ckpt_tui.commands.declare import REVERSIBLE as _W
from maos_ckpt_tui.commands.declare import Command, at

DRILLS = "drills"

COMMANDS: tuple[Command, ...] = (
    *at(
        DRILLS,
        (
            "evidence",
            "enter",
            "evidence",
            _R,
            1,
            "Read the evidence of the last result",
            "what held, what was read",
        ),
        ("run", "n", "rehearse", _W, 2, "Rehearse the selected scenario", "in a scratch copy of the latest checkpoint"),
        ("run_all", "a", "all", _W, 3, "Rehearse all scenarios", "those that apply, one after the other"),
        ("copy", "y", "copy evidence", _R, 5, "Copy the path of the evidence", "the report of the last result"),
        ("back", "escape", "back", _R, 4, "Go back", "a drill under way goes on"),
    ),
)
