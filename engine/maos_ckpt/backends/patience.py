"""How long all calls of a piece of work may take together: what must not wait for a storage that hangs has a budget.

A call that is cut short goes on in a thread of its own until its time-outs end it; nobody waits for it any more.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from maos_ckpt.errors import TransientStorageError
from maos_ckpt.seams import Clock

T = TypeVar("T")


class Patience:
    """Bounds the time that calls take together, over all threads, while a limit is set. Thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._budget_s: float | None = None
        self._spent_s = 0.0
        self._waiting = 0
        self._since_s = 0.0

    @contextlib.contextmanager
    def limit(self, budget_s: float) -> Iterator[None]:
        """For the length of the block all calls together take no longer than this; limits are not nested."""
        with self._lock:
            self._budget_s, self._spent_s = budget_s, 0.0
        try:
            yield
        finally:
            with self._lock:
                self._budget_s = None

    def run(self, call: Callable[[], T]) -> T:
        """The result of `call`.

        Raises:
            TransientStorageError: the time is up, now or before the call began.
        """
        left_s = self._begin()
        if left_s is None:
            return call()
        try:
            if left_s <= 0:
                raise _too_slow()
            work = _Work(call)
            work.start()
            work.join(left_s)
            if work.is_alive():
                self._exhaust()
                raise _too_slow()
            return work.result()
        finally:
            self._end()

    def _begin(self) -> float | None:
        with self._lock:
            if self._budget_s is None:
                return None
            now_s = self._clock.monotonic_s()
            if not self._waiting:
                self._since_s = now_s
            self._waiting += 1
            # Calls side by side wait for the same time once.
            return self._budget_s - self._spent_s - (now_s - self._since_s)

    def _end(self) -> None:
        with self._lock:
            self._waiting -= 1
            if not self._waiting:
                self._spent_s += self._clock.monotonic_s() - self._since_s

    def _exhaust(self) -> None:
        with self._lock:
            if self._budget_s is not None:
                self._spent_s = self._budget_s


class _Work(threading.Thread, Generic[T]):
    def __init__(self, call: Callable[[], T]) -> None:
        super().__init__(name="patience", daemon=True)
        self._call = call
        self._results: list[T] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            self._results.append(self._call())
        except BaseException as error:  # noqa: BLE001 - handed to the caller
            self._error = error

    def result(self) -> T:
        """What the call gave; raises what it raised."""
        if self._error is not None:
            raise self._error
        return self._results[0]


def _too_slow() -> TransientStorageError:
    return TransientStorageError(
        "The remote copy does not answer in the time that there is for it.",
        kept="Every checkpoint committed before is untouched.",
        hint="`maos-ckpt doctor` says what the remote copy does.",
    )
