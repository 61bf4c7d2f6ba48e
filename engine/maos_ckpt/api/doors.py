"""The doors of one engine: its Unix socket always, TCP where it was asked for, and the API behind them."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from maos_ckpt.api.application import PREFIX, application
from maos_ckpt.api.guard import Guard
from maos_ckpt.api.listeners import Listener, unix_listener
from maos_ckpt.api.places import Listening, remove_note, socket_path, write_note
from maos_ckpt.api.serving import Server
from maos_ckpt.client import EngineClient

_LOG = logging.getLogger(__name__)


class Doors:
    """Open from `open` to `close`."""

    def __init__(self, repository: Path) -> None:
        self._repository = repository
        self._server: Server | None = None

    def open(self, client: EngineClient) -> None:
        """Serve a client that has been started and is the engine of the repository.

        Raises:
            CkptError: a socket cannot be made.
        """
        unix = unix_listener(socket_path(self._repository), directory_is_ours=True)
        listeners: list[Listener] = [unix]
        server = Server(application(client, guard=Guard(), prefix=PREFIX), listeners)
        server.start()
        self._server = server
        addresses = tuple(one.address for one in listeners)
        write_note(self._repository, Listening(os.getpid(), str(unix.path), addresses))
        _LOG.info("listening at %s", ", ".join(addresses))

    def close(self) -> None:
        """Take no more requests; safe to call twice."""
        server, self._server = self._server, None
        if server is not None:
            remove_note(self._repository)
            if not server.close():
                _LOG.warning("requests were still under way when the engine ended")
