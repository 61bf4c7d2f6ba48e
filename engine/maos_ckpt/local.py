"""`EngineClient` with the engine inside this process."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from maos_ckpt.client import EVERYTHING, EngineClient, EventSink
from maos_ckpt.config import Config
from maos_ckpt.engine.service import Engine
from maos_ckpt.errors import UsageError
from maos_ckpt.model import (
    Checkpoint,
    DiffResult,
    EngineStatus,
    FindResult,
    Plan,
    ProcessReport,
    Recommendation,
    RecoveryResult,
    ResumePoint,
    Selection,
    Trigger,
    VerifyLevel,
    VerifyResult,
)
from maos_ckpt.model.alerts import Alert
from maos_ckpt.model.contents import Exported, History, RecordPage
from maos_ckpt.model.drills import DrillHistory, DrillReport
from maos_ckpt.model.integrity import IntegrityReport
from maos_ckpt.model.metrics import HOURS, MetricsReport
from maos_ckpt.operations import alerts, checkpoints, contents, drills, integrity, state
from maos_ckpt.operations.registry import (
    DiffArguments,
    DrillArguments,
    ExportArguments,
    FindArguments,
    HistoryArguments,
    PlanArguments,
    ProcessesArguments,
    RecommendArguments,
    RecordsArguments,
    RecoverArguments,
    RecoverToArguments,
    RepairArguments,
    RescueArguments,
    RescuePlanArguments,
    ResumePointArguments,
    SaveArguments,
    UndoArguments,
    UndoPlanArguments,
    VerifyArguments,
)
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.repository.catalogue import named_among

#: What a checkpoint that somebody asks for may be taken as.
ASKED_FOR = (Trigger.MANUAL, Trigger.API)


class LocalClient(EngineClient):
    """See `EngineClient`; what takes long runs in a worker process, so no method holds up other threads."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._engine = Engine(workspace)

    def start(self) -> None:
        """See `EngineClient.start`; raises where there is neither a repository nor a source to make one for."""
        self._engine.start()

    def reconfigure(self, config: Config) -> None:
        """Go on with another configuration of the same repository and source; see `Engine.reconfigure`."""
        self._engine.reconfigure(config)
        self._workspace = dataclasses.replace(self._workspace, config=config)

    def close(self, timeout_s: float) -> bool:
        """See `EngineClient.close`."""
        return self._engine.close(timeout_s)

    def stop_engine(self, timeout_s: float) -> bool:
        """See `EngineClient.stop_engine`."""
        return self.close(timeout_s)

    def subscribe(self, sink: EventSink) -> Callable[[], None]:
        """See `EngineClient.subscribe`; each listener has a bounded queue and a thread of its own."""
        return self._engine.subscribe(sink)

    def status(self) -> EngineStatus:
        """See `EngineClient.status`."""
        return self._engine.status()

    def checkpoints(self, limit: int = 500) -> list[Checkpoint]:
        """See `EngineClient.checkpoints`."""
        return self._engine.checkpoints()[:limit]

    def checkpoint(self, name: str) -> Checkpoint:
        """See `EngineClient.checkpoint`."""
        return named_among(name, self._engine.checkpoints())

    def hold(self, names: frozenset[str]) -> None:
        """See `EngineClient.hold`."""
        self._engine.hold(names)

    def save(self, description: str = "", tags: Sequence[str] = (), *, trigger: Trigger = Trigger.MANUAL) -> Checkpoint:
        """See `EngineClient.save`."""
        if trigger not in ASKED_FOR:
            # A made-up safety checkpoint would take the place of a real one, and with it an undo.
            raise UsageError(
                f"A checkpoint that is asked for cannot pass for a {trigger.value} one.",
                kept="Nothing was changed.",
                hint=f"Use {' or '.join(one.value for one in ASKED_FOR)}.",
            )
        keep_last = self._workspace.config.max_checkpoints
        saved = self._engine.run("save", SaveArguments(trigger, description, tuple(tags), keep_last))
        assert isinstance(saved, Checkpoint)
        return saved

    def records(
        self,
        name: str,
        *,
        component: str | None = None,
        record: str | None = None,
        after: str = "",
        limit: int = 200,
        clip: int | None = None,
    ) -> RecordPage:
        """See `EngineClient.records`."""
        if contents.is_quick(name, record):
            # A worker process takes longer to start than this takes; whoever browses asks for many.
            return contents.records(self._workspace, name, component, record, after, limit, lambda _: None, clip)
        page = self._engine.run("records", RecordsArguments(name, component, record, after, limit, clip))
        assert isinstance(page, RecordPage)
        return page

    def history(self, key: str, limit: int = 1000) -> History:
        """See `EngineClient.history`."""
        told = self._engine.run("history", HistoryArguments(key, limit))
        assert isinstance(told, History)
        return told

    def export(self, name: str, to: str) -> Exported:
        """See `EngineClient.export`."""
        done = self._engine.run("export", ExportArguments(name, to))
        assert isinstance(done, Exported)
        return done

    def diff(self, before: str, after: str, limit: int = 1000) -> DiffResult:
        """See `EngineClient.diff`."""
        found = self._engine.run("diff", DiffArguments(before, after, limit))
        assert isinstance(found, DiffResult)
        return found

    def plan(self, name: str, selection: Selection, limit: int = 1000) -> Plan:
        """See `EngineClient.plan`."""
        made = self._engine.run("plan", PlanArguments(name, selection, limit))
        assert isinstance(made, Plan)
        return made

    def recover(
        self, name: str, selection: Selection, *, digest: str | None, reason: str, limit: int = 1000
    ) -> RecoveryResult:
        """See `EngineClient.recover`."""
        result = self._engine.run("restore", RecoverArguments(name, selection, digest, reason, limit))
        assert isinstance(result, RecoveryResult)
        return result

    def recover_to(
        self,
        name: str,
        selection: Selection,
        to: str,
        *,
        digest: str | None = None,
        dry_run: bool = False,
        limit: int = 1000,
    ) -> RecoveryResult:
        """See `EngineClient.recover_to`."""
        result = self._engine.run("restore to", RecoverToArguments(name, selection, to, digest, limit, dry_run))
        assert isinstance(result, RecoveryResult)
        return result

    def undo_plan(self, limit: int = 1000, only: Selection = EVERYTHING) -> Plan:
        """See `EngineClient.undo_plan`."""
        made = self._engine.run("undo plan", UndoPlanArguments(limit, only))
        assert isinstance(made, Plan)
        return made

    def undo(
        self, *, digest: str | None, reason: str, limit: int = 1000, only: Selection = EVERYTHING
    ) -> RecoveryResult:
        """See `EngineClient.undo`."""
        result = self._engine.run("undo", UndoArguments(digest, reason, limit, only))
        assert isinstance(result, RecoveryResult)
        return result

    def cancel_recovery(self) -> bool:
        """See `EngineClient.cancel_recovery`."""
        return self._engine.cancel_recovery()

    def rescue_plan(self, limit: int = 1000) -> Plan:
        """See `EngineClient.rescue_plan`."""
        made = self._engine.run("rescue plan", RescuePlanArguments(limit))
        assert isinstance(made, Plan)
        return made

    def rescue(self, *, digest: str | None, reason: str, limit: int = 1000) -> RecoveryResult:
        """See `EngineClient.rescue`."""
        result = self._engine.run("rescue", RescueArguments(digest, reason, limit))
        assert isinstance(result, RecoveryResult)
        return result

    def resume_point(self, agent: str, at: str = "") -> ResumePoint:
        """See `EngineClient.resume_point`."""
        point = self._engine.run("resume point", ResumePointArguments(agent, at))
        assert isinstance(point, ResumePoint)
        return point

    def processes(self) -> ProcessReport:
        """See `EngineClient.processes`."""
        report = self._engine.run("ps", ProcessesArguments())
        assert isinstance(report, ProcessReport)
        return report

    def verify(self, names: Sequence[str], level: VerifyLevel) -> VerifyResult:
        """See `EngineClient.verify`."""
        result = self._engine.run("verify", VerifyArguments(tuple(names), level))
        assert isinstance(result, VerifyResult)
        return result

    def repair(self, level: VerifyLevel) -> VerifyResult:
        """See `EngineClient.repair`."""
        result = self._engine.run("repair", RepairArguments(level))
        assert isinstance(result, VerifyResult)
        return result

    def cancel_verification(self) -> bool:
        """See `EngineClient.cancel_verification`."""
        return self._engine.cancel_verification()

    def integrity(self, limit: int = 50) -> IntegrityReport:
        """See `EngineClient.integrity`."""
        return integrity.integrity(self._workspace, limit)

    def drill(self, name: str = "latest", scenarios: Sequence[str] = (), *, reason: str = "") -> DrillReport:
        """See `EngineClient.drill`."""
        report = self._engine.run("drill", DrillArguments(name, tuple(scenarios), drills.MANUAL, reason))
        assert isinstance(report, DrillReport)
        return report

    def drills(self, limit: int = 20) -> DrillHistory:
        """See `EngineClient.drills`."""
        return drills.history(self._workspace, limit)

    def find(
        self,
        text: str,
        *,
        between: tuple[str, str] | None = None,
        component: str | None = None,
        ignore_case: bool = False,
        limit: int = 1000,
    ) -> FindResult:
        """See `EngineClient.find`."""
        found = self._engine.run("find", FindArguments(text, between, component, ignore_case, limit))
        assert isinstance(found, FindResult)
        return found

    def recommend(self, name: str | None = None) -> Recommendation:
        """See `EngineClient.recommend`."""
        made = self._engine.run("recommend", RecommendArguments(name))
        assert isinstance(made, Recommendation)
        return made

    def set_pinned(self, name: str, pinned: bool) -> Checkpoint:
        """See `EngineClient.set_pinned`."""
        checkpoint = checkpoints.set_pinned(self._workspace, name, pinned)
        self._engine.poll()
        return checkpoint

    def change_tags(self, name: str, add: Sequence[str] = (), remove: Sequence[str] = ()) -> Checkpoint:
        """See `EngineClient.change_tags`."""
        checkpoint = checkpoints.change_tags(self._workspace, name, add, remove)
        self._engine.poll()
        return checkpoint

    def delete(self, name: str) -> str:
        """See `EngineClient.delete`."""
        removed = checkpoints.delete(self._workspace, name)
        self._engine.poll()
        return removed.id

    def metrics(self, hours: int = HOURS) -> MetricsReport:
        """See `EngineClient.metrics`."""
        return self._engine.metrics(hours)

    def alerts(self) -> tuple[Alert, ...]:
        """See `EngineClient.alerts`."""
        return alerts.standing(self._workspace)

    def acknowledge(self, alert: str, snooze_s: float = 0.0) -> Alert:
        """See `EngineClient.acknowledge`."""
        return alerts.acknowledge(self._workspace, alert, snooze_s)

    def recent_events(self, limit: int = 200) -> list[tuple[str, dict[str, object]]]:
        """See `EngineClient.recent_events`."""
        return state.recent_events(self._workspace, limit)
