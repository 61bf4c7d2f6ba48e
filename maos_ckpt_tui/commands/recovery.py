"""Actions of a recovery: choosing, the plan, and carrying it out."""

from __future__ import annotations

from maos_ckpt_tui.commands.declare import DANGER as _D
from maos_ckpt_tui.commands.declare import NOTHING_YET as _NOTHING_YET
from maos_ckpt_tui.commands.declare import READ as _R
from maos_ckpt_tui.commands.declare import REVERSIBLE as _W
from maos_ckpt_tui.commands.declare import Command, at

CHOOSE = "choose"
PLAN = "plan"
RUN = "run"

COMMANDS: tuple[Command, ...] = (
    *at(
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
    *at(
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
    *at(
        RUN,
        ("cancel", "x", "cancel", _D, 4, "Cancel this recovery", "what it has done is taken back, until it commits"),
        ("undo", "u", "undo this", _D, 1, "Take this recovery back", "shows the plan first; " + _NOTHING_YET),
        ("copy", "y", "copy commands", _R, 2, "Copy the commands that resume agents", ""),
        ("back", "escape,enter", "back", _R, 3, "Go back", "to the overview; to the plan where nothing was done"),
    ),
)
