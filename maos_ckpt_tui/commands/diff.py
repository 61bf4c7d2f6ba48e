"""Actions of differences."""

from __future__ import annotations

from maos_ckpt_tui.commands.declare import DANGER as _D
from maos_ckpt_tui.commands.declare import NOTHING_YET as _NOTHING_YET
from maos_ckpt_tui.commands.declare import READ as _R
from maos_ckpt_tui.commands.declare import Command, at

DIFF = "diff"

COMMANDS: tuple[Command, ...] = (
    *at(
        DIFF,
        ("unfold", "enter,space", "fold/full", _R, 2, "Fold or unfold; show a field in full", ""),
        ("fold_all", "f", "fold all", _R, 6, "Fold all records, or unfold them", ""),
        ("choose_a", "A", "choose A", _R, 9, "Choose the side before", "any checkpoint, or the live state"),
        ("choose_b", "B", "choose B", _R, 10, "Choose the side after", "any checkpoint, or the live state"),
        ("swap", "w", "swap", _R, 12, "Swap the two sides", ""),
        ("live", "l", "vs live", _R, 4, "Compare with the live state", "what has changed since this checkpoint"),
        ("before", "b", "vs before", _R, 5, "Compare with the one before", "what this checkpoint changed"),
        ("kinds", "K", "kinds", _R, 11, "Show one kind of change alone, or all", "added, then modified, then removed"),
        ("more", "m", "more", _R, 7, "List more changes", "where the list was cut"),
        ("recover", "r", "recover", _D, 1, "Recover this checkpoint", "shows the plan first; " + _NOTHING_YET),
        ("export", "e", "export", _R, 13, "Write the differences to a file", "as JSON or Markdown"),
        ("filter", "slash", "filter", _R, 8, "Filter the changes", "by component, key, field or value"),
        ("back", "escape", "back", _R, 3, "Go back", ""),
    ),
)
