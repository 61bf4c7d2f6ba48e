"""What has to hold after every rehearsed recovery."""

from __future__ import annotations

from maos_ckpt.drill import checks
from maos_ckpt.drill.stage import NAMED_MAX, Stage, counted
from maos_ckpt.model import Checkpoint, Plan, Selection, Severity, VerifyLevel, VerifyTier
from maos_ckpt.repository.repository import Repository
from maos_ckpt.verify import verify


def assert_recovered(
    stage: Stage,
    repository: Repository,
    checkpoint: Checkpoint,
    selection: Selection,
    before: Checkpoint | None = None,
    *,
    tier: VerifyTier | None = VerifyTier.LOCAL,
) -> None:
    """Note everything that must hold, stop the stopwatch, then run the operator's own checks.

    Args:
        before: a checkpoint of the scratch copy just before the fault, where that was not `checkpoint`'s state.
        tier: where the checkpoint's objects are verified in full; None where the recovery itself read them all.
    """
    stage.step("verify")
    again = stage.plan(repository, checkpoint, selection)
    stage.check("planning again finds nothing to do", again.summary.total == 0, _left(again))
    same = selection.whole and before is None
    whole = again if same else stage.plan(repository, before or checkpoint, Selection())
    stage.check("everything else is as it was before the fault", whole.summary.total == 0, _left(whole))
    _assert_references(stage, whole)
    if stage.database is not None:
        stage.assertions.append(checks.integrity(stage.database))
    if tier is not None:
        found = verify(repository, [checkpoint], VerifyLevel.FULL, stage.quietly, tier=tier)
        detail = "; ".join(one.message for one in found.findings[:NAMED_MAX])
        stage.check("the checkpoint verifies in full", found.ok, detail or f"{found.bytes:,} bytes")
    stage.stop_watch(checkpoint)
    _own_checks(stage, checkpoint)


def _left(plan: Plan) -> str:
    return counted(plan) if plan.summary.total else ""


def _assert_references(stage: Stage, plan: Plan) -> None:
    """`plan` leads back to the state before the fault: what it would mend dangles since the fault."""
    new = [one for one in plan.findings if one.kind == "references" and one.severity is Severity.INFO]
    told = [one.message for one in new if one.object != "limit"]
    before, after = stage.base.dangling, None if stage.database is None else checks.dangling(stage.database)
    if before is not None and after is not None and after > before:
        told.append(f"{after} foreign keys lead to nobody, {before} before")
    stage.check("no reference leads to nobody that did not before", not told, "; ".join(told[:NAMED_MAX]))


def _own_checks(stage: Stage, checkpoint: Checkpoint) -> None:
    expected, database = stage.origin.expected, stage.database
    if expected.sql or expected.command:
        stage.step("the operator's own checks")
    for one in expected.sql:
        if database is None:
            stage.check(f"SQL: {one.statement}", False, "There is no database.")
        else:
            stage.assertions.append(checks.run_sql(database, one, stage.origin.seams))
    if expected.command:
        variables = {
            "MAOS_DRILL_DIRECTORY": str(stage.place.work),
            "MAOS_DRILL_DATABASE": "" if database is None else str(database),
            "MAOS_DRILL_TRANSCRIPTS": str(stage.place.claude),
            "MAOS_DRILL_SCENARIO": stage.phase,
            "MAOS_DRILL_CHECKPOINT": checkpoint.id,
        }
        stage.assertions.append(checks.run_command(expected.command, stage.place.work, variables))
