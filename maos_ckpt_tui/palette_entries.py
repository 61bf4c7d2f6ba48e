"""What the palette offers on a screen: its actions, those of everywhere, and checkpoints."""

from __future__ import annotations

from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.checkpoint_view import marks_words
from maos_ckpt_tui.commands import APP, commands_for
from maos_ckpt_tui.modals.palette import Entry
from maos_ckpt_tui.safe_text import safe_name
from maos_ckpt_tui.screens.base import ConsoleScreen
from maos_ckpt_tui.viewmodel import ConsoleModel, short
from maos_ckpt_tui.widgets.key_bar import keys_in_force

_DESCRIPTION_CELLS_MAX = 100
_CHECKPOINTS_MAX = 2000


def palette_entries(screen: ConsoleScreen, model: ConsoleModel, now_ms: int) -> list[Entry]:
    """Entries in the order of declaration, checkpoints newest first; actions that are not available are left out."""
    keys = keys_in_force(screen)
    entries = [
        Entry(one.label.rstrip("…"), keys[one.id], one.title, one.action if place != APP else f"app.{one.action}")
        for place in (screen.PLACE, APP)
        for one in commands_for(place)
        if one.in_palette and one.id in keys
    ]
    for one in model.checkpoints[:_CHECKPOINTS_MAX]:
        parts = (
            fmt.ago(one.created_at_ms, now_ms),
            one.trigger.value,
            marks_words(one),
            safe_name(one.description, _DESCRIPTION_CELLS_MAX),
        )
        told = ", ".join(part for part in parts if part)
        entries.append(Entry(f"open {short(one.id)}", "", told, checkpoint=one.id))
    return entries
