"""Actions of every screen."""

from __future__ import annotations

from maos_ckpt_tui.commands.declare import DANGER as _D
from maos_ckpt_tui.commands.declare import READ as _R
from maos_ckpt_tui.commands.declare import Command, at
from maos_ckpt_tui.modes import MODES

APP = "app"

COMMANDS: tuple[Command, ...] = (
    *at(APP, *((f"mode('{one.name}')", one.key, one.title, _R, 0, f"Go to {one.title}", one.more) for one in MODES)),
    *at(
        APP,
        ("help", "question_mark,f1", "help", _R, 20, "Help for this screen", "keys in force, and what the signs mean"),
        ("palette", "colon,ctrl+p", "palette", _R, 21, "Find an action or checkpoint by name", ""),
        ("command_log", "L", "log", _R, 0, "Show the command log", "what was asked here, as command lines to copy"),
        (
            "next_theme",
            "t",
            "theme",
            _R,
            0,
            "Switch the colours",
            "dark, light, high contrast, colour-blind-safe, the terminal's own",
        ),
        ("leave", "q", "quit", _R, 22, "Close the console", "a running save finishes first"),
        (
            "suspend",
            "ctrl+z",
            "suspend",
            _R,
            0,
            "Suspend the console",
            "to the shell; `fg` comes back, the engine goes on",
        ),
        ("stop_engine", "Q", "stop engine", _D, 0, "Stop the engine, for everybody", "asks first"),
    ),
)
