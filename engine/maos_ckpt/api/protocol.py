"""One connection: uvicorn's HTTP/1.1 protocol with the bounds that it leaves open, and with who is at the other end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from http import HTTPStatus

import h11
import msgspec
from starlette.types import Message, Receive, Send
from starlette.types import Scope as AsgiScope
from uvicorn.protocols.http.flow_control import CLOSE_HEADER
from uvicorn.protocols.http.h11_impl import H11Protocol

from maos_ckpt.api.guard import PEER, Peer
from maos_ckpt.api.problems import ENDLESS, MEDIA_TYPE, problem_fields
from maos_ckpt.errors import CkptError, UnavailableError, UsageError

#: A request line with all its headers: this many bytes, within this time.
HEAD_BYTES_MAX = 32_768
HEAD_S_MAX = 10.0
#: A connection on which nothing more is asked is closed after this long.
IDLE_S = 30
#: A client that does not read what it asked for is let go after this long.
STALLED_S_MAX = 30.0
#: Connections over Unix sockets, enough for fifty consoles with the idle ones that each keeps …
LOCAL_CONNECTIONS_MAX = 400
#: … and over TCP, counted apart: strangers must not keep the engine's own user out.
TCP_CONNECTIONS_MAX = 256
#: What arrives of a body that nobody wants is thrown away for this long, so that the answer is read before.
LINGER_S = 2.0
#: Linux: struct ucred, three integers.
_UCRED = struct.Struct("3i")


class DoorProtocol(H11Protocol):
    """See the module. Timers: one for the head of a request, one for a client that does not read."""

    _late: asyncio.TimerHandle | None = None
    _lingering = False
    _local = False
    _answering: asyncio.Task[None] | None = None
    _stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Find out who it is, and expect a request."""
        super().connection_made(transport)
        peer, app = _peer_of(transport), self.app
        self._local = peer.uid is not None

        async def with_peer(scope: AsgiScope, receive: Receive, send: Send) -> None:
            scope[PEER] = peer
            self._answering = asyncio.current_task()
            await app(scope, receive, self._closing_after_an_early_answer(receive, send))

        self.app = with_peer
        alike = sum(isinstance(one, DoorProtocol) and one._local == self._local for one in self.connections)
        bound = LOCAL_CONNECTIONS_MAX if self._local else TCP_CONNECTIONS_MAX
        if alike > bound:
            busy = UnavailableError(f"{bound} connections are open, and no more are taken.")
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, busy)
            return
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers."""
        self._no_longer_late()
        self._no_longer_stalled()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """As uvicorn, with a bound on how long a head may take."""
        if self._lingering:
            return
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            self._expect_head()
        else:
            self._no_longer_late()

    def pause_writing(self) -> None:
        """The client does not read: it may take a while, not for ever."""
        super().pause_writing()
        if self._stalled is None:
            self._stalled = self.loop.call_later(STALLED_S_MAX, self.transport.abort)

    def resume_writing(self) -> None:
        """The client reads on."""
        self._no_longer_stalled()
        super().resume_writing()

    def shutdown(self) -> None:
        """The server ends: a stream of events ends now, since it would never do so by itself."""
        super().shutdown()
        if self._answering is not None and self.scope.get(ENDLESS):
            self._answering.cancel()

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP is answered with a problem, as everything else."""
        self._refuse(HTTPStatus.BAD_REQUEST, UsageError("This is not a valid HTTP request.", kept="Nothing was done."))

    def _closing_after_an_early_answer(self, receive: Receive, send: Send) -> Send:
        """Say that the connection closes where the answer comes before the end of the request, and close it late.

        The client must not use the connection again, since what follows on it is the rest of the request; and it
        must be able to read the answer, which is lost where a socket is closed before all was read.
        """
        early = False

        async def sent(message: Message) -> None:
            nonlocal early
            if message["type"] == "http.response.start" and self.conn.their_state is h11.SEND_BODY:
                early = True
                message = {**message, "headers": [*message.get("headers", ()), CLOSE_HEADER]}
            elif early and not message.get("more_body", False):
                await send({**message, "more_body": True})
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LINGER_S):
                        while self.conn.their_state is h11.SEND_BODY:
                            if (await receive())["type"] == "http.disconnect":
                                break
                message = {"type": "http.response.body"}
            await send(message)

        return sent

    def _expect_head(self) -> None:
        if self._late is None and not self.transport.is_closing():
            self._late = self.loop.call_later(HEAD_S_MAX, self._too_late)

    def _no_longer_late(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _no_longer_stalled(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _too_late(self) -> None:
        self._late = None
        late = UsageError(f"The request's headers did not arrive within {HEAD_S_MAX:g} s.", kept="Nothing was done.")
        self._refuse(HTTPStatus.REQUEST_TIMEOUT, late)

    def _refuse(self, status: HTTPStatus, error: CkptError) -> None:
        """Answer without the application, and close."""
        if self.transport.is_closing():
            return
        body = msgspec.json.encode(problem_fields(error, status))
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            headers = [
                ("content-type", MEDIA_TYPE),
                ("content-length", str(len(body))),
                ("connection", "close"),
            ]
            for event in (
                h11.Response(status_code=int(status), headers=headers, reason=status.phrase.encode()),
                h11.Data(data=body),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        self._linger()

    def _linger(self) -> None:
        """Close without losing the answer: a socket that is closed before all was read resets the connection."""
        self._lingering = True
        self._unset_keepalive_if_required()
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self.loop.call_later(LINGER_S, self.transport.abort)
        else:
            self.transport.close()


def _peer_of(transport: asyncio.Transport) -> Peer:
    connection: socket.socket = transport.get_extra_info("socket")
    if connection.family == socket.AF_UNIX:
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        _, uid, _ = _UCRED.unpack(raw)
        return Peer("unix", uid)
    name = transport.get_extra_info("peername")
    return Peer(str(name[0]) if name else "")
