"""Calls that go on when whoever made them is gone, and whose answers wait for them to come back.

A call is made under a key that its maker drew at random. Asking again with the same key joins the call, whether it
still runs or is done: so a request never lasts longer than `WAIT_S`, and a connection that breaks costs nothing.
"""

from __future__ import annotations

import asyncio
import contextvars
import hashlib
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from maos_ckpt.errors import CkptError, ConflictError
from maos_ckpt.seams import SYSTEM, Seams

_LOG = logging.getLogger(__name__)
#: Calls that run or wait for their turn; an engine's three lanes take 51 together.
RUNNING_MAX = 64
#: How long a request waits for its call's end before it says that it goes on.
WAIT_S = 10.0
#: An answer is kept for as long as a connection may take to heal …
KEPT_S = 600.0
#: … and no more than so many, and so many bytes.
KEPT_MAX = 128
KEPT_BYTES_MAX = 64 << 20
#: Keys are remembered as long, whether their answers still are or not.
KEYS_MAX = 10_000


@dataclass(slots=True)
class _Call:
    request: bytes
    future: Future[bytes]
    done_s: float | None = None
    size: int = 0


class OngoingCalls:
    """The calls of one engine, by key. Thread-safe; `RUNNING_MAX` at a time, each in a thread of its own."""

    def __init__(self, seams: Seams = SYSTEM) -> None:
        self._clock = seams.clock
        self._lock = threading.Lock()
        self._calls: OrderedDict[str, _Call] = OrderedDict()

    async def join(self, key: str, request: bytes, work: Callable[[], bytes]) -> bytes | None:
        """The answer of the call that bears `key`, which is begun where there is none; None while it goes on.

        Args:
            request: what is asked for: a key stands for one request.

        Raises:
            CkptError: the call's own.
            ConflictError: the key stands for another request, or too many run.
        """
        call = self._find_or_begin(key, hashlib.sha256(request).digest(), work)
        waited = asyncio.wrap_future(call.future)
        # Whoever asks next is told the error, too; that nobody may be left is no fault.
        waited.add_done_callback(lambda one: one.cancelled() or one.exception())
        done, _ = await asyncio.wait({waited}, timeout=WAIT_S)
        return waited.result() if done else None

    def knows(self, key: str) -> bool:
        """Whether the call of this key runs, or its answer is kept."""
        with self._lock:
            return key in self._calls

    @property
    def running(self) -> int:
        """Calls that run or wait for their turn."""
        with self._lock:
            return self._running()

    def _running(self) -> int:
        return sum(one.done_s is None for one in self._calls.values())

    def _find_or_begin(self, key: str, request: bytes, work: Callable[[], bytes]) -> _Call:
        with self._lock:
            self._forget_old()
            call = self._calls.get(key)
            if call is not None:
                if call.request != request:
                    raise ConflictError(
                        "This key stands for another request.", kept="Nothing was changed.", hint="Draw a new key."
                    )
                return call
            if self._running() >= RUNNING_MAX:
                raise ConflictError(
                    f"{RUNNING_MAX} calls are under way already.",
                    kept="Nothing was changed.",
                    hint="Try again when some of them are done.",
                )
            call = self._calls[key] = _Call(request, Future())
            call.future.set_running_or_notify_cancel()
        # A thread that nobody waits for at the end: the engine's own closing says how long that may take. It takes the
        # context along, which tells the audit log whom it works for.
        run = contextvars.copy_context().run
        threading.Thread(target=run, args=(self._run, work, call), name="call", daemon=True).start()
        return call

    def _run(self, work: Callable[[], bytes], call: _Call) -> None:
        size = 0
        try:
            answer = work()
        except CkptError as error:
            call.future.set_exception(error)
        except BaseException as error:  # noqa: BLE001 - handed to whoever asked, who must not wait for ever
            _LOG.exception("a call failed unexpectedly")
            call.future.set_exception(error)
        else:
            size = len(answer)
            call.future.set_result(answer)
        with self._lock:
            call.done_s, call.size = self._clock.monotonic_s(), size

    def _forget_old(self) -> None:
        """Forget answers, the oldest call's first, that are too many, and calls that nobody comes back for any more.

        A key outlives its answer: what it stands for must not be done again.
        """
        now_s = self._clock.monotonic_s()
        for key, call in list(self._calls.items()):
            if call.done_s is not None and (now_s - call.done_s > KEPT_S or len(self._calls) >= KEYS_MAX):
                del self._calls[key]
        answered = [call for call in self._calls.values() if call.size]
        bytes_kept = sum(call.size for call in answered)
        for number, call in enumerate(answered):
            if len(answered) - number > KEPT_MAX or bytes_kept > KEPT_BYTES_MAX:
                bytes_kept -= call.size
                call.size, call.future = 0, Future()
                call.future.set_exception(_forgotten())


def _forgotten() -> ConflictError:
    return ConflictError(
        "This has been done, and its answer is not kept any more.",
        kept="What was done stays done.",
        hint="`maos-ckpt events` tells what came of it.",
    )
