"""A drill from its first copy to its last assertion."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from maos_ckpt.client import ProgressSink
from maos_ckpt.drill import checks
from maos_ckpt.drill.copied import Copied, copy_repository, fetch_packs, needed_packs
from maos_ckpt.drill.limit import within
from maos_ckpt.drill.origin import Base, Origin
from maos_ckpt.drill.scenarios import SCENARIOS
from maos_ckpt.drill.scratch import Place, require_space
from maos_ckpt.drill.stage import NotPassedError, Stage
from maos_ckpt.errors import (
    CkptError,
    ConflictError,
    InterruptedByUserError,
    PermissionRefusedError,
    StorageError,
)
from maos_ckpt.fs import raise_storage_error
from maos_ckpt.model import REMOTE_TIER, Selection, TierRead
from maos_ckpt.model.drills import Assertion, DrillScenario, ScenarioResult
from maos_ckpt.recovery.apply import recover
from maos_ckpt.recovery.request import Request
from maos_ckpt.replication.pull import pull
from maos_ckpt.repository.repository import Repository

#: Copies of the state that lie on the disk at a time: the base, a scenario's own, and what its recovery writes beside.
_STATES_AT_ONCE = 4
_PACKS_AT_ONCE = 3
#: No room, no right, no key, somebody else at work: nothing was rehearsed. All else is what a drill is there to find.
_NOT_BEGUN = (StorageError, PermissionRefusedError, ConflictError)
#: The name of the assertion that holds for every scenario.
UNTOUCHED = "the real repository is as it was"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The scenarios' results, and what was read of the real tiers."""

    scenarios: tuple[ScenarioResult, ...]
    reads: tuple[TierRead, ...]


def run_scenarios(
    origin: Origin, wanted: Sequence[DrillScenario], scratch: Path, progress: ProgressSink, limit_s: float = 0.0
) -> Outcome:
    """Play these scenarios one after the other, each in a copy of its own below `scratch`. What is not done when
    `limit_s` have passed (0: never) has not passed.

    Raises:
        StorageError: there is no room.
        ConflictError: retention took an object while it was copied.
        InterruptedByUserError: the drill was asked to stop.
    """
    progress = within(limit_s, progress, origin.seams.clock)
    missing = {one: SCENARIOS[one].missing(origin) for one in wanted}
    playing = [one for one in wanted if not missing[one]]
    base, copied = Base(Place(scratch / "base"), failure="It was not needed."), None
    reads: list[TierRead] = []
    if any(SCENARIOS[one].from_base for one in playing):
        base, copied, fetched = _make_base(origin, scratch, progress)
        reads += [copied.read, *fetched] if copied is not None else fetched
    results = []
    for one in wanted:
        if missing[one]:
            results.append(ScenarioResult(one.value, applicable=False, passed=False, why=missing[one]))
            continue
        result = _play(origin, base, copied, one, scratch, progress)
        reads += [read for read in result.reads if read.tier == REMOTE_TIER]
        results.append(result)
    return Outcome(tuple(results), _summed(reads))


def _summed(reads: list[TierRead]) -> tuple[TierRead, ...]:
    tiers = dict.fromkeys(one.tier for one in reads)
    return tuple(
        TierRead(
            tier,
            sum(one.objects for one in reads if one.tier == tier),
            sum(one.bytes for one in reads if one.tier == tier),
            cache_bypassed=True,
        )
        for tier in tiers
    )


def _make_base(origin: Origin, scratch: Path, progress: ProgressSink) -> tuple[Base, Copied | None, list[TierRead]]:
    """Copy the checkpoint out of the real repository, and recover it into an empty place."""
    place = Place(scratch / "base")
    place.path.mkdir(mode=0o700)
    place.make()
    copied: Copied | None = None
    missing: tuple[str, ...] = ()
    stage = Stage(origin, Base(place), None, place, progress)
    try:
        live = Repository.open(origin.repository, origin.seams, read_only=True, key=origin.master)
        with contextlib.closing(live):
            packs = sum(live.backend.list("packs").values())
            needed = min(packs, origin.checkpoint.logical_bytes)
            require_space(scratch, _STATES_AT_ONCE * origin.checkpoint.logical_bytes + _PACKS_AT_ONCE * needed)
            copied = copy_repository(live, origin.checkpoint, place.repository, progress, origin.seams)
        stage.step("recover the copy that the scenarios begin with")
        # What the local repository has given away to the bucket is read from there.
        remote = None if copied.complete else origin.remote
        with stage.opened(remote=remote) as repository:
            if remote is not None:
                pull(repository, stage.quietly)
                wanted, _ = needed_packs(repository, repository.resolve(origin.checkpoint.id))
                missing = tuple(sorted(wanted - repository.backend.list("packs").keys()))
                fetch_packs(repository, missing, stage.quietly)
            checkpoint = repository.resolve(origin.checkpoint.id)
            with repository.lease("restore"):
                request = Request(checkpoint, Selection(), None, "drill")
                done = recover(repository, stage.source(), request, stage.quietly, origin.seams)
            left = stage.plan(repository, checkpoint, Selection()).summary.total
        failure = " ".join((f"{left} records differ after it was recovered.", *done.notes[:3])) if left else ""
    except InterruptedByUserError:
        raise
    except CkptError as error:
        if isinstance(error, _NOT_BEGUN) and copied is None:
            raise
        failure = error.message
    dangling = None if failure or stage.database is None else checks.dangling(stage.database)
    fetched = [one for one in stage.reads.tiers() if one.tier == REMOTE_TIER]
    return Base(place, missing, dangling, failure), copied, fetched


def _play(
    origin: Origin, base: Base, copied: Copied | None, scenario: DrillScenario, scratch: Path, progress: ProgressSink
) -> ScenarioResult:
    stage = Stage(origin, base, scenario, Place(scratch / scenario.value), progress)
    try:
        _carry_out(stage, scenario)
    finally:
        shutil.rmtree(scratch / scenario.value, ignore_errors=True)
    changed = [] if copied is None else copied.changed()
    stage.check(UNTOUCHED, not changed, ", ".join(changed[:3]))
    failed = next((one for one in stage.assertions if not one.passed), None)
    return ScenarioResult(
        scenario=scenario.value,
        applicable=True,
        passed=stage.passed,
        why="" if failed is None else _reason(failed),
        fault=stage.fault,
        checkpoint=stage.checkpoint.id if stage.checkpoint else "",
        rto_s=stage.rto_s,
        rpo_s=stage.rpo_s,
        steps=tuple(stage.steps),
        assertions=tuple(stage.assertions),
        reads=stage.reads.tiers(),
        notes=tuple(stage.notes),
    )


def _carry_out(stage: Stage, scenario: DrillScenario) -> None:
    try:
        SCENARIOS[scenario].play(stage)
    except NotPassedError:
        return
    except InterruptedByUserError:
        raise
    except CkptError as error:
        stage.check(f"no error at: {stage.steps[-1].name}", False, f"{error.message} {error.hint}".strip())
    except sqlite3.Error as error:
        stage.check(f"no error at: {stage.steps[-1].name}", False, f"SQLite: {error}")
    except OSError as error:
        try:
            raise_storage_error(error, error.filename or stage.place.path)
        except CkptError as known:
            stage.check(f"no error at: {stage.steps[-1].name}", False, known.message)


def _reason(failed: Assertion) -> str:
    return f"{failed.name}: {failed.detail}" if failed.detail else failed.name
