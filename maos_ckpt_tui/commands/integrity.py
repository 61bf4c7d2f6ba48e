"""Actions of the integrity mode."""

from __future__ import annotations

from maos_ckpt_tui.commands.declare import READ as _R
from maos_ckpt_tui.commands.declare import REVERSIBLE as _W
from maos_ckpt_tui.commands.declare import Command, at

INTEGRITY = "integrity"

COMMANDS: tuple[Command, ...] = (
    *at(
        INTEGRITY,
        ("verify", "v", "verify…", _R, 1, "Read back what is stored", "all, the marked or the newest; how deep"),
        ("mend", "R", "repair…", _W, 2, "Mend what is damaged or missing", "from the other tier; asks first"),
        ("stop", "X", "stop", _R, 1, "Stop the verification that runs", "nothing is marked by it then"),
        ("open", "enter,o", "open", _R, 3, "Open what is selected", "a finding in full, or the checkpoint it is about"),
        ("switch", "tab", "other list", _R, 4, "Go to the other list", "findings, or verifications of late"),
        ("copy", "y", "copy", _R, 6, "Copy the selected finding", "with the objects or checkpoints it is about"),
        ("export", "e", "export", _R, 5, "Write what is known here to a file", "as JSON, for evidence"),
        ("back", "escape", "back", _R, 7, "Go back", ""),
    ),
)
