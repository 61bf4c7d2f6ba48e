"""One scenario's stage: a scratch copy, the stopwatch, the product's own recovery, and the assertions after it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from maos_ckpt.backends.read_only import ReadOnlyBackend
from maos_ckpt.backends.retrying import RetryingBackend
from maos_ckpt.capture.save import SaveRequest, save_checkpoint
from maos_ckpt.codec.secret import Secret
from maos_ckpt.drill import checks
from maos_ckpt.drill.origin import Base, Origin, ProgressSink
from maos_ckpt.drill.scratch import Place
from maos_ckpt.drill_model import Assertion, DrillScenario, DrillStep
from maos_ckpt.model import (
    LOCAL_TIER,
    REMOTE_TIER,
    Checkpoint,
    Plan,
    Progress,
    RecoveryResult,
    Selection,
    Severity,
    TierRead,
    Trigger,
    VerifyLevel,
    VerifyTier,
)
from maos_ckpt.recovery.apply import recover
from maos_ckpt.recovery.plan import make_plan
from maos_ckpt.recovery.request import Request
from maos_ckpt.repository.connect import RemoteSettings
from maos_ckpt.repository.repository import Repository
from maos_ckpt.sources.base import Source
from maos_ckpt.verify import verify

#: Changes of a plan that an assertion names.
_NAMED_MAX = 3


class NotPassedError(Exception):
    """An assertion failed without which a scenario cannot go on; it has been noted."""


@dataclass(slots=True)
class Reads:
    """Stored objects and bytes that a scenario read, by tier."""

    objects: dict[str, int] = field(default_factory=dict)
    bytes: dict[str, int] = field(default_factory=dict)

    def add(self, repository: Repository) -> None:
        """Count what was read through a repository that is about to be closed."""
        local = repository.reader.bytes_read[LOCAL_TIER]
        if local:
            self._add(LOCAL_TIER, len(repository.backend.list("packs")), local)
        if repository.remote is None:
            return
        backend = repository.remote.uncached if repository.remote.connected else None
        inner = backend.inner if isinstance(backend, RetryingBackend) else None
        if isinstance(inner, ReadOnlyBackend):
            self._add(REMOTE_TIER, inner.objects_read, inner.bytes_read)

    def _add(self, tier: str, objects: int, size: int) -> None:
        self.objects[tier] = self.objects.get(tier, 0) + objects
        self.bytes[tier] = self.bytes.get(tier, 0) + size

    def tiers(self) -> tuple[TierRead, ...]:
        """As a report shows them; a scratch copy begins with an empty cache, so nothing came from one."""
        return tuple(TierRead(one, self.objects[one], self.bytes[one], cache_bypassed=True) for one in self.bytes)


@dataclass(slots=True)
class Stage:
    """What a scenario plays on. `fault_ms` and the stopwatch are set by `begin_fault`."""

    origin: Origin
    base: Base
    scenario: DrillScenario
    place: Place
    progress: ProgressSink
    assertions: list[Assertion] = field(default_factory=list)
    steps: list[DrillStep] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    reads: Reads = field(default_factory=Reads)
    fault: str = ""
    checkpoint: Checkpoint | None = None
    rto_s: float | None = None
    rpo_s: float | None = None
    _began_s: float = 0.0
    _fault_s: float = 0.0
    _fault_ms: int = 0

    def __post_init__(self) -> None:
        self._began_s = self._now_s()

    def _now_s(self) -> float:
        return self.origin.seams.clock.monotonic_s()

    # Telling

    def step(self, name: str) -> None:
        """The scenario goes on to its next step."""
        self.steps.append(DrillStep(name, round(self._now_s() - self._began_s, 3)))
        self.progress(Progress("drill", self.scenario.value, len(self.steps), detail=name))

    def check(self, name: str, passed: bool, detail: str = "") -> bool:
        """Note an assertion; returns whether it held."""
        self.assertions.append(Assertion(name, passed, detail))
        return passed

    def require(self, name: str, passed: bool, detail: str = "") -> None:
        """Note an assertion without which the scenario ends; raises NotPassedError."""
        if not self.check(name, passed, detail):
            raise NotPassedError

    @property
    def passed(self) -> bool:
        """Whether something was asserted, and all of it held."""
        return bool(self.assertions) and all(one.passed for one in self.assertions)

    # The fault, and the stopwatch

    def clone_base(self) -> None:
        """Take a copy of the recovered checkpoint as the system that things happen to."""
        self.step("copy the rehearsal's system")
        self.require("the checkpoint can be recovered at all", not self.base.failure, self.base.failure)
        self.place = self.base.place.clone(self.place.path)

    def begin_fault(self, what: str) -> None:
        """The fault happens now: the stopwatch runs from here."""
        self.fault = what
        self._fault_s, self._fault_ms = self._now_s(), self.origin.seams.clock.now_ms()
        self.step("the fault")

    def stop_watch(self, checkpoint: Checkpoint) -> None:
        """The recovery is verified: what it took, and what it would have lost, against what is expected."""
        expected = self.origin.expected
        self.checkpoint = checkpoint
        self.rto_s = round(self._now_s() - self._fault_s, 3)
        self.rpo_s = round(self.origin.lost_s(checkpoint, self._fault_ms), 3)
        found = f"{self.rto_s:.1f} s of {expected.rto_s:g} s"
        self.check(
            "recovered and verified within performance.max_recovery_time_ms", self.rto_s <= expected.rto_s, found
        )
        if expected.rpo_s is not None:
            found = f"{self.rpo_s:.1f} s of {expected.rpo_s:g} s (interval_seconds and a save)"
            self.check("no more work lost than between two checkpoints", self.rpo_s <= expected.rpo_s, found)

    # The product's own code, on the scratch copy

    @contextlib.contextmanager
    def opened(self, *, remote: RemoteSettings | None = None, key: Secret | None = None) -> Iterator[Repository]:
        """The scratch repository; `key` None opens with the key that opens the real one."""
        repository = Repository.open(
            self.place.repository, self.origin.seams, remote=remote, key=key or self.origin.master
        )
        with self.using(repository):
            yield repository

    @contextlib.contextmanager
    def using(self, repository: Repository) -> Iterator[Repository]:
        """Count what is read through a repository, and close it."""
        try:
            yield repository
        finally:
            self.reads.add(repository)
            repository.close()

    def source(self) -> Source:
        """The scratch copy of the source."""
        return self.place.source(self.origin.checkpoint.source, self.origin.seams)

    @property
    def database(self) -> Path | None:
        """The scratch database, where there is one now."""
        database = self.source().database
        return database if database is not None and database.exists() else None

    def quietly(self, _: Progress) -> None:
        """Progress within a step, at which a drill can be stopped; its own steps are what people see."""
        self.progress(Progress("drill", self.scenario.value, len(self.steps), detail=self.steps[-1].name))

    def plan(self, repository: Repository, checkpoint: Checkpoint, selection: Selection) -> Plan:
        """What recovering would change in the scratch copy now."""
        return make_plan(
            repository,
            self.source(),
            checkpoint,
            selection,
            limit=_NAMED_MAX,
            progress=self.quietly,
            seams=self.origin.seams,
        )

    def save(self, repository: Repository, description: str) -> Checkpoint:
        """A checkpoint of the scratch copy, in the scratch repository."""
        with repository.lease("save"):
            request = SaveRequest(Trigger.MANUAL, description)
            return save_checkpoint(repository, self.source(), request, self.quietly, self.origin.seams)

    def recover(self, repository: Repository, checkpoint: Checkpoint, selection: Selection) -> RecoveryResult:
        """Plan, then apply exactly that plan."""
        self.step("plan the recovery")
        plan = self.plan(repository, checkpoint, selection)
        self.require("the plan sees the damage", plan.summary.total > 0, _counted(plan))
        self.step("apply the plan")
        request = Request(checkpoint, selection, plan.digest, f"drill: {self.scenario.value}", _NAMED_MAX)
        with repository.lease("restore"):
            result = recover(repository, self.source(), request, self.quietly, self.origin.seams)
        detail = f"{result.plan.summary.total} records in {result.duration_s:.2f} s"
        self.check("the plan was applied", result.applied and not result.skipped, "; ".join(result.skipped) or detail)
        self.check("the recovery verified itself", result.verified, "; ".join(result.notes[:_NAMED_MAX]))
        return result

    # What has to hold afterwards

    def assert_recovered(
        self,
        repository: Repository,
        checkpoint: Checkpoint,
        selection: Selection,
        before: Checkpoint | None = None,
        *,
        tier: VerifyTier | None = VerifyTier.LOCAL,
    ) -> None:
        """Everything that must hold after every recovery, then the stopwatch, then the operator's own checks.

        Args:
            before: a checkpoint of the scratch copy just before the fault, where that was not `checkpoint`'s state.
            tier: where the checkpoint's objects are verified in full; None where the recovery itself read them all.
        """
        self.step("verify")
        again = self.plan(repository, checkpoint, selection)
        self.check("planning again finds nothing to do", again.summary.total == 0, _left(again))
        whole = (
            again if selection.whole and before is None else self.plan(repository, before or checkpoint, Selection())
        )
        self.check("everything else is as it was before the fault", whole.summary.total == 0, _left(whole))
        self._assert_references(whole)
        if self.database is not None:
            self.assertions.append(checks.integrity(self.database))
        if tier is not None:
            found = verify(repository, [checkpoint], VerifyLevel.FULL, self.quietly, tier=tier)
            detail = "; ".join(one.message for one in found.findings[:_NAMED_MAX])
            self.check("the checkpoint verifies in full", found.ok, detail or f"{found.bytes:,} bytes")
        self.stop_watch(checkpoint)
        self._own_checks(checkpoint)

    def _assert_references(self, plan: Plan) -> None:
        """`plan` leads back to the state before the fault: what it would mend dangles since the fault."""
        new = [one for one in plan.findings if one.kind == "references" and one.severity is Severity.INFO]
        told = [one.message for one in new if one.object != "limit"]
        before, after = self.base.dangling, None if self.database is None else checks.dangling(self.database)
        more = before is not None and after is not None and after > before
        if more:
            told.append(f"{after} foreign keys lead to nobody, {before} before")
        self.check("no reference leads to nobody that did not before", not told, "; ".join(told[:_NAMED_MAX]))

    def _own_checks(self, checkpoint: Checkpoint) -> None:
        expected, database = self.origin.expected, self.database
        if expected.sql or expected.command:
            self.step("the operator's own checks")
        for one in expected.sql:
            if database is None:
                self.check(f"SQL: {one.statement}", False, "There is no database.")
            else:
                self.assertions.append(checks.run_sql(database, one, self.origin.seams))
        if expected.command:
            variables = {
                "MAOS_DRILL_DIRECTORY": str(self.place.work),
                "MAOS_DRILL_DATABASE": "" if database is None else str(database),
                "MAOS_DRILL_TRANSCRIPTS": str(self.place.claude),
                "MAOS_DRILL_SCENARIO": self.scenario.value,
                "MAOS_DRILL_CHECKPOINT": checkpoint.id,
            }
            self.assertions.append(checks.run_command(expected.command, self.place.work, variables))


def _left(plan: Plan) -> str:
    return _counted(plan) if plan.summary.total else ""


def _counted(plan: Plan) -> str:
    found = plan.summary
    named = ", ".join(f"{one.component}/{one.collection}/{one.key}" for one in plan.changes[:_NAMED_MAX])
    return f"{found.added} to add, {found.modified} to change, {found.removed} to remove" + (named and f": {named}")
