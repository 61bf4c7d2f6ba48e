"""Actions of a recovery, step by step: choosing, selecting, the plan, and carrying it out."""

from __future__ import annotations

from maos_ckpt_tui.commands.declare import DANGER as _D
from maos_ckpt_tui.commands.declare import NOTHING_YET as _NOTHING_YET
from maos_ckpt_tui.commands.declare import READ as _R
from maos_ckpt_tui.commands.declare import REVERSIBLE as _W
from maos_ckpt_tui.commands.declare import Command, at

CHOOSE = "choose"
SELECT = "select"
PLAN = "plan"
RUN = "run"

COMMANDS: tuple[Command, ...] = (
    *at(
        CHOOSE,
        ("recover", "enter,r", "select", _D, 1, "Go on with this checkpoint", "which part of it; " + _NOTHING_YET),
        ("undo", "u", "undo last", _D, 2, "Take the last recovery back", "all or a part of it; " + _NOTHING_YET),
        ("rescue", "m", "mend", _D, 3, "Mend what a crash left behind", "shows the plan first; " + _NOTHING_YET),
        ("resume", "a", "agent", _D, 4, "Continue one agent", "its transcript back, and the command; " + _NOTHING_YET),
        ("diff", "d", "diff", _R, 5, "Show what has changed since then", "the checkpoint against the live state"),
        ("verify", "v", "verify", _R, 7, "Check this checkpoint's bytes", "quick, standard or full"),
        ("filter", "slash", "filter", _R, 6, "Filter the checkpoints", "by id, description, tag, trigger, state, date"),
        ("open", "o", "details", _R, 0, "Open this checkpoint", "its components, capture and integrity"),
        ("copy", "y", "copy id", _R, 0, "Copy this checkpoint's id", "and show it, for terminals that refuse"),
        ("processes", "w", "who runs", _R, 0, "Show every live MAOS", "its agents, their processes, and orphans"),
        ("cancel", "x", "cancel", _D, 1, "Cancel the recovery that runs", "what it has done is taken back"),
        ("back", "escape", "back", _R, 8, "Leave the recovery", "nothing has been changed"),
    ),
    *at(
        SELECT,
        ("plan", "enter", "plan", _W, 1, "Compute the plan", "exactly what would change; writes nothing"),
        ("mark", "space", "mark", _W, 2, "Mark or unmark this row", "only what is marked is recovered"),
        ("unfold", "right", "unfold", _R, 3, "Show what is inside", "records and agents are read when first needed"),
        ("fold", "left", "fold", _R, 0, "Fold this row", "or go up to the one it stands in"),
        ("find", "slash", "by text", _W, 5, "Mark what contains a text", "in the checkpoint or live"),
        ("mark_all", "a", "all", _W, 6, "Mark everything, or nothing", "all of it is an exact recovery"),
        ("exact", "i", "exact", _W, 0, "Remove what came since, or keep it", "records the checkpoint does not hold"),
        ("dependencies", "w", "needs", _W, 0, "Add what the chosen records refer to", "where it is missing now"),
        ("merge", "M", "merge", _W, 0, "Switch what becomes of differing records", "replace, add missing, keep newer"),
        ("more", "m", "more", _R, 7, "Read more records", "where a list goes on"),
        ("back", "escape", "back", _R, 4, "One step back", "nothing has been changed"),
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
        ("back", "escape", "back", _R, 3, "Go back", "to the overview; to the plan where nothing was done"),
    ),
)
