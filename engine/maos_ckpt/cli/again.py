"""A command as it would be typed again."""

from __future__ import annotations

import shlex

from maos_ckpt.cli.context import Context
from maos_ckpt.cli.parser import PROGRAM
from maos_ckpt.cli.selecting import option


def place(context: Context) -> list[str]:
    """The global options that were typed and say what a command is about."""
    a = context.arguments
    options = {
        "--connect": a.connect,
        "--token-file": a.token_file,
        "--config": a.config,
        "--repo": a.repo,
        "--s3-endpoint": a.s3_endpoint,
        "--system": a.system,
        "--claude-home": a.claude_home,
    }
    words: list[str] = []
    for name, value in options.items():
        words += option(name, [value] if value else [])
    return [*words, *option("--source", a.source or [])]


def typed(context: Context, words: list[str], last: tuple[str, ...] = ()) -> str:
    """A shell line of `words`, the global options that say what this command is about, and `last`."""
    return shlex.join([PROGRAM, *words, *place(context), *last])
