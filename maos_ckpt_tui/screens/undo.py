"""Taking the last recovery back: the plan screen with another plan."""

from __future__ import annotations

from maos_ckpt.client import EngineClient
from maos_ckpt_tui.recovery import take_back
from maos_ckpt_tui.screens.plan import PlanScreen


def undo_screen(client: EngineClient, now_ms: int) -> PlanScreen:
    """The plan to undo the last recovery; confirmed and applied like any other."""
    return PlanScreen(take_back(client, now_ms))
