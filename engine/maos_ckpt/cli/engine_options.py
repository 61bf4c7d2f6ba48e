"""Options of the engine and the console, which stand without a command; `demo` takes some of them, too."""

from __future__ import annotations

import argparse


def seconds(text: str) -> float:
    """A positive number of seconds."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number of seconds")
    return value


def add_console_options(parser: argparse.ArgumentParser) -> None:
    """How the console looks."""
    group = parser.add_argument_group("console")
    add = group.add_argument
    add("--theme", metavar="NAME", help="auto, dark, light, high-contrast, colour-blind or ansi")
    add("--ascii", action="store_const", const="always", help="draw with ASCII alone")
    add("--low-bandwidth", action="store_true", help="send the terminal little, for slow lines")
    add("--mouse", action="store_true", help="take clicks and the wheel")


def add_engine_options(parser: argparse.ArgumentParser) -> None:
    """What may stand without a command."""
    parser.add_argument("--headless", action="store_true", help="the engine without a screen")
    parser.add_argument("--interval", metavar="S", help="seconds between checkpoints")
    parser.add_argument(
        "--listen",
        metavar="unix:PATH|HOST:PORT",
        action="append",
        help="with --headless: serve the API here, too; TCP needs tokens; repeatable",
    )
    add_console_options(parser)
