"""Serves an ASGI application at sockets, from a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from maos_ckpt.api.listeners import BACKLOG, Listener
from maos_ckpt.api.protocol import HEAD_BYTES_MAX, IDLE_S, DoorProtocol
from maos_ckpt.errors import CkptError

_LOG = logging.getLogger(__name__)
_START_S = 10.0
#: How long requests that are under way may go on when the server ends.
GRACE_S = 3
_HANDSHAKE_S_MAX = 5.0


class _Uvicorn(uvicorn.Server):
    """uvicorn on listeners of our own, each with its own TLS, and without a hand on the process's signals."""

    def __init__(self, config: uvicorn.Config, listeners: Sequence[Listener], started: threading.Event) -> None:
        super().__init__(config)
        self._listeners = listeners
        self._told = started

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The engine's signals are the engine's."""
        yield

    async def startup(self, sockets: Any = None) -> None:
        """Listen."""
        await self.lifespan.startup()
        loop = asyncio.get_running_loop()
        self.servers = []
        for one in self._listeners:
            timeout_s = _HANDSHAKE_S_MAX if one.tls else None
            self.servers.append(
                await loop.create_server(
                    self._connection, sock=one.socket, ssl=one.tls, backlog=BACKLOG, ssl_handshake_timeout=timeout_s
                )
            )
        self.started = True
        self._told.set()

    def _connection(self) -> asyncio.Protocol:
        return DoorProtocol(self.config, self.server_state, self.lifespan.state)


class Server:
    """An application at its listeners, which it closes in the end."""

    def __init__(self, app: ASGIApp, listeners: Sequence[Listener]) -> None:
        self._listeners = listeners
        self._started = threading.Event()
        config = uvicorn.Config(
            app,
            http=DoorProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            # What goes wrong is told by `Problems`, in this program's own words.
            log_level=logging.CRITICAL,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=IDLE_S,
            timeout_graceful_shutdown=GRACE_S,
            h11_max_incomplete_event_size=HEAD_BYTES_MAX,
        )
        self._uvicorn = _Uvicorn(config, listeners, self._started)
        self._thread = threading.Thread(target=self._run, name="api", daemon=True)
        self._failure: BaseException | None = None

    @property
    def alive(self) -> bool:
        """Whether it serves."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Serve; returns when requests are taken.

        Raises:
            CkptError: the server did not come up.
        """
        self._thread.start()
        if not self._started.wait(_START_S) or self._failure is not None:
            raise CkptError(
                "The API cannot be served.", kept="The engine's checkpoints are untouched."
            ) from self._failure

    def close(self, timeout_s: float = GRACE_S + 2.0) -> bool:
        """Take no more requests, let those under way end, and close the listeners. False where `timeout_s` passed."""
        self._uvicorn.should_exit = True
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        for one in self._listeners:
            one.close()
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._uvicorn.run()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a thread's end must be told of, whatever it was
            self._failure = error
            _LOG.exception("the API's server ended")
            self._started.set()
