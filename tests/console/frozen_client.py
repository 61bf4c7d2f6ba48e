"""A client that answers with frozen values, for snapshots alone.

What the console *does* is tested against a real engine on a real MAOS (test_flows); this only gives every run the same
picture.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace

from maos_ckpt.client import EVERYTHING, EventSink
from maos_ckpt.errors import CkptError, NotFoundError
from maos_ckpt.model import (
    RESCUE,
    Advice,
    ChangeKind,
    Checkpoint,
    CheckpointState,
    DiffResult,
    EngineStatus,
    FindResult,
    Plan,
    ProcessReport,
    Recommendation,
    RecoveryResult,
    ResumePoint,
    RunningOperation,
    Selection,
    TierStatus,
    Trigger,
    VerifyLevel,
    VerifyResult,
)
from maos_ckpt.model.alerts import Alert, AlertState
from maos_ckpt.model.contents import Exported, History, RecordPage
from maos_ckpt.model.drills import DrillHistory, DrillReport
from maos_ckpt.model.integrity import IntegrityReport
from maos_ckpt.model.metrics import HOURS, MetricsReport
from tests.console.fixtures import (
    CHANGES,
    FINDINGS,
    INTERVAL_S,
    NOW_MS,
    RUNNING,
    SOURCE,
    count_changes,
    make_checkpoints,
    make_events,
    make_integrity,
)
from tests.console.frozen_drills import DRILLED, HISTORY
from tests.console.frozen_metrics import day_report
from tests.console.frozen_records import frozen_history, frozen_page

UNREAD = "It has not been read back in full since it was taken."


class FrozenClient:
    """An engine that stands still; attributes are the answers."""

    shared = False

    def __init__(
        self, number: int = 64, *, error: CkptError | None = None, running: RunningOperation | None = None
    ) -> None:
        self.listed = make_checkpoints(number)
        self.error = error
        self.running = running
        self.changes = CHANGES
        self.read_only = False
        self.damaged_manifests: tuple[str, ...] = ()
        self.held: list[frozenset[str]] = []
        self.tiers: tuple[TierStatus, ...] = ()
        self.standing: tuple[Alert, ...] = ()
        self.asked = 0

    def start(self) -> None:
        return None

    def close(self, timeout_s: float) -> bool:
        return True

    def stop_engine(self, timeout_s: float) -> bool:
        return self.close(timeout_s)

    def subscribe(self, sink: EventSink) -> Callable[[], None]:
        return lambda: None

    def status(self) -> EngineStatus:
        self.asked += 1
        return EngineStatus(
            source=SOURCE,
            repository="/srv/agents/team-alpha/.maos-ckpt",
            role="engine",
            owner="",
            interval_s=INTERVAL_S,
            next_run_at_ms=NOW_MS + 18_000,
            last_success=self.listed[0] if self.listed else None,
            last_error=self.error.message if self.error else "",
            last_error_at_ms=NOW_MS - 2_000 if self.error else None,
            running=self.running,
            checkpoints=len(self.listed),
            repository_bytes=sum(one.stored_bytes for one in self.listed),
            missed_ticks=2,
            read_only=self.read_only,
            damaged_manifests=self.damaged_manifests,
            tiers=self.tiers,
            alerts=self.standing,
        )

    def checkpoints(self, limit: int = 500) -> list[Checkpoint]:
        return self.listed[:limit]

    def checkpoint(self, name: str) -> Checkpoint:
        for one in self.listed:
            if name in (one.id, one.id[-6:]):
                return one
        raise NotFoundError(f"There is no checkpoint {name!r}.")

    def hold(self, names: frozenset[str]) -> None:
        self.held.append(names)

    def save(self, description: str = "", tags: Sequence[str] = (), *, trigger: Trigger = Trigger.MANUAL) -> Checkpoint:
        return self._newest()

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
        return frozen_page(name if name == "live" else self.checkpoint(name).id, record, limit)

    def history(self, key: str, limit: int = 1000) -> History:
        return frozen_history(key)

    def export(self, name: str, to: str) -> Exported:
        return Exported(self.checkpoint(name).id, to, ())

    def change_tags(self, name: str, add: Sequence[str] = (), remove: Sequence[str] = ()) -> Checkpoint:
        return self.checkpoint(name)

    def diff(self, before: str, after: str, limit: int = 1000) -> DiffResult:
        total, parts = count_changes(self.changes)
        return DiffResult(before, after, total, parts, self.changes[:limit], len(self.changes) > limit)

    def plan(self, name: str, selection: Selection, limit: int = 1000) -> Plan:
        listed = (one for one in self.changes if selection.whole or one.component in selection.components)
        changes = tuple(one for one in listed if selection.exact or one.kind is not ChangeKind.REMOVED)
        total, parts = count_changes(changes)
        digest = hashlib.sha256(name.encode()).hexdigest()
        return Plan(name, selection, digest, total, parts, changes[:limit], False, FINDINGS, 41_200, 0.4, RUNNING)

    def recover(
        self, name: str, selection: Selection, *, digest: str | None, reason: str, limit: int = 1000
    ) -> RecoveryResult:
        commands = ("cd /srv/agents/team-alpha && claude --resume 5f0c2a9e-8f5f-4a43-9d6e-0f8f2c7a1b11",)
        return RecoveryResult(self.plan(name, selection), True, True, self.listed[0].id, 0.41, 0.12, commands, ())

    def recover_to(
        self, name: str, selection: Selection, to: str, *, digest: str | None, limit: int = 1000, dry_run: bool = False
    ) -> RecoveryResult:
        return RecoveryResult(self.plan(name, selection), not dry_run, not dry_run, None, 0.3)

    def cancel_recovery(self) -> bool:
        return False

    def rescue_plan(self, limit: int = 1000) -> Plan:
        return self.plan(RESCUE, Selection(), limit)

    def rescue(self, *, digest: str | None, reason: str, limit: int = 1000) -> RecoveryResult:
        return RecoveryResult(self.rescue_plan(limit), True, True, self.listed[0].id, 0.41)

    def resume_point(self, agent: str, at: str = "") -> ResumePoint:
        return ResumePoint(agent, "5f0c2a9e-8f5f-4a43-9d6e-0f8f2c7a1b11", at, "", Selection())

    def processes(self) -> ProcessReport:
        return ProcessReport((), (), ("What other users run cannot be seen.",))

    def find(
        self,
        text: str,
        *,
        between: tuple[str, str] | None = None,
        component: str | None = None,
        ignore_case: bool = False,
        limit: int = 1000,
    ) -> FindResult:
        return FindResult(text, (), False, len(self.listed), 0)

    def recommend(self, name: str | None = None) -> Recommendation:
        best = next(one for one in self.listed[2:] or self.listed if one.state is not CheckpointState.DAMAGED)
        reasons = (
            "The last one before it went wrong (2026-01-10 02:13:35 to 02:14:05 UTC): 3 agents "
            "turned failed (reviewer-8f3a12cd, writer-0011aabb, analyst-77aa01ce).",
            "1 min 12 s of work would be lost: 14 turns, 2 new tasks, 31 messages.",
        )
        advice = Advice(best.id, best.created_at_ms, reasons, (UNREAD,), {"turns": 14}, 72.0)
        if name in (None, best.id):
            return Recommendation(advice, advice, None, len(self.listed), True)
        asked = self.checkpoint(name)
        held = "It holds the damage, or a part of it (2026-01-10 02:13:35 to 02:14:05 UTC): 3 agents turned failed."
        about = Advice(asked.id, asked.created_at_ms, ("2 s of work would be lost: 1 turn.",), (held, UNREAD), {}, 2.0)
        return Recommendation(advice, about, None, len(self.listed), True)

    def undo_plan(self, limit: int = 1000, only: Selection = EVERYTHING) -> Plan:
        return self.plan(self._newest().id, Selection(exact=True), limit)

    def undo(
        self, *, digest: str | None, reason: str, limit: int = 1000, only: Selection = EVERYTHING
    ) -> RecoveryResult:
        return self.recover(self._newest().id, Selection(exact=True), digest=digest, reason=reason)

    def _newest(self) -> Checkpoint:
        if not self.listed:
            raise NotFoundError("There is no checkpoint yet.")
        return self.listed[0]

    def verify(self, names: Sequence[str], level: VerifyLevel) -> VerifyResult:
        return VerifyResult(level, True, len(names), 14, 4_300_000, (), 0.32)

    def repair(self, level: VerifyLevel) -> VerifyResult:
        return self.verify((), level)

    def cancel_verification(self) -> bool:
        return False

    def integrity(self, limit: int = 50) -> IntegrityReport:
        return make_integrity(self.listed)

    def drill(self, name: str = "latest", scenarios: Sequence[str] = (), *, reason: str = "") -> DrillReport:
        return DRILLED[0]

    def drills(self, limit: int = 20) -> DrillHistory:
        return HISTORY

    def set_pinned(self, name: str, pinned: bool) -> Checkpoint:
        return replace(self.checkpoint(name), pinned=pinned)

    def delete(self, name: str) -> str:
        return self.checkpoint(name).id

    def metrics(self, hours: int = HOURS) -> MetricsReport:
        return day_report(hours)

    def alerts(self) -> tuple[Alert, ...]:
        return self.standing

    def acknowledge(self, alert: str, snooze_s: float = 0.0) -> Alert:
        return replace(self.standing[0], state=AlertState.ACKNOWLEDGED)

    def recent_events(self, limit: int = 200) -> list[tuple[str, dict[str, object]]]:
        return make_events(self.listed)[:limit]
