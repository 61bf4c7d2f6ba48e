"""`maos-ckpt`, and `python -m maos_ckpt_tui`: the command line, with the console as what opens without a command."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from maos_ckpt.cli.main import KeyInForce
from maos_ckpt.cli.main import main as run_command_line

if TYPE_CHECKING:
    from maos_ckpt.client import EngineClient
    from maos_ckpt.config import Settings


class TextualConsole:
    """See `maos_ckpt.cli.main.Console`; Textual takes a third of a second to import, only what needs it pays for it."""

    def show(self, client: EngineClient, settings: Settings, where: Sequence[str]) -> int:
        """See `Console.show`."""
        from maos_ckpt_tui.app import run_console
        from maos_ckpt_tui.looks import looks_of

        config = settings.config
        return run_console(client, read_only=config.read_only, looks=looks_of(config.console), where=where)

    def keys(self, settings: Settings) -> list[KeyInForce]:
        """See `Console.keys`."""
        from maos_ckpt_tui.keymap import keys_in_force

        return keys_in_force(settings.config.console.keys)


def main() -> int:
    """Entry point of the console script; returns the exit code."""
    return run_command_line(sys.argv[1:], TextualConsole())


if __name__ == "__main__":
    sys.exit(main())
