"""What a drill is asked, what it measured and how it went; units as in `model`."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from maos_ckpt.model.verification import TierRead


class DrillScenario(StrEnum):
    """What a drill lets go wrong, in the order in which all of them are run."""

    FULL_LOSS = "full-loss"
    COMPONENT_CORRUPTED = "component-corrupted"
    MAD_AGENT = "mad-agent"
    DAMAGED_REPOSITORY = "damaged-repository"
    S3_AWAY = "s3-away"
    LOST_MACHINE = "lost-machine"
    WRONG_KEY = "wrong-key"
    INTERRUPTED_RECOVERY = "interrupted-recovery"


#: One line about each, for people.
SCENARIO_TITLES = {
    DrillScenario.FULL_LOSS: "Database, transcripts and files are gone",
    DrillScenario.COMPONENT_CORRUPTED: "One component is corrupted",
    DrillScenario.MAD_AGENT: "One agent went mad",
    DrillScenario.DAMAGED_REPOSITORY: "The local repository is damaged, the state is gone",
    DrillScenario.S3_AWAY: "S3 does not answer, the state is gone",
    DrillScenario.LOST_MACHINE: "The machine is gone, the bucket is left",
    DrillScenario.WRONG_KEY: "The wrong key is given, the state is gone",
    DrillScenario.INTERRUPTED_RECOVERY: "A recovery is killed half-way, twice",
}


#: What each step of a drill stands for on the day: what an operator would do or look at then.
STEP_HINTS = {
    "copy the rehearsal's system": "A recovered copy of the checkpoint is what things happen to from here on.",
    "recover the copy that the scenarios begin with": "The checkpoint is recovered once into an empty place.",
    "the fault": "Now it happens. The stopwatch that counts, the recovery time, runs from here.",
    "the others work on": "Other agents go on after the checkpoint; their work must survive the recovery.",
    "plan the recovery": "On the day: `maos-ckpt restore ID --dry-run`, or r in the overview. Read what would change.",
    "apply the plan": "On the day: a, a reason, the short id. A safety checkpoint first, then one transaction.",
    "verify": "Planning again must find nothing; then SQLite's own check, references, and the stored objects in full.",
    "the operator's own checks": "Statements of drill.sql and the program of drill.command, on the recovered copy.",
    "look into the bucket": "Only what has a second copy can be mended; what S3 has is listed first.",
    "find the damage": "On the day: `maos-ckpt verify --all`. What cannot be read is named.",
    "repair from the bucket": "On the day: `maos-ckpt verify --all --repair`. What was damaged is kept in quarantine.",
    "save while S3 is away": "Saves go on without S3; what it lacks is sent when it is back.",
    "make a home from the bucket": "On a new machine: `maos-ckpt restore latest --repo s3://... --dry-run`.",
    "try wrong keys": "Nothing may be read or changed with them.",
    "give the right key": "On the day: encryption_key, or the passphrase at the terminal. Where do you keep it?",
    "recover, killed just before its commit": "The recovery dies in its transaction: nothing may have happened.",
    "recover, killed after its commit, before the files": "The recovery dies half-way: the rest must follow.",
    "settle it": "On the day the next save or recovery does this by itself; `maos-ckpt status` says so.",
}


@dataclass(frozen=True, slots=True)
class Assertion:
    """One thing that had to hold. `detail` says what was found; it may hold state content (untrusted)."""

    name: str
    passed: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class DrillStep:
    """One step of a scenario, and how long after the scenario's begin it began."""

    name: str
    at_s: float


@dataclass(frozen=True, slots=True)
class ScenarioResult:
    """How one scenario went.

    Args:
        applicable: whether this system has what the scenario is about; where not, `why` says what is missing, and it
            counts neither as passed nor as failed.
        passed: every assertion held. `why` names the first that did not.
        fault: what was done to the scratch copy.
        checkpoint: the one that was recovered: a bucket may hold an older one than the machine did.
        rto_s: from the fault to the verified recovery; None where it did not come to that.
        rpo_s: how much work would have been lost: from the checkpoint's cut to the newest live change.
        reads: what was read of stored objects, by tier.
    """

    scenario: str
    applicable: bool
    passed: bool
    why: str = ""
    fault: str = ""
    checkpoint: str = ""
    rto_s: float | None = None
    rpo_s: float | None = None
    steps: tuple[DrillStep, ...] = ()
    assertions: tuple[Assertion, ...] = ()
    reads: tuple[TierRead, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DrillReport:
    """One drill. Passed where at least one scenario applied and each of those passed.

    Args:
        digest: SHA-512 of the drilled checkpoint's state, in hex.
        who: `user@host (pid)`; `trigger` is `manual` or `schedule`.
        rto_s, rpo_s: the worst of the scenarios; None where none got so far.
        rto_target_s, rpo_target_s: what they should stay below.
        reads: what was read of the real tiers: copied from the local repository, fetched from S3.
        evidence: path of the report for people; the same as JSON lies beside it.
    """

    id: str
    started_at_ms: int
    duration_s: float
    passed: bool
    checkpoint: str
    checkpoint_at_ms: int
    digest: str
    source: str
    repository: str
    repository_id: str
    who: str
    trigger: str
    reason: str
    versions: dict[str, str]
    scenarios: tuple[ScenarioResult, ...]
    rto_s: float | None
    rpo_s: float | None
    rto_target_s: float
    rpo_target_s: float
    reads: tuple[TierRead, ...] = ()
    evidence: str = ""

    @property
    def failed(self) -> tuple[str, ...]:
        """Scenarios that applied and did not pass."""
        return tuple(one.scenario for one in self.scenarios if one.applicable and not one.passed)


@dataclass(frozen=True, slots=True)
class ScenarioTrend:
    """One scenario over the last drills that it applied to, newest first in `rtos_s` (only those that got so far)."""

    scenario: str
    runs: int
    passed: int
    rtos_s: tuple[float, ...] = ()
    rto_median_s: float | None = None
    rto_worst_s: float | None = None


@dataclass(frozen=True, slots=True)
class DrillStatus:
    """Drills at a glance. Times in milliseconds since 1970-01-01 UTC; one that applied to nothing does not count.

    Args:
        state: `passed`, `failed`, `overdue` (the last complete one is longer ago than scheduled), `never` or `off`
            (never, and none is scheduled).
        interval_s: how often one is to be held; 0 where none is scheduled.
        last_at_ms: when the last one was; `rto_s`, `rpo_s` and `evidence` are of that one.
        complete_at_ms: when the last one was that rehearsed all that a scheduled one does.
        failed: scenarios that failed when they were last rehearsed, in whichever drill that was.
    """

    state: str
    interval_s: float
    last_at_ms: int | None = None
    complete_at_ms: int | None = None
    rto_s: float | None = None
    rpo_s: float | None = None
    failed: tuple[str, ...] = ()
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class DrillHistory:
    """The last drills, newest first, the trend of each scenario, and how drills stand."""

    reports: tuple[DrillReport, ...] = ()
    trends: tuple[ScenarioTrend, ...] = ()
    status: DrillStatus = field(default_factory=lambda: DrillStatus("never", 0.0))
