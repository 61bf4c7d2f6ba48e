"""What comes before the first write of a recovery: the safety checkpoint, the plan made from it, and the intent."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from maos_ckpt.capture.known_changes import KnownChanges
from maos_ckpt.capture.save import SaveRequest, save_checkpoint
from maos_ckpt.client import ProgressSink
from maos_ckpt.codec.policy import CodecSettings
from maos_ckpt.errors import IntegrityError
from maos_ckpt.model import Checkpoint, Plan, Progress, Trigger
from maos_ckpt.recovery import journal
from maos_ckpt.recovery.damage import distrust_latest, naming_damage
from maos_ckpt.recovery.kept_changes import KeptChanges
from maos_ckpt.recovery.known import require_collections, require_records
from maos_ckpt.recovery.plan import builds_database, damage_findings, plan_quickly
from maos_ckpt.recovery.planner import Planner
from maos_ckpt.recovery.request import Request, plan_moved
from maos_ckpt.recovery.requested import requested
from maos_ckpt.recovery.schema_changes import can_drop
from maos_ckpt.recovery.steps import Step
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import Seams
from maos_ckpt.sources.base import Source
from maos_ckpt.sources.sqlite.live import Held
from maos_ckpt.states import SavedState, StoredState

#: Damaged chunks of the newest checkpoint that one recovery finds, one at a time.
_DISTRUSTS_MAX: Final = 4
_ID_BYTES: Final = 8
_DIAGNOSIS = Progress("recovery", "diagnosis")


@dataclass(slots=True)
class Prepared:
    """A recovery that can begin. `intent` None: nothing differs, and there is nothing to do. `close` it."""

    plan: Plan
    planner: Planner
    changes: KeptChanges
    known: KnownChanges
    safety: Checkpoint
    intent: journal.Intent | None = None

    def close(self) -> None:
        """Forget the changes; safe to call twice."""
        self.changes.close()
        self.known.close()

    def writing(self, progress: ProgressSink) -> Callable[[int], None]:
        """Reports how many changes are written, and their share of the bytes."""
        total, size = self.plan.summary.total, self.plan.write_bytes
        return lambda done: progress(Progress("recovery", "write", done, total, size * done // max(total, 1)))


@dataclass(frozen=True, slots=True)
class Preparation:
    """Whatever a recovery is prepared from.

    `before` is the source as it is captured: without its database where that is damaged, as `damage` says; `aside` is
    where that one goes.
    """

    repository: Repository
    source: Source
    before: Source
    request: Request
    seams: Seams
    damage: str = ""
    aside: Path | None = None

    def prepare(self, held: Held | None, progress: ProgressSink) -> Prepared:
        """Save what is there, plan from it, and note the intent.

        Where the newest checkpoint, which the safety checkpoint builds on, turns out to be damaged, once more without
        trusting it.

        Raises:
            PlanMovedError, NotFoundError: see `apply.recover`; nothing is left of the preparation.
        """
        for _ in range(_DISTRUSTS_MAX):
            try:
                return self._prepare(held, progress)
            except IntegrityError as error:
                if not distrust_latest(self.repository, error):
                    raise
        return self._prepare(held, progress)

    def _prepare(self, held: Held | None, progress: ProgressSink) -> Prepared:
        repository = self.repository
        with contextlib.ExitStack() as failed:
            known = failed.enter_context(contextlib.closing(KnownChanges()))
            safety = self._save_safety(held, progress, known)
            self.seams.steps.reached(Step.SAVED)
            failed.callback(repository.remove, safety)
            aim = self.request.checkpoint if self.request.compute is None else safety
            prepared = self._plan(aim, safety, known, held, progress)
            if prepared.plan.summary.total == 0:
                return prepared
            failed.callback(prepared.close)
            prepared.intent = self._begin(aim, prepared, held)
            failed.pop_all()
        self.seams.steps.reached(Step.INTENDED)
        return prepared

    def _begin(self, aim: Checkpoint, prepared: Prepared, held: Held | None) -> journal.Intent:
        request, planner = self.request, prepared.planner
        intent = journal.Intent(
            id=self.seams.random.token(_ID_BYTES).hex(),
            checkpoint=aim.id,
            chosen=request.selection,
            only=request.only,
            extra=sorted(planner.extra),
            safety=prepared.safety.id,
            digest=prepared.plan.digest,
            reason=request.reason,
            started_at_ms=self.seams.clock.now_ms(),
            undo=request.undo,
            created=sorted(can_drop(planner.creates)),
            builds=held is None and self.source.database is not None and builds_database(planner),
            aside=str(self.aside or ""),
            pinned=request.pinned,
        )
        journal.begin(self.repository, intent)
        return intent

    def _plan(
        self, aim: Checkpoint, safety: Checkpoint, known: KnownChanges, held: Held | None, progress: ProgressSink
    ) -> Prepared:
        request = self.request
        progress(Progress("recovery", "plan"))
        live = SavedState(self.repository, safety, "live", known)
        target = StoredState(self.repository, aim)
        # Of a plan that was shown it is known that all of it is there.
        named = request.named if request.digest is None else None
        with contextlib.ExitStack() as failed, naming_damage(self.repository, aim, request.selection):
            if named is not None:
                require_collections(named, target, live)
            planner = requested(self.repository, request, live, target, lambda: progress(_DIAGNOSIS))
            changes = KeptChanges(lambda files: planner.changes(files=files))
            failed.callback(changes.close)
            stopped = () if held is None else held.stopped
            plan = plan_quickly(planner, self.source, stopped, request.limit, progress, "recovery", changes.add)
            about = (*damage_findings(planner, self.damage), *request.findings)
            plan = replace(plan, findings=(*plan.findings, *about))
            if request.digest is not None and not plan.digest.startswith(request.digest):
                raise plan_moved(plan)
            if named is not None:
                beat = held.beat if held is not None else lambda: None
                require_records(planner.quiet, (target, live), beat)
            failed.pop_all()
        return Prepared(plan, planner, changes, known, safety)

    def _save_safety(self, held: Held | None, progress: ProgressSink, known: KnownChanges) -> Checkpoint:
        request = self.request
        what = "undo" if request.undo else f"recovery of {request.checkpoint.id}"
        if request.compute is not None:
            what = "rescue"
        description = f"before the {what}: {request.reason}" if request.reason else f"before the {what}"

        def relabel(step: Progress) -> None:
            progress(replace(step, operation="recovery", phase="safety checkpoint"))

        save = SaveRequest(Trigger.SAFETY, description, pinned=True, codec=CodecSettings(hasty=True))
        return save_checkpoint(self.repository, self.before, save, relabel, self.seams, held, known)
