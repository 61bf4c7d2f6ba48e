"""The console's modes: what each is called, its key, and the screen at the bottom of its stack.

Each mode keeps a stack of screens of its own: one comes back to what one left. A screen is imported when its mode is
first shown, which keeps the first paint short.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from maos_ckpt_tui.screens.base import ConsoleScreen


@dataclass(frozen=True, slots=True)
class Mode:
    """One mode.

    `short` is its name where the terminal is narrow, `more` says what one finds there, `screen` is `module:class` below
    `maos_ckpt_tui.screens`.
    """

    key: str
    name: str
    title: str
    short: str
    more: str
    screen: str

    def open(self) -> ConsoleScreen:
        """A new screen for the bottom of the stack."""
        module, _, name = self.screen.partition(":")
        return cast("ConsoleScreen", getattr(import_module(f"maos_ckpt_tui.screens.{module}"), name)())


OVERVIEW = "overview"

MODES: tuple[Mode, ...] = (
    Mode("1", OVERVIEW, "Overview", "Over", "is it safe, and what goes on", "overview:OverviewScreen"),
    Mode("2", "checkpoints", "Checkpoints", "Ckpts", "all of them, to sort and mark", "checkpoints:CheckpointsScreen"),
    Mode("3", "explore", "Explore", "Expl", "look inside checkpoints", "explore:ExploreScreen"),
    Mode("4", "diff", "Diff", "Diff", "what differs between any two states", "diff_mode:DiffModeScreen"),
    Mode("5", "integrity", "Integrity", "Integ", "what was read back, and mending it", "integrity:IntegrityScreen"),
    Mode("6", "recover", "Recover", "Recov", "step by step, verified at the end", "recovery_start:RecoveryStartScreen"),
    Mode("7", "drills", "Drills", "Drill", "recoveries rehearsed in a scratch copy", "drills:DrillsScreen"),
    Mode("8", "metrics", "Metrics", "Metr", "how saves and recoveries go, against targets", "metrics:MetricsScreen"),
    Mode("9", "events", "Events", "Event", "what happened, and what this console asked for", "events:EventsScreen"),
)
