"""Actions of the metrics."""

from __future__ import annotations

from maos_ckpt_tui.commands.declare import READ as _R
from maos_ckpt_tui.commands.declare import Command, at

METRICS = "metrics"

COMMANDS: tuple[Command, ...] = (
    *at(
        METRICS,
        ("shorter", "minus", "shorter", _R, 2, "Look back on less time", "7 days, 24, 6 or 1 hour"),
        ("longer", "plus,equals_sign", "longer", _R, 1, "Look back on more time", "1, 6 or 24 hours, or 7 days"),
        ("older", "left", "earlier", _R, 3, "Read the value before", "of every plot in sight"),
        ("newer", "right", "later", _R, 4, "Read the value after", "of every plot in sight"),
        ("export", "e", "export", _R, 5, "Export these metrics", "to a new file, as JSON or CSV"),
        ("alerts", "A", "alerts", _R, 6, "Show the alerts", "those that stand, and what to do about each"),
        ("back", "escape", "overview", _R, 7, "Go to the overview", ""),
    ),
)
