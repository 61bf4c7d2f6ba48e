"""When the engine looks at what an operator must know of, and raises and clears alerts."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from maos_ckpt.alerts.book import AlertBook
from maos_ckpt.alerts.rules import Facts, judge
from maos_ckpt.doctor import disk
from maos_ckpt.errors import CkptError
from maos_ckpt.events import Event
from maos_ckpt.model import Checkpoint, CheckpointState, EngineStatus
from maos_ckpt.model.metrics import MetricsReport
from maos_ckpt.operations.workspace import Workspace

_LOG = logging.getLogger(__name__)
#: How often it looks.
EVERY_S = 10.0
#: A fresh engine has other things to do first.
FIRST_S = 5.0
_HOUR_S = 3600.0


class Observed(Protocol):
    """What an engine tells of itself; see `EngineClient`."""

    def status(self) -> EngineStatus:
        """The state now."""
        ...

    def metrics(self, hours: int, *, ratios: bool) -> MetricsReport:
        """What was measured lately."""
        ...

    def checkpoints(self) -> list[Checkpoint]:
        """All, newest first."""
        ...


class Alarms:
    """Judges an engine now and then; used by its watch alone. `record` writes an event to the journal."""

    def __init__(
        self, workspace: Workspace, book: AlertBook, observed: Observed, record: Callable[[Event], None]
    ) -> None:
        self._workspace = workspace
        self._book = book
        self._observed = observed
        self._record = record
        self._started_ms = workspace.now_ms()
        self._due_s = workspace.seams.clock.monotonic_s() + FIRST_S
        self._failure = ""

    def look(self) -> None:
        """Judge, if it is time; to be called every now and then. Whatever is wrong with the book stops no save."""
        now_s, config = self._workspace.seams.clock.monotonic_s(), self._workspace.config
        if now_s < self._due_s:
            return
        self._due_s = now_s + EVERY_S
        try:
            told = self._book.update(judge(self._facts(), config), config.alerts.repeat_hours * _HOUR_S)
            for event in told:
                self._record(event)
            if told:
                self._book.told(told)
            self._failure = ""
        except CkptError as error:
            if error.message != self._failure:
                _LOG.warning("alerts cannot be judged now: %s", error.message)
            self._failure = error.message

    def _facts(self) -> Facts:
        damaged = sum(one.state is CheckpointState.DAMAGED for one in self._observed.checkpoints())
        free_bytes = disk(self._workspace.repository, 0).free_bytes
        status, hour = self._observed.status(), self._observed.metrics(1, ratios=False)
        return Facts(self._workspace.now_ms(), self._started_ms, status, hour, free_bytes, damaged)
