"""`EngineClient` over HTTP: an engine in another process, on this machine or behind a forwarded socket or TLS.

One thread with an event loop of its own holds all connections; the methods block, and may be called from any thread.
Calls that the engine has begun go on there whatever becomes of this client.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar

import msgspec

from maos_ckpt.api.address import Address
from maos_ckpt.api.asking import Asking
from maos_ckpt.api.connection import BrokenError, Connection
from maos_ckpt.api.following import Following
from maos_ckpt.api.methods import METHODS, encode_arguments, result_decoder
from maos_ckpt.api.names import CLIENT
from maos_ckpt.api.remote_calls import RemoteCalls
from maos_ckpt.client import EventSink
from maos_ckpt.engine.feed import Feed
from maos_ckpt.errors import CkptError, InterruptedByUserError, UnavailableError, read_only_refusal
from maos_ckpt.model.access import Scope
from maos_ckpt.seams import SYSTEM, Seams

T = TypeVar("T")
#: A last word to an engine that may not hear it.
_FAREWELL_S = 0.5
_END_S = 5.0
#: How often an engine that was asked to end is looked for.
_GONE_POLL_S = 0.1
_NAME_BYTES = 12
_STOP = "/calls/stop_engine"
#: A call that was made while the loop ended is never answered: so often it is looked whether that is so.
_LOOK_S = 1.0


class RemoteClient(RemoteCalls):
    """See `EngineClient`; `start` connects, `close` disconnects and leaves the engine running.

    Args:
        token: for TCP; a Unix socket needs none.
        read_only: refuse here already what would change something.
    """

    shared = True

    def __init__(
        self, address: Address, *, token: str | None = None, read_only: bool = False, seams: Seams = SYSTEM
    ) -> None:
        self.address = address
        self._read_only = read_only
        self._seams = seams
        self._feed = Feed()
        self._lock = threading.Lock()
        #: Apart from the other: a start that hangs must not hold up the end.
        self._starting = threading.Lock()
        self._closed = False
        self._started = False
        self._held = False
        self._leaving = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="remote", daemon=True)
        self._thread.start()
        self._connection = Connection(address, token, {CLIENT: seams.random.token(_NAME_BYTES).hex()})
        self._following = Following(self._connection, self._feed.publish, seams.clock)
        self._asking = Asking(self._connection, self._following.try_now, seams)
        self._follow: asyncio.Task[None] | None = None

    # Its own connection

    def start(self) -> None:
        """Connect and follow the events; raises where the engine does not answer or lets nobody in."""
        with self._starting:
            if not self._started:
                self._wait(self._connect())
                self._started = True

    async def _connect(self) -> None:
        first = asyncio.get_running_loop().create_future()
        self._follow = asyncio.create_task(self._following.follow(first))
        try:
            await first
        except BaseException:
            self._follow.cancel()
            raise

    def close(self, timeout_s: float) -> bool:
        """Disconnect. The engine goes on, and finishes what this client asked of it."""
        with self._lock:
            if self._closed:
                return True
            self._closed = True
        self._loop.call_soon_threadsafe(self._leaving.set)
        self._thread.join(min(timeout_s, _END_S))
        self._feed.close()
        return True

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._live())
        finally:
            self._loop.close()

    async def _live(self) -> None:
        """Until `close`: everything else runs beside this, and is ended by it."""
        await self._leaving.wait()
        await _end_others()
        if self._held and self._following.up:
            # Nothing is on this screen any more; the engine forgets by itself where it does not hear of it.
            with contextlib.suppress(TimeoutError, BrokenError, CkptError):
                async with asyncio.timeout(_FAREWELL_S):
                    await self._asking.ask(METHODS["hold"], encode_arguments("hold", names=frozenset()))
        await self._connection.close()
        # Calls that were made meanwhile.
        await _end_others()

    def subscribe(self, sink: EventSink) -> Callable[[], None]:
        """See `EngineClient.subscribe`; also gets `ConnectionLost` and `ConnectionRestored`."""
        return self._feed.subscribe(sink)

    def stop_engine(self, timeout_s: float) -> bool:
        """See `EngineClient.stop_engine`; it has ended where it does not answer any more, and finishes what runs."""
        self._refuse_if_read_only("stop_engine")
        deadline_s = self._seams.clock.monotonic_s() + timeout_s
        self._wait(self._ask_to_stop())
        while self._seams.clock.monotonic_s() < deadline_s:
            if not self._wait(self._answers()):
                return self.close(_END_S)
            self._seams.clock.sleep(_GONE_POLL_S)
        return False

    async def _ask_to_stop(self) -> None:
        # A connection that had been kept open may have been closed just then. To be asked twice does no harm.
        with contextlib.suppress(BrokenError):
            await self._connection.post(_STOP, b"", {})
            return
        try:
            await self._connection.post(_STOP, b"", {})
        except BrokenError as broken:
            raise broken.error from broken

    async def _answers(self) -> bool:
        try:
            await self._asking.ask(METHODS["status"], encode_arguments("status"))
        except CkptError:
            return False
        return True

    # Calls

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        if self._closed:
            work.close()
            raise _disconnected()
        try:
            future: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError:
            # Closed in this very moment.
            work.close()
            raise _disconnected() from None
        while True:
            try:
                return future.result(_LOOK_S)
            except CancelledError:
                raise _disconnected() from None
            except TimeoutError:
                if future.done() or not self._thread.is_alive():
                    raise _disconnected() from None
            except BaseException:
                future.cancel()
                raise

    def _refuse_if_read_only(self, name: str) -> None:
        if self._read_only:
            raise read_only_refusal(name.replace("_", " "))

    def _ask(self, name: str, /, **arguments: object) -> Any:
        method = METHODS[name]
        if method.scope is not Scope.READ:
            self._refuse_if_read_only(name)
        self._held |= name == "hold"
        answer = self._wait(self._asking.ask(method, encode_arguments(name, **arguments)))
        try:
            return result_decoder(name).decode(answer)
        except (msgspec.DecodeError, RecursionError) as error:
            raise UnavailableError(
                f"The engine's answer to {name} cannot be read.",
                kept="What it did is done.",
                hint="Use the same version of maos-ckpt on both sides.",
            ) from error


async def _end_others() -> None:
    await asyncio.sleep(0)
    tasks = [one for one in asyncio.all_tasks() if one is not asyncio.current_task()]
    for one in tasks:
        one.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _disconnected() -> InterruptedByUserError:
    return InterruptedByUserError(
        "The connection to the engine was closed.", kept="The engine finishes what it was asked.", hint="Connect again."
    )
