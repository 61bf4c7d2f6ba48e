"""Actions of one checkpoint."""

from __future__ import annotations

from maos_ckpt_tui.commands.declare import DANGER as _D
from maos_ckpt_tui.commands.declare import NOTHING_YET as _NOTHING_YET
from maos_ckpt_tui.commands.declare import READ as _R
from maos_ckpt_tui.commands.declare import REVERSIBLE as _W
from maos_ckpt_tui.commands.declare import Command, at

DETAIL = "detail"

COMMANDS: tuple[Command, ...] = (
    *at(
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
)
