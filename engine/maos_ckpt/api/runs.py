"""What was begun by a request and goes on without it: one run for each call that changes something or takes long.

A run has a thread of its own, so neither a client that goes away nor a server that cancels its requests stops it
half-way. A request waits for its run; where that takes longer than it wants to wait, it is answered with 202 and the
place to ask at. A request that repeats an `Idempotency-Key` gets the run that the first one began, or its answer.

Runs are kept in memory. A run that failed is not kept for its key: asking again is a new try, and none of the calls
does half of its work and then fails.
"""

from __future__ import annotations

import asyncio
import contextvars
import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from typing import Any

from maos_ckpt.api.problems import HttpProblem
from maos_ckpt.errors import CkptError, NotFoundError, UnavailableError, UsageError
from maos_ckpt.seams import SYSTEM, Seams

#: Runs at a time.
RUNS_MAX = 32
#: Ended runs that can be asked about, for how long, and how many bytes of answers they hold.
ENDED_MAX = 1000
ENDED_S_MAX = 24 * 3600.0
ENDED_BYTES_MAX = 64 << 20
_TOKEN_BYTES = 8
_RETRY_AFTER_S = 5


class RunState(StrEnum):
    """How a run stands."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Reply:
    """What a run gives: status, headers and JSON body of the answer."""

    status: HTTPStatus
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Run:
    """One run. `key` and `fingerprint` are those of the request that began it, "" without an idempotency key."""

    id: str
    operation: str
    who: str
    started_at_ms: int
    key: str = ""
    fingerprint: str = ""
    ended_at_ms: int | None = None
    future: Future[Reply] = field(default_factory=Future)

    @property
    def state(self) -> RunState:
        """How it stands."""
        if not self.future.done():
            return RunState.RUNNING
        return RunState.FAILED if self.future.exception() else RunState.SUCCEEDED


class Runs:
    """All runs of one application. Thread-safe."""

    def __init__(self, seams: Seams = SYSTEM) -> None:
        self._seams = seams
        self._lock = threading.Lock()
        self._runs: OrderedDict[str, Run] = OrderedDict()
        self._keys: dict[tuple[str, str], Run] = {}

    def begin(
        self, operation: str, who: str, call: Callable[[], Reply], *, key: str = "", fingerprint: str = ""
    ) -> tuple[Run, bool]:
        """Begin a run, or find the one that `key` began for `who`; and whether it was found.

        Raises:
            UsageError: the key was used for another request.
            HttpProblem: 503, as many run as may.
        """
        with self._lock:
            self._forget()
            known = self._keys.get((who, key)) if key else None
            if known is not None and known.state is not RunState.FAILED:
                if known.fingerprint != fingerprint:
                    raise UsageError(
                        "This Idempotency-Key was used for another request.",
                        kept="Nothing was changed.",
                        hint="Take a new key for a new request.",
                    )
                return known, True
            if sum(one.state is RunState.RUNNING for one in self._runs.values()) >= RUNS_MAX:
                raise _busy()
            identity = f"op_{self._seams.random.token(_TOKEN_BYTES).hex()}"
            run = Run(identity, operation, who, self._seams.clock.now_ms(), key, fingerprint)
            self._runs[run.id] = run
            if key:
                self._keys[who, key] = run
        # Who asked is known by the context, which a thread does not take along by itself.
        asked_in = contextvars.copy_context()
        threading.Thread(
            target=asked_in.run, args=(self._carry_out, run, call), name=f"api {operation}", daemon=True
        ).start()
        return run, False

    def _carry_out(self, run: Run, call: Callable[[], Reply]) -> None:
        try:
            reply = call()
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits, who must not wait for ever
            run.ended_at_ms = self._seams.clock.now_ms()
            run.future.set_exception(error)
        else:
            run.ended_at_ms = self._seams.clock.now_ms()
            run.future.set_result(reply)

    def find(self, identity: str) -> Run:
        """A run by its id.

        Raises:
            NotFoundError: there is none, or it ended long ago.
        """
        with self._lock:
            run = self._runs.get(identity)
        if run is None:
            raise NotFoundError(
                "There is no operation of this id, or it ended long ago.", hint="GET operations lists those known."
            )
        return run

    def newest_first(self) -> list[Run]:
        """All that are known."""
        with self._lock:
            return list(reversed(self._runs.values()))

    def _forget(self) -> None:
        """Drop ended runs, the oldest first, that are too many, too old or too large."""
        ended = [one for one in self._runs.values() if one.state is not RunState.RUNNING]
        size = sum(_size(one) for one in ended)
        oldest_ms = self._seams.clock.now_ms() - int(ENDED_S_MAX * 1000)
        for count, one in enumerate(ended):
            old = one.ended_at_ms is not None and one.ended_at_ms < oldest_ms
            if not old and len(ended) - count <= ENDED_MAX and size <= ENDED_BYTES_MAX:
                return
            size -= _size(one)
            del self._runs[one.id]
            if self._keys.get((one.who, one.key)) is one:
                del self._keys[one.who, one.key]


def _size(run: Run) -> int:
    return len(run.future.result().body) if run.state is RunState.SUCCEEDED else 0


def _busy() -> HttpProblem:
    error = UnavailableError(
        f"{RUNS_MAX} operations are under way, and no more are taken.",
        kept="Nothing was begun.",
        hint="Try again when one of them has ended.",
    )
    return HttpProblem(HTTPStatus.SERVICE_UNAVAILABLE, error, {"retry-after": str(_RETRY_AFTER_S)})


async def reply_of(run: Run, wait_s: float) -> Reply | None:
    """A run's reply; None where `wait_s` passed first, and the run goes on.

    Raises:
        CkptError: whatever the run raised.
    """
    waiting = asyncio.wrap_future(run.future)
    # Where nobody waits any more, its failure is nobody's.
    waiting.add_done_callback(lambda one: one.cancelled() or one.exception())
    done, _ = await asyncio.wait({waiting}, timeout=wait_s)
    return waiting.result() if done else None


def fingerprint(method: str, path: str, body: bytes) -> str:
    """What makes two requests the same one."""
    return hashlib.sha256(f"{method} {path}\n".encode() + body).hexdigest()


def failure_of(run: Run) -> CkptError | None:
    """Why a run failed, for those who ask later; None where it did not."""
    if run.state is not RunState.FAILED:
        return None
    error: Any = run.future.exception()
    if isinstance(error, HttpProblem):
        return error.error
    return error if isinstance(error, CkptError) else CkptError("Something unexpected went wrong.")
