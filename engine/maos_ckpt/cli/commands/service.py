"""What happens without a command: the console, or with --headless the engine alone."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from maos_ckpt.cli.again import place
from maos_ckpt.cli.commands.status import status
from maos_ckpt.cli.commands.upkeep import print_event
from maos_ckpt.cli.context import Context
from maos_ckpt.client import EngineClient, EventSink
from maos_ckpt.config import Settings
from maos_ckpt.errors import CkptError, EngineUnreachableError, ExitCode, UsageError
from maos_ckpt.events import Event, event_fields

if TYPE_CHECKING:
    from maos_ckpt.local import LocalClient

_LOG = logging.getLogger(__name__)
_GIVEN_UP_S = 1.0


def service(context: Context) -> int:
    """`maos-ckpt` and `maos-ckpt --headless`."""
    if context.arguments.headless:
        return _headless(context)
    if context.arguments.listen:
        raise UsageError("--listen belongs to --headless.", hint="Add --headless, or leave it out.")
    if not context.screen:
        return _without_screen(context)
    return show_console(context, _running(context) or _client(context), context.settings)


def attached(context: Context) -> int:
    """`maos-ckpt --connect`."""
    from maos_ckpt.cli.attaching import remote_client

    if context.arguments.headless:
        raise UsageError(
            "--headless starts an engine, and --connect names one that runs.", hint="Leave one of them out."
        )
    if context.screen:
        return show_console(context, remote_client(context), context.settings)
    raise _no_screen()


def _running(context: Context) -> EngineClient | None:
    """The engine that runs on the repository already, if there is one that lets this user in."""
    from maos_ckpt.api.places import find_socket

    socket = find_socket(context.workspace.repository)
    if socket is None:
        return None
    from maos_ckpt.api.address import unix_address
    from maos_ckpt.api.remote import RemoteClient

    client = RemoteClient(unix_address(socket), read_only=context.settings.config.read_only, seams=context.seams)
    try:
        client.start()
    except CkptError as error:
        # One that was killed, or is of another version: a console of its own sees all that is in the repository.
        level = logging.INFO if isinstance(error, EngineUnreachableError) else logging.WARNING
        _LOG.log(level, "the engine at %s is not attached to: %s", socket, error.message)
        client.close(_GIVEN_UP_S)
        return None
    return client


def _headless(context: Context) -> int:
    from maos_ckpt.api.doors import Doors
    from maos_ckpt.headless import run

    workspace = context.workspace
    workspace.refuse_if_read_only("the engine")
    client = _client(context)
    doors = Doors(workspace.repository, workspace.config.server, workspace.seams, context.path)
    config = workspace.config

    def reload() -> None:
        nonlocal config
        from maos_ckpt.config.reload import reloaded

        taken, changed, waiting = reloaded(config, context.read_settings_again().config)
        doors.reload(taken.server)
        client.reconfigure(taken)
        config = taken
        _LOG.info("read the configuration again: %s", ", ".join(changed) or "nothing changed")
        if waiting:
            _LOG.warning("these change with the next start of the engine: %s", ", ".join(waiting))

    run(client, teller(context), doors=doors, reload=reload)
    return ExitCode.DONE


def _client(context: Context) -> LocalClient:
    from maos_ckpt.local import LocalClient

    context.workspace.unlock_ahead()
    return LocalClient(context.workspace)


def show_console(context: Context, client: EngineClient, settings: Settings, where: Sequence[str] = ()) -> int:
    """Show the console on an engine, which it starts and closes, until its user leaves; `where` are options that mean
    the same engine in another command, by default those that were typed here."""
    from maos_ckpt.headless import CLOSE_S

    context.log_to_file()
    try:
        return context.console.show(client, settings, where or place(context))
    finally:
        # Only after a failure is there still something to close.
        client.close(CLOSE_S)


def _without_screen(context: Context) -> int:
    """No terminal: tell the status, and how to get what was probably wanted."""
    try:
        status(context)
    except CkptError as error:
        context.out.notice(f"status: {error.message}")
    raise _no_screen()


def _no_screen() -> UsageError:
    return UsageError(
        "There is no terminal to show the console on.",
        hint="Run `maos-ckpt --headless` for the engine without a screen, or `maos-ckpt status`.",
    )


def teller(context: Context) -> EventSink:
    """Prints events as lines; an output that nobody reads any more does not stop the engine."""
    lost = False

    def tell(event: Event) -> None:
        nonlocal lost
        if lost:
            return
        try:
            print_event(context, type(event).__name__, event_fields(event))
        except OSError:
            lost = True

    return tell
