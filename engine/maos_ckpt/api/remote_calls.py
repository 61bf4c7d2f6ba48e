"""The calls of `RemoteClient`, one for each method of `EngineClient`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from maos_ckpt.client import EVERYTHING, EngineClient
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


class RemoteCalls(EngineClient):
    """Everything that is asked of the engine; how it is asked is the subclass's matter."""

    def _ask(self, name: str, /, **arguments: object) -> Any:
        """Make the call `name` of `METHODS`; returns its decoded result."""
        raise AssertionError(f"nobody is asked for {name}")

    def status(self) -> EngineStatus:
        """See `EngineClient.status`."""
        answer: EngineStatus = self._ask("status")
        return answer

    def checkpoints(self, limit: int = 500) -> list[Checkpoint]:
        """See `EngineClient.checkpoints`."""
        answer: list[Checkpoint] = self._ask("checkpoints", limit=limit)
        return answer

    def checkpoint(self, name: str) -> Checkpoint:
        """See `EngineClient.checkpoint`."""
        answer: Checkpoint = self._ask("checkpoint", name=name)
        return answer

    def hold(self, names: frozenset[str]) -> None:
        """See `EngineClient.hold`."""
        self._ask("hold", names=names)

    def save(self, description: str = "", tags: Sequence[str] = (), *, trigger: Trigger = Trigger.MANUAL) -> Checkpoint:
        """See `EngineClient.save`."""
        answer: Checkpoint = self._ask("save", description=description, tags=tags, trigger=trigger)
        return answer

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
        answer: RecordPage = self._ask(
            "records", name=name, component=component, record=record, after=after, limit=limit, clip=clip
        )
        return answer

    def history(self, key: str, limit: int = 1000) -> History:
        """See `EngineClient.history`."""
        answer: History = self._ask("history", key=key, limit=limit)
        return answer

    def export(self, name: str, to: str) -> Exported:
        """See `EngineClient.export`."""
        answer: Exported = self._ask("export", name=name, to=to)
        return answer

    def diff(self, before: str, after: str, limit: int = 1000) -> DiffResult:
        """See `EngineClient.diff`."""
        answer: DiffResult = self._ask("diff", before=before, after=after, limit=limit)
        return answer

    def plan(self, name: str, selection: Selection, limit: int = 1000) -> Plan:
        """See `EngineClient.plan`."""
        answer: Plan = self._ask("plan", name=name, selection=selection, limit=limit)
        return answer

    def recover(
        self, name: str, selection: Selection, *, digest: str | None, reason: str, limit: int = 1000
    ) -> RecoveryResult:
        """See `EngineClient.recover`."""
        answer: RecoveryResult = self._ask(
            "recover", name=name, selection=selection, digest=digest, reason=reason, limit=limit
        )
        return answer

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
        answer: RecoveryResult = self._ask(
            "recover_to", name=name, selection=selection, to=to, digest=digest, dry_run=dry_run, limit=limit
        )
        return answer

    def undo_plan(self, limit: int = 1000, only: Selection = EVERYTHING) -> Plan:
        """See `EngineClient.undo_plan`."""
        answer: Plan = self._ask("undo_plan", limit=limit, only=only)
        return answer

    def undo(
        self, *, digest: str | None, reason: str, limit: int = 1000, only: Selection = EVERYTHING
    ) -> RecoveryResult:
        """See `EngineClient.undo`."""
        answer: RecoveryResult = self._ask("undo", digest=digest, reason=reason, limit=limit, only=only)
        return answer

    def cancel_recovery(self) -> bool:
        """See `EngineClient.cancel_recovery`."""
        answer: bool = self._ask("cancel_recovery")
        return answer

    def rescue_plan(self, limit: int = 1000) -> Plan:
        """See `EngineClient.rescue_plan`."""
        answer: Plan = self._ask("rescue_plan", limit=limit)
        return answer

    def rescue(self, *, digest: str | None, reason: str, limit: int = 1000) -> RecoveryResult:
        """See `EngineClient.rescue`."""
        answer: RecoveryResult = self._ask("rescue", digest=digest, reason=reason, limit=limit)
        return answer

    def resume_point(self, agent: str, at: str = "") -> ResumePoint:
        """See `EngineClient.resume_point`."""
        answer: ResumePoint = self._ask("resume_point", agent=agent, at=at)
        return answer

    def processes(self) -> ProcessReport:
        """See `EngineClient.processes`."""
        answer: ProcessReport = self._ask("processes")
        return answer

    def verify(self, names: Sequence[str], level: VerifyLevel) -> VerifyResult:
        """See `EngineClient.verify`."""
        answer: VerifyResult = self._ask("verify", names=names, level=level)
        return answer

    def repair(self, level: VerifyLevel) -> VerifyResult:
        """See `EngineClient.repair`."""
        answer: VerifyResult = self._ask("repair", level=level)
        return answer

    def cancel_verification(self) -> bool:
        """See `EngineClient.cancel_verification`."""
        answer: bool = self._ask("cancel_verification")
        return answer

    def integrity(self, limit: int = 50) -> IntegrityReport:
        """See `EngineClient.integrity`."""
        answer: IntegrityReport = self._ask("integrity", limit=limit)
        return answer

    def drill(self, name: str = "latest", scenarios: Sequence[str] = (), *, reason: str = "") -> DrillReport:
        """See `EngineClient.drill`."""
        answer: DrillReport = self._ask("drill", name=name, scenarios=scenarios, reason=reason)
        return answer

    def drills(self, limit: int = 20) -> DrillHistory:
        """See `EngineClient.drills`."""
        answer: DrillHistory = self._ask("drills", limit=limit)
        return answer

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
        answer: FindResult = self._ask(
            "find", text=text, between=between, component=component, ignore_case=ignore_case, limit=limit
        )
        return answer

    def recommend(self, name: str | None = None) -> Recommendation:
        """See `EngineClient.recommend`."""
        answer: Recommendation = self._ask("recommend", name=name)
        return answer

    def metrics(self, hours: int = HOURS) -> MetricsReport:
        """See `EngineClient.metrics`."""
        answer: MetricsReport = self._ask("metrics", hours=hours)
        return answer

    def alerts(self) -> tuple[Alert, ...]:
        """See `EngineClient.alerts`."""
        answer: tuple[Alert, ...] = self._ask("alerts")
        return answer

    def acknowledge(self, alert: str, snooze_s: float = 0.0) -> Alert:
        """See `EngineClient.acknowledge`."""
        answer: Alert = self._ask("acknowledge", alert=alert, snooze_s=snooze_s)
        return answer

    def set_pinned(self, name: str, pinned: bool) -> Checkpoint:
        """See `EngineClient.set_pinned`."""
        answer: Checkpoint = self._ask("set_pinned", name=name, pinned=pinned)
        return answer

    def change_tags(self, name: str, add: Sequence[str] = (), remove: Sequence[str] = ()) -> Checkpoint:
        """See `EngineClient.change_tags`."""
        answer: Checkpoint = self._ask("change_tags", name=name, add=add, remove=remove)
        return answer

    def delete(self, name: str) -> str:
        """See `EngineClient.delete`."""
        answer: str = self._ask("delete", name=name)
        return answer

    def recent_events(self, limit: int = 200) -> list[tuple[str, dict[str, object]]]:
        """See `EngineClient.recent_events`."""
        answer: list[tuple[str, dict[str, object]]] = self._ask("recent_events", limit=limit)
        return answer
