"""`CheckpointSystem`: an engine that an asyncio program embeds, with the program's own objects as a part of the state.

Its coroutines never hold up the loop: everything long runs in threads and worker processes. Coroutines of managers and
hooks run on the loop that `initialize` was called on; their plain functions run in threads.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from maos_ckpt.client import EngineClient
from maos_ckpt.errors import CkptError, ConflictError
from maos_ckpt.events import Event
from maos_ckpt.library.names import event_type
from maos_ckpt.library.trends import MetricsCollector
from maos_ckpt.local import LocalClient
from maos_ckpt.model import Checkpoint, RecoveryResult, Selection
from maos_ckpt.model.metrics import MetricsReport
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.sources.provider.calls import Calls

_LOG = logging.getLogger(__name__)
#: How long `stop` waits for a running save or recovery.
STOP_S: Final = 120.0
#: Events that wait for one iterator; the oldest goes for one more.
EVENTS_QUEUED_MAX: Final = 1000
#: Changes listed in a plan.
CHANGES_LISTED: Final = 1000

Callback = Callable[[Event], Any]
_Result = TypeVar("_Result")


class CheckpointSystem:
    """Checkpoints of a program, as long as it runs. Use it in an `async with` block, or `start` and `stop` it.

    Args:
        workspace: where the repository is, and of what.
        calls: where coroutines of managers and hooks run; told the loop by `initialize`.
    """

    def __init__(self, workspace: Workspace, calls: Calls) -> None:
        self._workspace = workspace
        self._calls = calls
        self._client = LocalClient(workspace)
        self._metrics = MetricsCollector(self._client)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._callbacks: set[Awaitable[Any]] = set()
        self._started = False
        self._stopped = False

    @property
    def workspace(self) -> Workspace:
        """Where the repository is, and of what."""
        return self._workspace

    @property
    def client(self) -> EngineClient:
        """Everything that a console can ask of an engine; its methods block."""
        return self._client

    @property
    def metrics(self) -> MetricsCollector:
        """What was measured."""
        return self._metrics

    async def initialize(self) -> None:
        """Take the running loop for callbacks and coroutines, and open the repository, or make it.

        Raises:
            SourceError, PermissionRefusedError, ForeignRepositoryError: see `EngineClient.start`; nothing is changed.
            ConflictError: it was stopped, which is for good.
        """
        self._refuse_if_stopped()
        self._loop = self._calls.loop = asyncio.get_running_loop()
        if self._workspace.config.read_only:
            return
        repository = await asyncio.to_thread(self._workspace.create_repository)
        try:
            repository.check_source(self._workspace.source)
        finally:
            repository.close()

    async def start(self) -> None:
        """Begin the schedule; the first checkpoint follows at once where the newest one is older than the interval.

        Raises:
            SourceError, PermissionRefusedError, ForeignRepositoryError: see `initialize`; the system counts as stopped.
            ConflictError: it was stopped, which is for good.
        """
        self._refuse_if_stopped()
        if self._started:
            return
        try:
            if self._loop is None:
                await self.initialize()
            await asyncio.to_thread(self._client.start)
        except BaseException:
            await self.stop()
            raise
        self._started = True
        status = await asyncio.to_thread(self._client.status)
        if status.role != "engine":
            _LOG.warning("%s takes the checkpoints of this repository: this system takes none by itself", status.owner)

    async def stop(self, timeout_s: float = STOP_S) -> bool:
        """End for good, after a running save or recovery. False where `timeout_s` passed first; safe to call twice."""
        if self._stopped:
            return True
        self._stopped = True
        return await asyncio.to_thread(self._client.close, timeout_s)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def create_checkpoint(self, description: str = "", tags: Sequence[str] = ()) -> Checkpoint:
        """One checkpoint now; `Checkpoint.partial` tells whether a manager could not be captured.

        Raises:
            SourceError: the system could not be held still, or a source cannot be read; nothing was saved.
        """
        return await self._do(self._client.save, description, tags)

    async def list_checkpoints(self, limit: int = 500) -> list[Checkpoint]:
        """Newest first."""
        return await self._do(self._client.checkpoints, limit)

    async def recover_from_checkpoint(
        self,
        *,
        checkpoint_id: str = "latest",
        partial: bool = False,
        components: Sequence[str] = (),
        dry_run: bool = False,
        exact: bool = False,
        reason: str = "",
    ) -> RecoveryResult:
        """Bring the state of a checkpoint back; `client.undo` takes that back again.

        Args:
            checkpoint_id: an id, a unique beginning of one, `latest` or `latest~N`.
            partial: put back what is missing or differs, and remove nothing; so does naming `components`.
            components: `agents`, `memory`, `queue`, `tasks`, `system`; all where none is named.
            dry_run: change nothing: the result's `plan` says what would be.
            exact: of the components named, also remove what the checkpoint does not hold.

        Returns:
            `applied` False for a dry run, and where nothing differs; `RecoveryResult.partial` where a part was left as
            it is, for the reasons that it names.

        Raises:
            NotFoundError: no such checkpoint or component.
            CkptError: see `EngineClient.recover`.
        """
        if partial and not components:
            components = (await self._do(self._client.checkpoint, checkpoint_id)).components
        selection = Selection(tuple(components), exact=exact)
        if not dry_run:
            return await self._do(
                lambda: self._client.recover(checkpoint_id, selection, digest=None, reason=reason, limit=CHANGES_LISTED)
            )
        began_s = self._workspace.seams.clock.monotonic_s()
        plan = await self._do(self._client.plan, checkpoint_id, selection, CHANGES_LISTED)
        took_s = round(self._workspace.seams.clock.monotonic_s() - began_s, 3)
        return RecoveryResult(plan, applied=False, verified=False, safety_checkpoint=None, duration_s=took_s)

    async def get_metrics(self, hours: int = 24) -> MetricsReport:
        """What was measured in the last `hours`, and in all."""
        return await self._do(self._client.metrics, hours)

    def on(self, event: str, callback: Callback) -> Callable[[], None]:
        """Call `callback` with every event of a name (`checkpointCreated`, `checkpoint_created`); returns the way out.

        It is called on the loop of `initialize`, or in an engine thread before there is one; a coroutine is run there.
        What it raises is logged.

        Raises:
            UsageError: there is no such event.
            ConflictError: too many listen.
        """
        wanted = event_type(event)

        def sink(happened: Event) -> None:
            if type(happened) is not wanted:
                return
            loop = self._loop
            if loop is None or loop.is_closed():
                callback(happened)
            else:
                loop.call_soon_threadsafe(self._call, callback, happened)

        return self._client.subscribe(sink)

    def _call(self, callback: Callback, event: Event) -> None:
        try:
            result = callback(event)
        except Exception:  # noqa: BLE001 - a listener's fault must not end what it listens to
            _LOG.exception("a listener failed on %s", type(event).__name__)
            return
        if inspect.isawaitable(result):
            # The loop itself keeps no more than a weak reference.
            task = asyncio.ensure_future(self._finish(result, event))
            self._callbacks.add(task)
            task.add_done_callback(self._callbacks.discard)

    @staticmethod
    async def _finish(awaitable: Awaitable[Any], event: Event) -> None:
        try:
            await awaitable
        except Exception:  # noqa: BLE001 - as above
            _LOG.exception("a listener failed on %s", type(event).__name__)

    async def events(self) -> AsyncIterator[Event]:
        """Everything that happens from now on, progress included, until the loop that reads it ends.

        Where the reader is slow, the oldest of `EVENTS_QUEUED_MAX` that wait goes for a new one.
        """
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[Event] = asyncio.Queue(EVENTS_QUEUED_MAX)

        def put(event: Event) -> None:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(event)

        def sink(event: Event) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(put, event)

        leave = self._client.subscribe(sink)
        try:
            while True:
                yield await queue.get()
        finally:
            leave()

    def _refuse_if_stopped(self) -> None:
        if self._stopped:
            raise ConflictError("The checkpoint system was stopped.", kept="Nothing was changed.", hint="Make another.")

    async def _do(self, function: Callable[..., _Result], *arguments: Any) -> _Result:
        self._refuse_if_stopped()
        if not self._started:
            raise CkptError("The checkpoint system has not been started.", hint="Call start() first.")
        return await asyncio.to_thread(function, *arguments)
