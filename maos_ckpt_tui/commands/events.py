"""Actions of the events, the command log, and the alerts."""

from __future__ import annotations

from maos_ckpt_tui.commands.declare import READ as _R
from maos_ckpt_tui.commands.declare import REVERSIBLE as _W
from maos_ckpt_tui.commands.declare import Command, at

EVENTS = "events"
ALERTS = "alerts"

COMMANDS: tuple[Command, ...] = (
    *at(
        EVENTS,
        ("open", "enter,o", "open", _R, 1, "Show this entry in full", "enter again opens its checkpoint"),
        ("next_journal", "tab", "journal", _R, 2, "Switch between events and command log", ""),
        ("problems", "exclamation_mark", "problems", _R, 3, "Show only problems, or all", "failures, alerts, damage"),
        ("filter", "slash", "filter", _R, 4, "Filter the entries", "every word must occur"),
        ("kind", "f", "kind", _R, 5, "Show one kind of event", "saves, recoveries, checks, remote copy, …"),
        ("runbook", "h", "what to do", _R, 6, "Say what to do about it", "the runbook of a problem"),
        ("copy", "y", "copy", _R, 7, "Copy this entry", "a command as a line for a shell"),
        ("alerts", "A", "alerts", _R, 8, "Show the alerts", "those that stand, and what to do about each"),
        ("back", "escape", "overview", _R, 9, "Go to the overview", ""),
    ),
    *at(
        ALERTS,
        ("acknowledge", "enter,a", "seen", _W, 1, "Say that this alert was seen", "no more is sent until it clears"),
        ("snooze", "z", "snooze", _W, 2, "Silence this alert for a time", "it is sent again if it still stands"),
        ("copy", "y", "copy", _R, 4, "Copy what to do", "and show it, for terminals that refuse"),
        ("back", "escape", "back", _R, 3, "Go back", ""),
    ),
)
