"""Plans and recoveries as lines for people."""

from __future__ import annotations

from maos_ckpt.cli.commands.contents import change_lines, count_lines, more_line
from maos_ckpt.cli.text import clip, count, duration, name, size
from maos_ckpt.errors import PlanMovedError
from maos_ckpt.model import RESCUE, Finding, Plan, RecoveryResult
from maos_ckpt.safe_text import safe_text

AFFECTED_LISTED = 5


def plan_lines(plan: Plan) -> list[str]:
    """A plan: its changes, findings, cost and digest."""
    if not plan.summary.total:
        return [*finding_lines(plan.findings), _nothing_left(plan)]
    lines = change_lines(plan.changes)
    if plan.truncated:
        lines.append(more_line(plan.summary.total - len(plan.changes)))
    lines += count_lines(plan.summary, plan.by_component)
    if plan.kept or plan.conflicts:
        lines.append(f"left as they are live: {count(plan.kept, 'record')} kept, {count(plan.conflicts, 'conflict')}")
    lines += finding_lines(plan.findings)
    lines += [f"running: {clip(one, 100)}" for one in plan.running]
    lines.append(f"writes {size(plan.write_bytes)}, takes about {duration(plan.estimated_s)}")
    lines.append(f"plan {plan.digest}")
    return lines


def _nothing_left(plan: Plan) -> str:
    if plan.checkpoint == RESCUE:
        return "Nothing is left to mend."
    if plan.findings:
        part = "" if plan.selection.whole else "the selected part of "
        return f"Nothing to write: besides what is said above, the live state equals {part}{plan.checkpoint}."
    return f"The live state already equals the selected part of {plan.checkpoint}: nothing to do."


def finding_lines(findings: tuple[Finding, ...]) -> list[str]:
    """What a plan found, with the records it touches."""
    lines = []
    for one in findings:
        lines.append(f"{one.severity.value}: {clip(one.message, 1000)}")
        lines += [f"    {name(record)}" for record in one.affected[:AFFECTED_LISTED]]
        if one.affected and one.beyond(AFFECTED_LISTED):
            lines.append(f"    … and {one.beyond(AFFECTED_LISTED):,} more")
    return lines


def moved_line(moved: PlanMovedError, seen: Plan) -> str:
    """How the plan is now, beside how it was when it was shown."""
    now, summary = moved.data.get("changes"), moved.data.get("summary")
    how = f": now {count(now, 'record')}" if isinstance(now, int) else ""
    if isinstance(summary, dict) and how:
        how += " (+{added:,} ~{modified:,} -{removed:,})".format(**summary)
    return f"MAOS moved on since you looked{how}, you saw {seen.summary.total:,}."


def result_lines(result: RecoveryResult, after: str) -> list[str]:
    """What a recovery did; `after` says what an undo would do now."""
    if not result.applied:
        return [*finding_lines(result.plan.findings), _nothing_left(result.plan)]
    changes = count(result.plan.summary.total, "change")
    still = f"; MAOS stood still for {duration(result.stall_s)}" if result.stall_s else ""
    lines = [f"{changes} applied in {duration(result.duration_s)}{still}"]
    if result.verified:
        lines.append("verified: the live state now equals the plan's")
    elif not result.skipped:
        lines.append("NOT verified: `maos-ckpt diff` shows whether and where the live state differs again")
    if result.plan.findings:
        lines += ["what the plan said:", *finding_lines(result.plan.findings)]
    lines += [f"note: {clip(note, 1000)}" for note in result.notes]
    if result.partial:
        lines.append("DONE IN PART: what is named above was left as it is")
    if result.safety_checkpoint:
        lines.append(f"safety checkpoint {result.safety_checkpoint}; `maos-ckpt undo` {after}")
    if result.resume_commands:
        lines.append("to continue the agents whose transcript was put back:")
        lines += [f"    {safe_text(command)}" for command in result.resume_commands]
    return lines
