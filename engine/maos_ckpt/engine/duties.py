"""What the one engine of a repository does by itself: saves on schedule, replication, a look at all stored objects in
turn, drills, denser packs between two saves, and hooks. An observer has no duties."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Any

from maos_ckpt.drill.reports import Reports
from maos_ckpt.engine.idle import IdleTime
from maos_ckpt.engine.lane import Lane
from maos_ckpt.engine.outgoing import Outgoing
from maos_ckpt.engine.rehearsals import Rehearsals
from maos_ckpt.engine.replicator import Replicator
from maos_ckpt.engine.scrubber import Scrubber
from maos_ckpt.errors import CkptError, LeaseHeldError
from maos_ckpt.events import Event, OperationProgressed
from maos_ckpt.model import CompactResult, Trigger
from maos_ckpt.operations.drills import LATEST, SCHEDULE, schedule_of
from maos_ckpt.operations.registry import CompactArguments, DrillArguments, SaveArguments, ScrubArguments
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.scheduler import Scheduler

#: How long the end of an engine waits for the object that is being sent to the remote copy.
REPLICATOR_END_S = 5.0
REASON_BUSY = "the repository was in use"

#: Carries out an operation (name, arguments) in a worker process for a lane; called in that lane.
CarryOut = Callable[[str, object, Lane], Any]


class Duties:
    """The duties of one engine, from `start` to `stop` and `close`.

    Args:
        age_s: age of the newest checkpoint in seconds, or None.
        record: told of what happened.
        missed: told of how many scheduled saves were left out, and why.

    Raises:
        CkptError: the repository that replication needs for itself cannot be opened.
    """

    def __init__(
        self,
        workspace: Workspace,
        age_s: float | None,
        writers: Lane,
        readers: Lane,
        drills: Lane,
        *,
        carry_out: CarryOut,
        record: Callable[[Event], None],
        missed: Callable[[int, str], None],
    ) -> None:
        seams, config = workspace.seams, workspace.config
        self._clock = seams.clock
        self._keep_last = config.max_checkpoints
        self._writers = writers
        self._readers = readers
        self._drills = drills
        self._drill = DrillArguments(LATEST, config.drill.scenarios, SCHEDULE)
        self._carry_out = carry_out
        self._missed = missed
        self._ending = threading.Event()
        self._idle = IdleTime(self._compact)
        self._scheduler = Scheduler(
            seams, config.interval_seconds, run=self._save, busy=lambda: writers.busy, missed=missed, age_s=age_s
        )
        self._scrubber = Scrubber(seams, idle=self._is_idle, run=self._scrub) if config.scrub_days else None
        self._rehearsals: Rehearsals | None = None
        if config.drill.interval_hours:
            reports, schedule = Reports(workspace.repository, seams), schedule_of(config)
            self._rehearsals = Rehearsals(
                seams, lambda: reports.status(schedule), idle=self._is_idle, run=self._rehearse
            )
        self._outgoing = Outgoing(workspace)
        self._replicator: Replicator | None = None
        if workspace.remote is not None:
            storage = workspace.config.storage
            whole_bytes_max = storage.local.max_size_bytes if storage.primary == "local" else None
            self._replicator = Replicator(workspace.open_repository(), seams, record, whole_bytes_max)

    def start(self) -> None:
        """Begin."""
        if self._replicator is not None:
            self._replicator.start()
        self._outgoing.start()
        self._scheduler.start()

    def look(self) -> None:
        """Begin what is due beside the schedule; to be called every now and then."""
        if self._scrubber is not None:
            self._scrubber.look()
        if self._rehearsals is not None:
            self._rehearsals.look()

    def replicate(self) -> None:
        """Something was committed, marked or removed."""
        if self._replicator is not None:
            self._replicator.wake()

    def tell(self, event: Event) -> None:
        """Something happened, progress included."""
        self._outgoing.tell(event)
        if not isinstance(event, OperationProgressed):
            self._outgoing.wake()

    def next_run_at_ms(self) -> int | None:
        """Wall time of the next scheduled save; None after `stop`."""
        return self._scheduler.next_run_at_ms()

    @property
    def compacting(self) -> bool:
        """Whether the writers' lane is busy with nothing that must be finished."""
        return self._idle.running

    def stop(self) -> None:
        """End the schedule; what runs goes on."""
        self._ending.set()
        self._scheduler.stop()

    def close(self) -> None:
        """End replication, for which the rest waits in the home: a transfer that hangs must not hold up the end."""
        if self._replicator is not None:
            self._replicator.close(REPLICATOR_END_S)

    def close_hooks(self) -> None:
        """End the hooks, after all that is to be told was written; what is not sent is sent next time."""
        self._outgoing.close()

    def _is_idle(self) -> bool:
        return not any(lane.busy for lane in (self._writers, self._readers, self._drills))

    def _scrub(self) -> None:
        with contextlib.suppress(CkptError):
            self._readers.submit("scrub", lambda: self._carry_out("scrub", ScrubArguments(), self._readers))

    def _rehearse(self) -> None:
        with contextlib.suppress(CkptError):
            self._drills.submit("drill", lambda: self._carry_out("drill", self._drill, self._drills))

    def _save(self) -> None:
        arguments = SaveArguments(Trigger.SCHEDULE, keep_last=self._keep_last)

        def save() -> Any:
            try:
                checkpoint = self._carry_out("save", arguments, self._writers)
            except LeaseHeldError:
                self._missed(1, REASON_BUSY)
                raise
            self._use_idle_time()
            return checkpoint

        with contextlib.suppress(CkptError):
            self._writers.submit("save", save)

    def _use_idle_time(self) -> None:
        next_ms = self._scheduler.next_run_at_ms()
        if next_ms is not None and not self._writers.waiting and not self._ending.is_set():
            self._idle.use((next_ms - self._clock.now_ms()) / 1000)

    def _compact(self, slice_s: float) -> CompactResult:
        result: CompactResult = self._carry_out("compact", CompactArguments(slice_s), self._writers)
        return result
