"""The engine: keeps the schedule of one repository, carries out operations, and tells what happened.

Threads: the scheduler; three lanes of operations, each waiting for its worker process; the watch, which polls journal
and repository; one per listener. None of them does the work itself, so an embedding console stays quick.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import threading
from collections.abc import Callable
from typing import Any

from maos_ckpt.alerts.book import AlertBook
from maos_ckpt.client import EventSink
from maos_ckpt.config import Config
from maos_ckpt.drill.reports import Reports
from maos_ckpt.engine.alarms import Alarms
from maos_ckpt.engine.duties import Duties
from maos_ckpt.engine.feed import Feed
from maos_ckpt.engine.lock import TRIES, EngineLock, Owner, engine_owner
from maos_ckpt.engine.watch import Watch
from maos_ckpt.engine.workers import Workers
from maos_ckpt.errors import CkptError
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
from maos_ckpt.model import Checkpoint, EngineStatus, Progress
from maos_ckpt.model.metrics import MetricsReport
from maos_ckpt.operations import state
from maos_ckpt.operations.drills import schedule_of
from maos_ckpt.operations.metrics import Ledger, targets_of
from maos_ckpt.operations.workspace import Workspace, is_failure
from maos_ckpt.repository.holds import hold_shown
from maos_ckpt.repository.repository import Repository

_LOG = logging.getLogger(__name__)
#: How often the watch looks for what others did.
POLL_S = 1.0
_TO_REPLICATE = (CheckpointCreated, CheckpointMarked, CheckpointsRemoved)


class Engine:
    """One repository's engine, or, where another one runs already, an observer that takes over when that one ends."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._seams = workspace.seams
        self._interval_s = workspace.config.interval_seconds
        self._feed = Feed(workspace.seams.clock)
        self._lock = EngineLock(workspace.repository, workspace.seams)
        self._repository: Repository | None = None
        self._watch: Watch | None = None
        self._reports = Reports(workspace.repository, workspace.seams)
        self._ledger = Ledger(workspace.journal)
        self._alerts = AlertBook(workspace.journal.directory, workspace.seams)
        self._alarms: Alarms | None = None
        self._duties: Duties | None = None
        self._workers = Workers(workspace, progressed=self._tell_progress, failed=self._after_failure, done=self.poll)
        self._ending = threading.Event()
        #: Held while this becomes the engine, or begins to end, so that it never does both.
        self._changing = threading.Lock()
        self._poller = threading.Thread(target=self._poll_loop, name="watch", daemon=True)
        self._failure: state.Failure | None = None
        self._missed_ticks = 0
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
        try:
            self._watch = Watch(repository, workspace.journal, workspace.config.storage)
            self._failure = state.last_failure(workspace.journal)
            self._take_up(TRIES)
        except BaseException:
            repository.close()
            raise
        self._repository = repository
        self._poller.start()

    def _take_up(self, tries: int) -> None:
        """Become the engine of this repository, if nobody else is."""
        with self._changing:
            if self._ending.is_set() or self._workspace.config.read_only or self._lock.held:
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
        duties = self._new_duties()
        self._record(EngineStarted(self._now_ms(), self._workspace.source, self._interval_s))
        self._take(duties)

    def _take(self, duties: Duties) -> None:
        self._duties = duties
        duties.start()
        self._alarms = Alarms(self._workspace, self._alerts, self, self._record)

    def _new_duties(self) -> Duties:
        newest = next(iter(self._watching.checkpoints()), None)
        return Duties(
            self._workspace,
            None if newest is None else (self._now_ms() - newest.created_at_ms) / 1000,
            self._workers.writers,
            self._workers.readers,
            self._workers.drills,
            carry_out=self._workers.carry_out,
            record=self._record,
            missed=self._note_missed,
        )

    def reconfigure(self, config: Config) -> None:
        """Take another configuration of the same repository and source. What runs goes on as it began.

        Raises:
            CkptError: the schedule of before goes on with it.
        """
        with self._changing:
            if self._ending.is_set():
                return
            self._workspace = dataclasses.replace(self._workspace, config=config)
            self._interval_s = config.interval_seconds
            self._workers.use(self._workspace)
            before = self._duties
            if before is None:
                return
            duties = self._new_duties()
            self._lock.renew(self._interval_s)
            before.stop()
            before.close()
            before.close_hooks()
            self._take(duties)

    @property
    def _watching(self) -> Watch:
        if self._watch is None:
            raise CkptError("The engine has not been started.", hint="Call start() first.")
        return self._watch

    def close(self, timeout_s: float) -> bool:
        """Let the running save or recovery finish, then end. False where `timeout_s` passed first.

        A worker that is still at it then goes on by itself; what it commits counts.
        """
        with self._changing:
            if self._ending.is_set():
                return True
            self._ending.set()
        duties = self._duties
        if duties is not None:
            duties.stop()
        self._workers.close(writer_stops=duties is not None and duties.compacting)
        clean = self._workers.join(timeout_s)
        if self._poller.is_alive():
            self._poller.join(POLL_S * 2)
        if duties is not None:
            duties.close()
        if clean and self._lock.held:
            self._record(EngineStopped(self._now_ms()))
        self.hold(frozenset())
        with contextlib.suppress(CkptError):
            self._poll()
        if duties is not None:
            duties.close_hooks()
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
            running=self._workers.running,
            checkpoints=len(checkpoints),
            repository_bytes=self._watching.stored_bytes(),
            missed_ticks=self._missed_ticks,
            read_only=workspace.config.read_only,
            unfinished_recovery=state.unfinished_recovery(workspace),
            damaged_manifests=self._watching.damaged_manifests(),
            tiers=self._watching.tiers(),
            drill=self._reports.status(schedule_of(workspace.config)),
            alerts=self._alerts.alerts(),
        )

    def metrics(self, hours: int, *, ratios: bool = True) -> MetricsReport:
        """See `EngineClient.metrics`; without `ratios`, which take longer, these are None."""
        now_ms = self._now_ms()
        held = self._watching.holding(now_ms, with_ratios=ratios)
        return self._ledger.report(held, now_ms, hours, targets_of(self._workspace.config))

    def _next_run_at_ms(self, owner: Owner | None) -> int | None:
        if self._duties is not None:
            return self._duties.next_run_at_ms()
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
        return self._workers.run(name, arguments)

    def cancel_recovery(self) -> bool:
        """See `EngineClient.cancel_recovery`."""
        return self._workers.cancel_recovery()

    def cancel_verification(self) -> bool:
        """See `EngineClient.cancel_verification`."""
        return self._workers.cancel_verification()

    def _tell_progress(self, progress: Progress) -> None:
        self._publish(OperationProgressed(self._now_ms(), progress))

    def _publish(self, event: Event) -> None:
        self._feed.publish(event)
        if self._duties is not None:
            self._duties.tell(event)

    def _after_failure(self, name: str, error: CkptError, began_ms: int) -> None:
        # The worker has written its failures to the journal, except where it died or could not open the repository.
        self.poll()
        if is_failure(error) and not state.failed_since(self._workspace.journal, name, began_ms):
            self._record(OperationFailed(self._now_ms(), name, error.kind, error.message))

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
        self._publish(event)

    def poll(self) -> list[Event]:
        """Look for what happened and publish it; an unreadable repository is logged and shows in `status`."""
        try:
            return self._poll()
        except CkptError as error:
            _LOG.warning("the repository cannot be watched: %s", error)
            return []

    def _poll(self) -> list[Event]:
        events = self._watching.poll()
        if self._duties is not None and any(isinstance(one, _TO_REPLICATE) for one in events):
            self._duties.replicate()
        if events:
            self._failure = state.last_failure(self._workspace.journal)
        for event in events:
            self._publish(event)
        return events

    def _poll_loop(self) -> None:
        told = ""
        while not self._ending.wait(POLL_S):
            try:
                self.poll()
                if self._duties is not None:
                    self._duties.look()
                if self._alarms is not None:
                    self._alarms.look()
                self._take_up(1)
            except CkptError as error:
                _LOG.warning("the schedule cannot be taken up: %s", error)
            except Exception as error:  # noqa: BLE001 - whatever it is, the watch must not end in silence
                if repr(error) != told:
                    told = repr(error)
                    _LOG.exception("the watch failed")
