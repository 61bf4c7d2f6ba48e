"""The engine: keeps the schedule of one repository, carries out operations, and tells what happened.

Threads: the scheduler; three lanes of operations, each waiting for its worker process; the watch, which polls journal
and repository; one per listener. None of them does the work itself, so an embedding console stays quick.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from typing import Any

import msgspec

from maos_ckpt import wire
from maos_ckpt.client import EventSink
from maos_ckpt.drill.reports import Reports
from maos_ckpt.drill_status import DrillStatus
from maos_ckpt.engine.child import Child
from maos_ckpt.engine.feed import Feed
from maos_ckpt.engine.idle import IdleTime
from maos_ckpt.engine.lane import Lane
from maos_ckpt.engine.lock import TRIES, EngineLock, Owner, engine_owner
from maos_ckpt.engine.rehearsals import Rehearsals
from maos_ckpt.engine.replicator import Replicator
from maos_ckpt.engine.scrubber import Scrubber
from maos_ckpt.engine.watch import Watch
from maos_ckpt.errors import CkptError, LeaseHeldError
from maos_ckpt.events import (
    CheckpointCreated,
    CheckpointMarked,
    CheckpointsRemoved,
    EngineStarted,
    EngineStopped,
    Event,
    OperationFailed,
    OperationProgressed,
    TicksMissed,
)
from maos_ckpt.model import (
    Checkpoint,
    CompactResult,
    EngineStatus,
    Progress,
    RecoveryResult,
    Trigger,
)
from maos_ckpt.operations import state
from maos_ckpt.operations.drills import LATEST, SCHEDULE, schedule_of
from maos_ckpt.operations.registry import OPERATIONS, CompactArguments, DrillArguments, SaveArguments, ScrubArguments
from maos_ckpt.operations.workspace import Workspace, is_failure
from maos_ckpt.repository.holds import hold_shown
from maos_ckpt.repository.repository import Repository
from maos_ckpt.scheduler import Scheduler

_LOG = logging.getLogger(__name__)
#: How often the watch looks for what others did.
POLL_S = 1.0
#: How long the end of an engine waits for the object that is being sent to the remote copy.
REPLICATOR_END_S = 5.0
REASON_BUSY = "the repository was in use"

_TO_REPLICATE = (CheckpointCreated, CheckpointMarked, CheckpointsRemoved)


class Engine:
    """One repository's engine, or, where another one runs already, an observer that takes over when that one ends."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._seams = workspace.seams
        self._interval_s = workspace.config.interval_seconds
        self._feed = Feed()
        self._lock = EngineLock(workspace.repository, workspace.seams)
        self._repository: Repository | None = None
        self._watch: Watch | None = None
        self._scheduler: Scheduler | None = None
        self._replicator: Replicator | None = None
        self._scrubber: Scrubber | None = None
        self._reports = Reports(workspace.repository, workspace.seams)
        self._rehearsals: Rehearsals | None = None
        self._writers = Lane("writers", workspace.seams)
        self._readers = Lane("readers", workspace.seams)
        # A drill takes minutes and disturbs nobody, so that nobody waits for it.
        self._drills = Lane("drills", workspace.seams)
        self._children: dict[str, Child] = {}
        self._ending = threading.Event()
        self._poller = threading.Thread(target=self._poll_loop, name="watch", daemon=True)
        self._failure: state.Failure | None = None
        self._missed_ticks = 0
        self._idle = IdleTime(self._compact)
        #: Tells what this engine's console holds from what others do.
        self._screen = workspace.seams.random.token(8).hex()

    def start(self) -> None:
        """Open or make the repository, take up the schedule or observe, and begin to watch.

        Raises:
            SourceError: there is no repository yet, and no source to make it for.
            ForeignRepositoryError: the repository belongs to another source.
        """
        workspace = self._workspace
        read_only = workspace.config.read_only
        if read_only or workspace.repository.is_dir():
            repository = workspace.open_repository(read_only=read_only)
            repository.check_source(workspace.source)
        else:
            repository = workspace.create_repository()
        self._repository = repository
        self._watch = Watch(repository, workspace.journal, workspace.config.storage)
        self._failure = state.last_failure(workspace.journal)
        self._take_up(TRIES)
        self._poller.start()

    def _take_up(self, tries: int) -> None:
        """Become the engine of this repository, if nobody else is."""
        if self._workspace.config.read_only or self._lock.held:
            return
        if not self._lock.acquire(self._interval_s, tries=tries):
            return
        try:
            self._begin()
        except BaseException:
            # Without a schedule this is no engine; another one, or a later try, may be.
            self._lock.release()
            raise

    def _begin(self) -> None:
        """Take up schedule and replication; the engine's lock is held."""
        self._record(EngineStarted(self._now_ms(), self._workspace.source, self._interval_s))
        newest = next(iter(self._watching.checkpoints()), None)
        age_s = None if newest is None else (self._now_ms() - newest.created_at_ms) / 1000
        self._scheduler = Scheduler(
            self._seams,
            self._interval_s,
            run=self._scheduled_save,
            busy=lambda: self._writers.busy,
            missed=self._note_missed,
            age_s=age_s,
        )
        if self._workspace.remote is not None:
            self._replicator = Replicator(self._workspace.open_repository(), self._seams, self._record)
            self._replicator.start()
        if self._workspace.config.scrub_days:
            self._scrubber = Scrubber(self._seams, idle=self._is_idle, run=self._scrub)
        self._rehearsals = Rehearsals(self._seams, self._drill_status, idle=self._is_idle, run=self._rehearse)
        self._scheduler.start()

    def _is_idle(self) -> bool:
        return not self._writers.busy and not self._readers.busy and not self._drills.busy

    def _scrub(self) -> None:
        with contextlib.suppress(CkptError):
            self._readers.submit("scrub", lambda: self._in_child("scrub", ScrubArguments(), self._readers))

    def _rehearse(self) -> None:
        arguments = DrillArguments(LATEST, self._workspace.config.drill.scenarios, SCHEDULE)
        with contextlib.suppress(CkptError):
            self._drills.submit("drill", lambda: self._in_child("drill", arguments, self._drills))

    def _drill_status(self) -> DrillStatus:
        return self._reports.status(schedule_of(self._workspace.config))

    @property
    def _watching(self) -> Watch:
        if self._watch is None:
            raise CkptError("The engine has not been started.", hint="Call start() first.")
        return self._watch

    def close(self, timeout_s: float) -> bool:
        """Let the running save or recovery finish, then end. False where `timeout_s` passed first.

        A worker that is still at it then goes on by itself; what it commits counts.
        """
        if self._ending.is_set():
            return True
        self._ending.set()
        if self._scheduler is not None:
            self._scheduler.stop()
        self._writers.close()
        self._readers.close()
        self._drills.close()
        for lane in (self._readers, self._drills, *((self._writers,) if self._idle.running else ())):
            child = self._children.get(lane.name)
            if child is not None:
                child.terminate()
        clean = all(lane.join(timeout_s) for lane in (self._writers, self._readers, self._drills))
        if self._poller.is_alive():
            self._poller.join(POLL_S * 2)
        if self._replicator is not None:
            # What is not sent waits in the home; a transfer that hangs must not hold up the end.
            self._replicator.close(REPLICATOR_END_S)
        if clean and self._lock.held:
            self._record(EngineStopped(self._now_ms()))
        self.hold(frozenset())
        with contextlib.suppress(CkptError):
            self._poll()
        self._lock.release()
        self._feed.close()
        if clean and self._repository is not None:
            self._repository.close()
        return clean

    # Looking

    def subscribe(self, sink: EventSink) -> Callable[[], None]:
        """See `EngineClient.subscribe`."""
        return self._feed.subscribe(sink)

    def checkpoints(self) -> list[Checkpoint]:
        """All, newest first."""
        return self._watching.checkpoints()

    def status(self) -> EngineStatus:
        """The state now."""
        workspace = self._workspace
        checkpoints = self._watching.checkpoints()
        owner = None if self._lock.held else engine_owner(workspace.repository)
        failure = self._failure
        return EngineStatus(
            source=workspace.source,
            repository=str(workspace.repository),
            role="engine" if self._lock.held else "observer",
            owner=str(owner) if owner else "",
            interval_s=owner.interval_s if owner else self._interval_s,
            next_run_at_ms=self._next_run_at_ms(owner),
            last_success=checkpoints[0] if checkpoints else None,
            last_error=failure.message if failure else "",
            last_error_at_ms=failure.at_ms if failure else None,
            running=self._writers.running or self._readers.running or self._drills.running,
            checkpoints=len(checkpoints),
            repository_bytes=self._watching.stored_bytes(),
            missed_ticks=self._missed_ticks,
            read_only=workspace.config.read_only,
            unfinished_recovery=state.unfinished_recovery(workspace),
            damaged_manifests=self._watching.damaged_manifests(),
            tiers=self._watching.tiers(),
            drill=self._drill_status(),
        )

    def _next_run_at_ms(self, owner: Owner | None) -> int | None:
        if self._scheduler is not None:
            return self._scheduler.next_run_at_ms()
        if owner is None or not owner.interval_s:
            return None
        return state.next_run_at_ms(owner.since_ms, owner.interval_s, self._now_ms())

    # Doing

    def hold(self, names: frozenset[str]) -> None:
        """See `EngineClient.hold`."""
        if self._repository is not None:
            hold_shown(self._repository, self._screen, names)

    def run(self, name: str, arguments: object) -> Any:
        """Carry out a registered operation in a worker process; blocks until it is done.

        Raises:
            CkptError: whatever the operation raised.
        """
        lane = self._drills if name == "drill" else self._writers if OPERATIONS[name].writes else self._readers
        return lane.submit(name, lambda: self._in_child(name, arguments, lane)).result()

    def _in_child(self, name: str, arguments: object, lane: Lane) -> Any:
        operation = OPERATIONS[name]
        request = wire.Request(name, self._workspace.place, msgspec.Raw(wire.encode(arguments)))

        def progressed(progress: Progress) -> None:
            lane.progressed(progress)
            self._feed.publish(OperationProgressed(self._now_ms(), progress))

        child = self._children[lane.name] = Child()
        try:
            result = child.run(request, operation.result, progressed)
        except CkptError as error:
            self._after_failure(name, error)
            raise
        finally:
            del self._children[lane.name]
        self._report_slow(name, result)
        self.poll()
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

    def _after_failure(self, name: str, error: CkptError) -> None:
        # The worker has written its failures to the journal, except where it died or could not open the repository.
        told = any(isinstance(event, OperationFailed) and event.operation == name for event in self.poll())
        if told or not is_failure(error):
            return
        self._record(OperationFailed(self._now_ms(), name, error.kind, error.message))

    def _scheduled_save(self) -> None:
        arguments = SaveArguments(Trigger.SCHEDULE, keep_last=self._workspace.config.max_checkpoints)

        def save() -> Any:
            try:
                checkpoint = self._in_child("save", arguments, self._writers)
            except LeaseHeldError:
                self._note_missed(1, REASON_BUSY)
                raise
            self._use_idle_time()
            return checkpoint

        with contextlib.suppress(CkptError):
            self._writers.submit("save", save)

    def _use_idle_time(self) -> None:
        next_ms = None if self._scheduler is None else self._scheduler.next_run_at_ms()
        if next_ms is not None and not self._writers.waiting and not self._ending.is_set():
            self._idle.use((next_ms - self._now_ms()) / 1000)

    def _compact(self, slice_s: float) -> CompactResult:
        result: CompactResult = self._in_child("compact", CompactArguments(slice_s), self._writers)
        return result

    def _note_missed(self, count: int, reason: str) -> None:
        self._missed_ticks += count
        self._record(TicksMissed(self._now_ms(), count, reason))

    # Telling

    def _now_ms(self) -> int:
        return self._seams.clock.now_ms()

    def _record(self, event: Event) -> None:
        """Write to the journal, from where the watch publishes it; publish directly where the journal refuses."""
        if self._workspace.journal.append(event):
            self.poll()
            return
        if isinstance(event, OperationFailed):
            self._failure = state.Failure(event.operation, event.kind, event.message, event.at_ms)
        self._feed.publish(event)

    def poll(self) -> list[Event]:
        """Look for what happened and publish it; an unreadable repository is logged and shows in `status`."""
        try:
            return self._poll()
        except CkptError as error:
            _LOG.warning("the repository cannot be watched: %s", error)
            return []

    def _poll(self) -> list[Event]:
        events = self._watching.poll()
        if self._replicator is not None and any(isinstance(one, _TO_REPLICATE) for one in events):
            self._replicator.wake()
        if events:
            self._failure = state.last_failure(self._workspace.journal)
        for event in events:
            self._feed.publish(event)
        return events

    def _poll_loop(self) -> None:
        while not self._ending.wait(POLL_S):
            self.poll()
            if self._scrubber is not None:
                self._scrubber.look()
            if self._rehearsals is not None:
                self._rehearsals.look()
            try:
                self._take_up(1)
            except CkptError as error:
                _LOG.warning("the schedule cannot be taken up: %s", error)
