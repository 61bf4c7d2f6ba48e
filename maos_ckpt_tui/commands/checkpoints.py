"""Actions of the list of all checkpoints; where some are marked, those on checkpoints are about all of them."""

from __future__ import annotations

from maos_ckpt_tui.commands.declare import DANGER as _D
from maos_ckpt_tui.commands.declare import NOTHING_YET as _NOTHING_YET
from maos_ckpt_tui.commands.declare import READ as _R
from maos_ckpt_tui.commands.declare import REVERSIBLE as _W
from maos_ckpt_tui.commands.declare import Command, at

CHECKPOINTS = "checkpoints"

COMMANDS: tuple[Command, ...] = (
    *at(
        CHECKPOINTS,
        ("open", "enter,o", "open", _R, 2, "Open the selected checkpoint", "its components, capture and integrity"),
        ("recover", "r", "recover", _D, 1, "Recover the selected checkpoint", "shows the plan first; " + _NOTHING_YET),
        ("mark", "space", "mark", _R, 3, "Mark or unmark the selected checkpoint", "actions are then about all marked"),
        ("mark_range", "V", "range", _R, 0, "Mark all from the last mark to here", ""),
        ("mark_all", "a", "all", _R, 9, "Mark all that are shown, or none", ""),
        ("diff", "d", "diff", _R, 4, "Compare with live, or two marked ones", "what has changed since then"),
        ("filter", "slash", "filter", _R, 5, "Filter the checkpoints", "by id, description, tag, trigger, state, date"),
        ("problems", "exclamation_mark", "problems", _R, 7, "Show only problems, or all", "damaged or partial ones"),
        ("sort", "s", "sort", _R, 6, "Choose the order", "by age, size, time it took, state and so on"),
        ("reverse", "S", "reverse", _R, 0, "Reverse the order", ""),
        ("verify", "v", "verify", _R, 8, "Check the bytes of the selected or marked", "quick, standard or full"),
        ("pin", "p", "pin", _W, 10, "Pin or unpin the selected or marked", "no pruning removes a pinned one"),
        ("tag", "T", "tag", _W, 11, "Tag the selected or marked", "a name adds it, -name takes it away"),
        ("delete", "x", "delete", _D, 12, "Delete the selected or marked", "for ever; to be confirmed by typing"),
        ("save", "c", "checkpoint", _W, 13, "Take a checkpoint now", "with a description, if you like"),
        ("copy", "y", "copy id", _R, 0, "Copy the id, or the ids of all marked", ""),
        ("export", "e", "export", _R, 0, "Write the list that is shown to a file", "as JSON, beside where this began"),
        ("back", "escape", "back", _R, 14, "Clear filter or marks, or go back", ""),
    ),
)
