"""The entry point: finds the command, runs it, and turns every outcome into text and an exit code.

Nothing heavy is imported here: `--help` and `--version` must answer at once.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from maos_ckpt import __version__
from maos_ckpt.cli.options import NO_COMMAND, Command, find_command, needs_repository, overview, parser_for
from maos_ckpt.cli.parser import PROGRAM
from maos_ckpt.errors import CkptError, ExitCode, InterruptedByUserError, UsageError

if TYPE_CHECKING:
    from maos_ckpt.cli.context import Context
    from maos_ckpt.client import EngineClient
    from maos_ckpt.config import Settings


class Console(Protocol):
    """The screen, which this side knows only by this."""

    def show(self, client: EngineClient, settings: Settings, where: Sequence[str]) -> int:
        """Start an engine, run a console on it until its user leaves, close it; returns an exit code. `where` are
        options that make a command line mean this engine or repository.

        Raises:
            ConfigError: as `keys`; the engine was not started.
        """
        ...

    def keys(self, settings: Settings) -> list[KeyInForce]:
        """The keys of all actions.

        Raises:
            ConfigError: `console.keys` names an unknown id, an unknown key, or one that means something else there.
        """
        ...


@dataclass(frozen=True, slots=True)
class KeyInForce:
    """One action of the console: its id, the keys that trigger it, those it has by default, and what it does."""

    id: str
    keys: str
    default: str
    does: str


def main(arguments: list[str], console: Console) -> int:
    """Run one command line; returns the exit code. `console` is what opens where no command is named."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character must not be what fails a command.
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    as_json = "--json" in arguments
    try:
        code = _run(arguments, console)
        sys.stdout.flush()
        return code
    except CkptError as error:
        return _report(error, as_json=as_json)
    except KeyboardInterrupt:
        return _report(InterruptedByUserError("Interrupted.", kept=_KEPT), as_json=as_json)
    except BrokenPipeError:
        # Whoever reads our output has seen enough, as in `maos-ckpt list | head -1`.
        _drop_stdout()
        return ExitCode.DONE
    except Exception as error:  # noqa: BLE001 - the last line of defence: no traceback for the user
        return _crash(error, arguments, as_json=as_json)


_KEPT = "Every committed checkpoint is untouched; the next command settles what was under way."


def _run(arguments: list[str], console: Console) -> int:
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    if "--version" in options:
        sys.stdout.write(f"{PROGRAM} {__version__}\n")
        return ExitCode.DONE
    command, rest = find_command(arguments)
    if "-h" in options or "--help" in options:
        text = overview() if command is NO_COMMAND else parser_for(command).format_help().rstrip()
        sys.stdout.write(text + "\n")
        return ExitCode.DONE
    return _dispatch(command, rest, console)


def _dispatch(command: Command, rest: list[str], console: Console) -> int:
    parsed = parser_for(command).parse(rest)
    # Imported late, like the command itself: they bring the configuration and what it needs.
    import importlib

    from maos_ckpt.environment import collect_less_often

    collect_less_often()
    from maos_ckpt.cli.context import Context

    context = Context(parsed, command.name, console)
    context.configure_logging()
    module, _, function = _handler(command, context).partition(":")
    handler: Callable[[Context], int] = getattr(importlib.import_module(f"maos_ckpt.cli.commands.{module}"), function)
    return handler(context)


def _handler(command: Command, context: Context) -> str:
    if context.arguments.connect is None:
        if context.arguments.token_file is not None:
            raise UsageError("--token-file is for an engine that is reached with --connect.", hint="Add --connect.")
        return command.handler
    if not command.attached:
        raise needs_repository(command.name)
    return command.attached


def _report(error: CkptError, *, as_json: bool) -> int:
    from maos_ckpt.cli.failures import print_error

    # What a command printed before it failed comes first, also where the two streams end in one file.
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    print_error(error, as_json=as_json)
    return error.exit_code


def _crash(error: Exception, arguments: list[str], *, as_json: bool) -> int:
    from maos_ckpt.cli.failures import as_crash

    if isinstance(error, OSError) and error.filename is None and sys.stdout.closed is False:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
    _drop_stdout()
    return _report(as_crash(error, arguments), as_json=as_json)


def _drop_stdout() -> None:
    """Point standard output at nothing, so that the interpreter's last flush cannot fail."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
