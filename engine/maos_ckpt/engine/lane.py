"""A lane carries out operations one after the other in a thread of its own.

An engine has three: writers (saves, recoveries, prunes, deletions), readers (diffs, plans, verifications) and drills,
so that a long verification never holds up the next scheduled save, and a drill never a plan.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from maos_ckpt.errors import ConflictError, InterruptedByUserError
from maos_ckpt.model import Progress, RunningOperation
from maos_ckpt.seams import Seams

#: Operations that wait behind the running one; more are refused.
OPERATIONS_QUEUED_MAX = 16


@dataclass(frozen=True, slots=True)
class _Job:
    operation: str
    run: Callable[[], Any]
    future: Future[Any]


class Lane:
    """Runs submitted operations in order."""

    def __init__(self, name: str, seams: Seams) -> None:
        self.name = name
        self._seams = seams
        self._jobs: queue.Queue[_Job | None] = queue.Queue(OPERATIONS_QUEUED_MAX)
        self._running: RunningOperation | None = None
        self._closed = threading.Event()
        self._submit = threading.Lock()
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)
        self._thread.start()

    @property
    def running(self) -> RunningOperation | None:
        """What runs now."""
        return self._running

    @property
    def busy(self) -> bool:
        """Whether something runs or waits."""
        return self._running is not None or not self._jobs.empty()

    @property
    def waiting(self) -> bool:
        """Whether something waits behind what runs."""
        return not self._jobs.empty()

    def submit(self, operation: str, run: Callable[[], Any]) -> Future[Any]:
        """Queue an operation.

        Raises:
            ConflictError: too many wait already, or the engine is ending.
        """
        job = _Job(operation, run, Future())
        with self._submit:
            if self._closed.is_set():
                raise ConflictError("The engine is ending.", kept="Nothing was changed.", hint="Start it again.")
            try:
                self._jobs.put_nowait(job)
            except queue.Full:
                raise ConflictError(
                    f"{OPERATIONS_QUEUED_MAX} operations are waiting already.",
                    kept="Nothing was changed.",
                    hint="Try again when some of them are done.",
                ) from None
        return job.future

    def progressed(self, progress: Progress) -> None:
        """Note how far the running operation is; called from inside it."""
        if self._running is not None:
            self._running = RunningOperation(self._running.operation, self._running.started_at_ms, progress)

    def close(self) -> None:
        """Take no more operations and give up those that wait; the running one goes on."""
        with self._submit:
            if self._closed.is_set():
                return
            self._closed.set()
            while True:
                try:
                    job = self._jobs.get_nowait()
                except queue.Empty:
                    break
                if job is not None:
                    job.future.set_exception(
                        InterruptedByUserError("The engine ended before this began.", kept="Nothing was changed.")
                    )
            self._jobs.put_nowait(None)

    def join(self, timeout_s: float) -> bool:
        """Wait for the running operation after `close`; False where `timeout_s` passed first."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _loop(self) -> None:
        while (job := self._jobs.get()) is not None:
            started_ms = self._seams.clock.now_ms()
            self._running = RunningOperation(job.operation, started_ms, Progress(job.operation, "starting"))
            failure: BaseException | None = None
            result: Any = None
            try:
                result = job.run()
            except BaseException as error:  # noqa: BLE001 - handed to the caller, who must not wait for ever
                failure = error
            self._running = None
            if failure is None:
                job.future.set_result(result)
            else:
                job.future.set_exception(failure)
