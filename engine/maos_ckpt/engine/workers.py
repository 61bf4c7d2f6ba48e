"""Lanes of operations, each carried out by a worker process of its own."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from maos_ckpt import wire
from maos_ckpt.audit.actor import acted_for
from maos_ckpt.engine.child import Child
from maos_ckpt.engine.lane import Lane
from maos_ckpt.errors import CkptError
from maos_ckpt.model import Checkpoint, Progress, RecoveryResult, RunningOperation
from maos_ckpt.operations.registry import OPERATIONS
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.recovery.alone import already_running

_LOG = logging.getLogger(__name__)


#: A drill takes minutes; advice reads many checkpoints, and whoever has asked may not wait for it.
_ASIDE = frozenset({"drill", "recommend"})
VERIFY = "verify"


class Workers:
    """The lanes `writers`, `readers` and `drills`. Thread-safe.

    Args:
        progressed: told of every step.
        failed: told of every operation that failed, and when it began; called in its lane, as are the others.
        done: told when one went through.
    """

    def __init__(
        self,
        workspace: Workspace,
        *,
        progressed: Callable[[Progress], None],
        failed: Callable[[str, CkptError, int], None],
        done: Callable[[], object],
    ) -> None:
        self._workspace = workspace
        self._progressed = progressed
        self._failed = failed
        self._done = done
        self.writers = Lane("writers", workspace.seams)
        self.readers = Lane("readers", workspace.seams)
        # What takes long and changes nothing has a lane of its own, so that no plan waits for it.
        self.drills = Lane("drills", workspace.seams)
        self._children: dict[str, Child] = {}
        self._stopping: set[str] = set()
        self._recovering = threading.Lock()

    @property
    def running(self) -> RunningOperation | None:
        """What runs now; where something is written, that."""
        return self.writers.running or self.readers.running or self.drills.running

    def run(self, name: str, arguments: object) -> Any:
        """Carry out a registered operation in its turn; blocks until it is done.

        Raises:
            CkptError: whatever the operation raised.
        """
        operation = OPERATIONS[name]
        lane = self.drills if name in _ASIDE else self.writers if operation.writes else self.readers
        caller = acted_for()
        with self._only_recovery() if operation.cancellable else contextlib.nullcontext():
            return lane.submit(name, lambda: self.carry_out(name, arguments, lane, caller)).result()

    @contextlib.contextmanager
    def _only_recovery(self) -> Iterator[None]:
        """A second recovery is refused rather than queued: what was planned does not hold after the first."""
        if not self._recovering.acquire(blocking=False):
            raise already_running(self._workspace.repository, self._workspace.seams)
        try:
            yield
        finally:
            self._recovering.release()

    def use(self, workspace: Workspace) -> None:
        """Carry out what begins from now on in this workspace, of the same repository and source."""
        self._workspace = workspace

    def cancel_recovery(self) -> bool:
        """See `EngineClient.cancel_recovery`."""
        running, child = self.writers.running, self._children.get(self.writers.name)
        if running is None or child is None or not OPERATIONS[running.operation].cancellable:
            return False
        child.terminate()
        return True

    def cancel_verification(self) -> bool:
        """See `EngineClient.cancel_verification`."""
        running, child = self.readers.running, self._children.get(self.readers.name)
        if running is None or child is None or running.operation != VERIFY:
            return False
        child.terminate()
        return True

    def carry_out(self, name: str, arguments: object, lane: Lane, caller: str = "") -> Any:
        """Carry out a registered operation now, for a caller of the API, in the lane that this is called in; raises as
        `run`."""
        operation = OPERATIONS[name]
        request = wire.Request(name, self._workspace.place, msgspec.Raw(wire.encode(arguments)), caller)

        def progressed(progress: Progress) -> None:
            lane.progressed(progress)
            self._progressed(progress)

        began_ms = self._workspace.now_ms()
        child = self._children[lane.name] = Child(self._workspace.host)
        if lane.name in self._stopping:
            # The lane gave it out when it began to end; there was no child yet that could have been told.
            child.terminate()
        try:
            result = child.run(request, operation.result, progressed)
        except CkptError as error:
            self._failed(name, error, began_ms)
            raise
        finally:
            del self._children[lane.name]
        self._report_slow(name, result)
        self._done()
        return result

    def _report_slow(self, name: str, result: object) -> None:
        performance = self._workspace.config.performance
        if isinstance(result, Checkpoint):
            budget_ms = performance.max_save_time_ms
        elif isinstance(result, RecoveryResult):
            budget_ms = performance.max_recovery_time_ms
        else:
            return
        if result.duration_s * 1000 > budget_ms:
            _LOG.warning("the %s took %.1f s, longer than %.1f s", name, result.duration_s, budget_ms / 1000)

    def close(self, *, writer_stops: bool) -> None:
        """Take no more operations, and ask what reads (with `writer_stops` also what writes) to stop."""
        for lane, stops in ((self.writers, writer_stops), (self.readers, True), (self.drills, True)):
            lane.close()
            if stops:
                self._stopping.add(lane.name)
            child = self._children.get(lane.name)
            if stops and child is not None:
                child.terminate()

    def join(self, timeout_s: float) -> bool:
        """Wait for what runs, after `close`; False where `timeout_s` passed first."""
        clock = self._workspace.seams.clock
        until_s = clock.monotonic_s() + timeout_s
        lanes = (self.writers, self.readers, self.drills)
        return all(lane.join(max(until_s - clock.monotonic_s(), 0.0)) for lane in lanes)
