"""The protocol between a console and an engine; embedded and remote engines both speak it.

All methods block and may be called from any thread; those marked *long* run for seconds and report through `Progress`.
Every method may raise `CkptError`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from maos_ckpt.events import Event
from maos_ckpt.model import (
    Checkpoint,
    DiffResult,
    EngineStatus,
    FindResult,
    Plan,
    ProcessReport,
    Progress,
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

ProgressSink = Callable[[Progress], None]
EventSink = Callable[[Event], None]
EVERYTHING = Selection()


class EngineClient(Protocol):
    """Everything a console can ask of an engine."""

    #: Whether the engine goes on when this client is closed, since it is not this process's own.
    shared: bool = False

    def start(self) -> None:
        """Begin the schedule (embedded) or connect (remote)."""
        ...

    def close(self, timeout_s: float) -> bool:
        """End cleanly: let the running operation finish, then stop. False where `timeout_s` passed first.

        A shared engine is only left, and goes on.
        """
        ...

    def stop_engine(self, timeout_s: float) -> bool:
        """As `close`, and end a shared engine for all its clients, too. False where it had not ended by then."""
        ...

    def subscribe(self, sink: EventSink) -> Callable[[], None]:
        """Call `sink` with every event, `OperationProgressed` included, from an engine thread; returns the way out."""
        ...

    def status(self) -> EngineStatus:
        """The state of engine, schedule and repository now."""
        ...

    def checkpoints(self, limit: int = 500) -> list[Checkpoint]:
        """Newest first."""
        ...

    def checkpoint(self, name: str) -> Checkpoint:
        """One checkpoint by id, unique prefix, ending, `latest` or `latest~N`."""
        ...

    def hold(self, names: frozenset[str]) -> None:
        """These checkpoints (full ids) are on a screen: retention keeps them until the next call replaces the set, or
        for 15 minutes. Quick; a person may still delete them."""
        ...

    def save(self, description: str = "", tags: Sequence[str] = (), *, trigger: Trigger = Trigger.MANUAL) -> Checkpoint:
        """Long: one checkpoint now; `trigger` is `manual` or `api`."""
        ...

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
        """Long: a page of a checkpoint's records, or with `live` of the live state's.

        Args:
            record: a glob over the key, or over component/collection/key; only the collection that it begins with is
                looked through then.
            after: the `next` of the page before.
            clip: values of more characters or bytes come as their beginning, `$clipped` (see `fields`).
        """
        ...

    def history(self, key: str, limit: int = 1000) -> History:
        """Long: how one record changed over the checkpoints; the newest `limit` versions, oldest first."""
        ...

    def export(self, name: str, to: str) -> Exported:
        """Long: a checkpoint as plain files, at an absolute path on the engine's machine where there is nothing yet.

        Raises:
            ConflictError: there is something at that place.
        """
        ...

    def diff(self, before: str, after: str, limit: int = 1000) -> DiffResult:
        """Long where a side is `live`: what differs; at most `limit` changes listed."""
        ...

    def plan(self, name: str, selection: Selection, limit: int = 1000) -> Plan:
        """Long: what recovering `selection` of a checkpoint would change. Changes nothing; retention leaves the
        checkpoint alone for 15 minutes."""
        ...

    def recover(
        self, name: str, selection: Selection, *, digest: str | None, reason: str, limit: int = 1000
    ) -> RecoveryResult:
        """Long: apply exactly the plan of that digest, or, with `digest=None`, the plan as it is at that moment.

        Raises:
            PlanMovedError: a touched live record moved since the plan; nothing was written.
        """
        ...

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
        """Long: build the selected part at another place, `sqlite:NEW.db`, `maos:DIR` or `dir:PATH` with an absolute
        path, and read it back. The live state is neither read nor touched.

        Raises:
            ConflictError: there is something at that place.
        """
        ...

    def undo_plan(self, limit: int = 1000, only: Selection = EVERYTHING) -> Plan:
        """Long: what taking back the last recovery, or a part of it, would change."""
        ...

    def undo(
        self, *, digest: str | None, reason: str, limit: int = 1000, only: Selection = EVERYTHING
    ) -> RecoveryResult:
        """Long: take back the last recovery, or a part of it; itself undoable."""
        ...

    def cancel_recovery(self) -> bool:
        """Ask the recovery or undo that this engine carries out to stop; it does where it has not been committed.

        Quick; False where there is none. The call that began it raises InterruptedByUserError, or ends as usual.
        """
        ...

    def rescue_plan(self, limit: int = 1000) -> Plan:
        """Long: what would mend what a crash of MAOS left behind; its `checkpoint` is `RESCUE`."""
        ...

    def rescue(self, *, digest: str | None, reason: str, limit: int = 1000) -> RecoveryResult:
        """Long: mend it; undoable. Errors as `recover`'s, and ConflictError where all of it belongs to a live MAOS."""
        ...

    def resume_point(self, agent: str, at: str = "") -> ResumePoint:
        """Long: where an agent's conversation can be continued: at a checkpoint, or where it was last."""
        ...

    def processes(self) -> ProcessReport:
        """Every live MAOS of the engine's machine, its agents' processes, and those that have lost their MAOS."""
        ...

    def verify(self, names: Sequence[str], level: VerifyLevel) -> VerifyResult:
        """Long: check stored checkpoints; all where `names` is empty."""
        ...

    def repair(self, level: VerifyLevel) -> VerifyResult:
        """Long: check everything, and replace what is damaged or missing with what the other tier holds."""
        ...

    def cancel_verification(self) -> bool:
        """Ask the verification that this engine carries out to stop; nothing is marked or mended by it then.

        Quick; False where there is none. The call that began it raises InterruptedByUserError, or ends as usual.
        """
        ...

    def integrity(self, limit: int = 50) -> IntegrityReport:
        """How far what is stored has been read back, and the newest `limit` verifications."""
        ...

    def drill(self, name: str = "latest", scenarios: Sequence[str] = (), *, reason: str = "") -> DrillReport:
        """Long: rehearse recovering a checkpoint in a scratch copy; all scenarios where none is named. The live system
        is not touched.

        Raises:
            ConflictError: another drill is running.
        """
        ...

    def drills(self, limit: int = 20) -> DrillHistory:
        """The last drills, newest first, with the trend of each scenario."""
        ...

    def find(
        self,
        text: str,
        *,
        between: tuple[str, str] | None = None,
        component: str | None = None,
        ignore_case: bool = False,
        limit: int = 1000,
    ) -> FindResult:
        """Long: which records held a text, and in which checkpoints."""
        ...

    def recommend(self, name: str | None = None) -> Recommendation:
        """Long: which checkpoint to go back to, and why; and what is to be said about the one named."""
        ...

    def set_pinned(self, name: str, pinned: bool) -> Checkpoint:
        """Pin or unpin."""
        ...

    def change_tags(self, name: str, add: Sequence[str] = (), remove: Sequence[str] = ()) -> Checkpoint:
        """Add tags to a checkpoint and take others away."""
        ...

    def delete(self, name: str) -> str:
        """Remove a checkpoint; returns its id. Refused where it is pinned."""
        ...

    def metrics(self, hours: int = HOURS) -> MetricsReport:
        """What was measured in the last `hours`, from 1 to 168, and in all; the same before and after a restart.

        Raises:
            UsageError: `hours` is out of range.
        """
        ...

    def alerts(self) -> tuple[Alert, ...]:
        """The alerts that stand, the worst first; those that somebody has seen included."""
        ...

    def acknowledge(self, alert: str, snooze_s: float = 0.0) -> Alert:
        """An alert (its name or key) was seen: nothing more is sent until it clears, or with `snooze_s` for so long,
        at most 30 days.

        Raises:
            NotFoundError: no such alert stands.
        """
        ...

    def recent_events(self, limit: int = 200) -> list[tuple[str, dict[str, object]]]:
        """The journal's newest entries, newest first: (name, fields)."""
        ...
