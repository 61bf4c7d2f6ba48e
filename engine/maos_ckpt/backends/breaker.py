"""A circuit breaker: after some failures in a row calls are refused at once, until a single trial call succeeds.

It keeps a storage that is down from costing every caller a time-out, and one that comes back from being stormed.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from maos_ckpt.backends.base import UnsupportedRequestError
from maos_ckpt.errors import CkptError, PermissionRefusedError, StorageError
from maos_ckpt.fs import is_local
from maos_ckpt.seams import Seams

#: Failures in a row that open the circuit.
FAILURES_MAX = 5
#: First pause before a trial call; each trial that fails doubles it, up to the longest.
PAUSE_S = 5.0
PAUSE_S_MAX = 60.0


class CircuitState(StrEnum):
    """`CLOSED`: calls pass. `OPEN`: they are refused. `HALF_OPEN`: one trial call is under way."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class CircuitSnapshot:
    """What a breaker shows of itself; times in milliseconds since 1970-01-01 UTC.

    `failures` are those in a row so far, `next_try_ms` when an open circuit lets a trial through, `reason` the message
    of the last failure.
    """

    state: CircuitState
    since_ms: int
    failures: int
    next_try_ms: int | None
    reason: str


class CircuitOpenError(StorageError):
    """The call was not made: the storage failed repeatedly, and its next trial is not due yet."""


class CircuitBreaker:
    """Counts failures of one storage over all threads that use it. Thread-safe."""

    def __init__(self, seams: Seams, *, failures_max: int = FAILURES_MAX, pause_s: float = PAUSE_S) -> None:
        self._clock = seams.clock
        self._failures_max = failures_max
        self._pause_first_s = pause_s
        self._lock = threading.Lock()
        self._state = CircuitState.CLOSED
        self._since_ms = self._clock.now_ms()
        self._failures = 0
        self._pause_s = pause_s
        self._next_try_s = 0.0
        self._reason = ""

    def snapshot(self) -> CircuitSnapshot:
        """The state now."""
        with self._lock:
            due_ms = None
            if self._state is CircuitState.OPEN:
                left_s = max(0.0, self._next_try_s - self._clock.monotonic_s())
                due_ms = self._clock.now_ms() + round(left_s * 1000)
            return CircuitSnapshot(self._state, self._since_ms, self._failures, due_ms, self._reason)

    @contextmanager
    def call(self) -> Iterator[None]:
        """Run the block as one call to the storage, and learn from how it ends.

        `StorageError` and `PermissionRefusedError` are failures; every other `CkptError` is an answer of a storage
        that works, and so is that it does not know a request. What is no `CkptError` (an interrupt, an error in this
        program) says nothing about the storage, nor does a file of this machine that cannot be read for it.

        Raises:
            CircuitOpenError: the block was not run.
        """
        trial = self._admit()
        try:
            yield
        except UnsupportedRequestError:
            self._succeeded(trial)
            raise
        except (StorageError, PermissionRefusedError) as error:
            if is_local(error):
                self._unknown(trial)
            else:
                self._failed(trial, error.message)
            raise
        except CkptError:
            self._succeeded(trial)
            raise
        except BaseException:
            self._unknown(trial)
            raise
        self._succeeded(trial)

    def _admit(self) -> bool:
        """Whether the call let through is a trial."""
        with self._lock:
            if self._state is CircuitState.CLOSED:
                return False
            left_s = self._next_try_s - self._clock.monotonic_s()
            if self._state is CircuitState.OPEN and left_s <= 0:
                self._enter(CircuitState.HALF_OPEN)
                return True
            raise CircuitOpenError(
                f"{self._reason} It is left alone after {self._failures} failures in a row.",
                kept="Every checkpoint committed before is untouched.",
                hint=f"The next request is let through in {max(0.0, left_s):.0f} s.",
                state=self._state.value,
                reason=self._reason,
            )

    def _failed(self, trial: bool, reason: str) -> None:
        with self._lock:
            if not trial and self._state is not CircuitState.CLOSED:
                return  # a call from before the circuit opened adds nothing that is not known
            self._failures += 1
            self._reason = reason
            if trial:
                self._pause_s = min(PAUSE_S_MAX, self._pause_s * 2)
            elif self._failures < self._failures_max:
                return
            self._next_try_s = self._clock.monotonic_s() + self._pause_s
            self._enter(CircuitState.OPEN)

    def _succeeded(self, trial: bool) -> None:
        with self._lock:
            if not trial and self._state is not CircuitState.CLOSED:
                return
            self._failures = 0
            self._reason = ""
            self._pause_s = self._pause_first_s
            if trial:
                self._enter(CircuitState.CLOSED)

    def _unknown(self, trial: bool) -> None:
        if trial:
            with self._lock:
                # Due at once: the trial is still owed.
                self._enter(CircuitState.OPEN)

    def _enter(self, state: CircuitState) -> None:
        self._state = state
        self._since_ms = self._clock.now_ms()
