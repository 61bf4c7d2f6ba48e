"""How a command reaches a running engine: the client that --connect names, and what it tells while one waits."""

from __future__ import annotations

import contextlib
import logging
import os
import stat
from collections.abc import Iterator

from maos_ckpt.api.address import parse_address
from maos_ckpt.api.remote import RemoteClient
from maos_ckpt.cli.context import Context
from maos_ckpt.client import EngineClient, ProgressSink
from maos_ckpt.errors import InterruptedByUserError, PermissionRefusedError, UsageError
from maos_ckpt.events import ConnectionLost, ConnectionRestored, Event, OperationProgressed
from maos_ckpt.safe_text import safe_text

_LOG = logging.getLogger(__name__)
_TOKEN_BYTES_MAX = 4096
_OTHERS = 0o077
_CLOSE_S = 2.0


def remote_client(context: Context) -> RemoteClient:
    """The client of the engine that --connect names, not started.

    Raises:
        UsageError: no address, or a token file without a token.
        PermissionRefusedError: the token file cannot be read.
    """
    arguments = context.arguments
    address = parse_address(arguments.connect, context.cwd)
    token = None if arguments.token_file is None else _token(context)
    return RemoteClient(address, token=token, read_only=context.settings.config.read_only, seams=context.seams)


def _token(context: Context) -> str:
    path = context.path(context.arguments.token_file)
    try:
        with path.open("rb") as file:
            exposed = stat.S_IMODE(os.fstat(file.fileno()).st_mode) & _OTHERS
            text = file.read(_TOKEN_BYTES_MAX + 1).strip()
    except OSError as error:
        raise PermissionRefusedError(
            f"The token file {path} cannot be read: {os.strerror(error.errno or 0)}.", hint="Name another file."
        ) from error
    if not text or len(text) > _TOKEN_BYTES_MAX or not all(0x21 <= byte < 0x7F for byte in text):
        raise UsageError(f"{path} does not hold one token and nothing else.", hint="Write what `token create` printed.")
    if exposed:
        _LOG.warning("%s holds a token, and others may read it: chmod 600", path)
    return text.decode("ascii")


@contextlib.contextmanager
def attached(context: Context) -> Iterator[EngineClient]:
    """The engine that --connect names, connected for the length of the block.

    Raises:
        EngineUnreachableError: it does not answer.
        InterruptedByUserError: Ctrl-C; the engine goes on.
    """
    context.stop_on_signals()
    client = remote_client(context)
    try:
        client.start()
        yield client
    except KeyboardInterrupt as error:
        raise InterruptedByUserError(
            "Interrupted.", kept="The engine finishes what it was asked.", hint="`maos-ckpt events` tells of it."
        ) from error
    finally:
        client.close(_CLOSE_S)


@contextlib.contextmanager
def progress_shown(context: Context, client: EngineClient) -> Iterator[None]:
    """While one waits: the engine's progress, and whether it is still to be reached."""
    with context.progress() as line, hearing(context, client, line):
        yield


@contextlib.contextmanager
def hearing(context: Context, client: EngineClient, progress: ProgressSink) -> Iterator[None]:
    """Hand the engine's progress on; a lost connection is told as a notice."""

    def hear(event: Event) -> None:
        if isinstance(event, OperationProgressed):
            progress(event.progress)
        elif isinstance(event, ConnectionLost):
            context.out.notice(f"The connection is lost, and tried again: {safe_text(event.reason)}")
        elif isinstance(event, ConnectionRestored):
            context.out.notice("The engine answers again.")

    leave = client.subscribe(hear)
    try:
        yield
    finally:
        leave()
