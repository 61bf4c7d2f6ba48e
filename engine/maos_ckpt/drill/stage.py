"""One scenario's stage: a scratch copy, the stopwatch, and the product's own recovery, told step by step."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from maos_ckpt.capture.save import SaveRequest, save_checkpoint
from maos_ckpt.client import ProgressSink
from maos_ckpt.codec.secret import Secret
from maos_ckpt.drill.origin import Base, Origin
from maos_ckpt.drill.reads import Reads
from maos_ckpt.drill.scratch import Place
from maos_ckpt.model import (
    Checkpoint,
    Plan,
    Progress,
    RecoveryResult,
    Selection,
    Trigger,
)
from maos_ckpt.model.drills import Assertion, DrillScenario, DrillStep
from maos_ckpt.recovery.apply import recover
from maos_ckpt.recovery.open_plan import make_plan
from maos_ckpt.recovery.request import Request
from maos_ckpt.repository.connect import RemoteSettings
from maos_ckpt.repository.repository import Repository
from maos_ckpt.safe_text import clipped
from maos_ckpt.sources.base import Source

#: Changes of a plan, notes and findings that an assertion names.
NAMED_MAX = 3
#: Of what is said of an assertion: keys of a state are as long as they like, and a report is read back whole.
_DETAIL_CHARACTERS_MAX = 2000
#: The phase before the first scenario.
PREPARING = "prepare"


_T = TypeVar("_T")


class NotPassedError(Exception):
    """An assertion failed without which a scenario cannot go on; it has been noted."""


@dataclass(slots=True)
class Stage:
    """What a scenario plays on; without one, what all of them begin with is made here."""

    origin: Origin
    base: Base
    scenario: DrillScenario | None
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

    @property
    def phase(self) -> str:
        """The scenario's name, or that it is being prepared."""
        return PREPARING if self.scenario is None else self.scenario.value

    def step(self, name: str) -> None:
        """The scenario goes on to its next step."""
        self.steps.append(DrillStep(name, round(self._now_s() - self._began_s, 3)))
        self.tell()

    def tell(self) -> None:
        """Tell which step it is; also where a drill can be stopped."""
        self.progress(Progress("drill", self.phase, len(self.steps), detail=self.steps[-1].name))

    def check(self, name: str, passed: bool, detail: str = "") -> None:
        """Note an assertion."""
        self.assertions.append(Assertion(name, passed, clipped(detail, _DETAIL_CHARACTERS_MAX)))

    def require(self, name: str, passed: bool, detail: str = "") -> None:
        """Note an assertion without which the scenario ends; raises NotPassedError."""
        self.check(name, passed, detail)
        if not passed:
            raise NotPassedError

    def require_found(self, name: str, found: _T | None) -> _T:
        """As `require`, that there is something; gives it."""
        self.require(name, found is not None)
        assert found is not None
        return found

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
        """Progress within a step: a drill's own steps are what people see."""
        self.tell()

    def plan(self, repository: Repository, checkpoint: Checkpoint, selection: Selection) -> Plan:
        """What recovering would change in the scratch copy now."""
        request = Request(checkpoint, selection, limit=NAMED_MAX)
        return make_plan(repository, self.source(), request, self.quietly, self.origin.seams)

    def save(self, repository: Repository, description: str) -> Checkpoint:
        """A checkpoint of the scratch copy, in the scratch repository."""
        with repository.lease("save"):
            request = SaveRequest(Trigger.MANUAL, description)
            return save_checkpoint(repository, self.source(), request, self.quietly, self.origin.seams)

    def recover(self, repository: Repository, checkpoint: Checkpoint, selection: Selection) -> RecoveryResult:
        """Plan, then apply exactly that plan."""
        self.step("plan the recovery")
        plan = self.plan(repository, checkpoint, selection)
        self.require("the plan sees the damage", plan.summary.total > 0, counted(plan))
        self.step("apply the plan")
        request = Request(checkpoint, selection, plan.digest, f"drill: {self.phase}", NAMED_MAX)
        with repository.lease("restore"):
            result = recover(repository, self.source(), request, self.quietly, self.origin.seams)
        detail = f"{result.plan.summary.total} records in {result.duration_s:.2f} s"
        self.check(
            "the plan was applied",
            result.applied and not result.skipped,
            "; ".join(result.skipped[:NAMED_MAX]) or detail,
        )
        self.check("the recovery verified itself", result.verified, "; ".join(result.notes[:NAMED_MAX]))
        return result


def counted(plan: Plan) -> str:
    """How many changes a plan has, and the first of them; untrusted text."""
    found = plan.summary
    named = ", ".join(f"{one.component}/{one.collection}/{one.key}" for one in plan.changes[:NAMED_MAX])
    return f"{found.added} to add, {found.modified} to change, {found.removed} to remove" + (named and f": {named}")
