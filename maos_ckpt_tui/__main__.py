"""`maos-ckpt`, and `python -m maos_ckpt_tui`: the command line, with the console as what opens without a command."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from maos_ckpt.cli.main import main as run_command_line

if TYPE_CHECKING:
    from maos_ckpt.client import EngineClient
    from maos_ckpt.config import Settings


def _console(client: EngineClient, settings: Settings) -> int:
    # Textual takes a third of a second to import; only the console pays for it.
    from maos_ckpt_tui.app import run_console

    config = settings.config
    theme = None if config.console.theme == "auto" else config.console.theme
    return run_console(client, read_only=config.read_only, theme=theme)


def main() -> int:
    """Entry point of the console script; returns the exit code."""
    return run_command_line(sys.argv[1:], _console)


if __name__ == "__main__":
    sys.exit(main())
