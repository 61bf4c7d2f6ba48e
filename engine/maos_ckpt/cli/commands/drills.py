"""drill: rehearsed recoveries, and the history of them."""

from __future__ import annotations

from maos_ckpt.cli.context import Context
from maos_ckpt.cli.text import age, clip, count, duration, name, rfc3339, size, table
from maos_ckpt.errors import ExitCode
from maos_ckpt.model import TierRead
from maos_ckpt.model.drills import DrillHistory, DrillReport, DrillScenario, ScenarioResult, ScenarioTrend
from maos_ckpt.operations import drills

_ALL = "all"
#: Recovery times of a trend that are shown.
_TIMES_SHOWN = 5
_DETAIL_CHARACTERS = 200


def drill(context: Context) -> int:
    """`maos-ckpt drill`."""
    arguments = context.arguments
    if arguments.history:
        return _history(context)
    context.stop_on_signals()
    scenarios = () if _ALL in arguments.scenario else tuple(arguments.scenario)
    with context.progress() as progress:
        report = drills.drill(
            context.workspace, arguments.checkpoint, scenarios, drills.MANUAL, arguments.reason, progress
        )
    return tell_drill(context, report)


def tell_drill(context: Context, report: DrillReport) -> int:
    """How a drill went."""
    if context.out.as_json:
        context.out.document(_document(report))
    else:
        context.out.lines(_lines(report))
    if report.passed:
        return ExitCode.DONE
    # Nothing that applies was asked for: nothing failed, and nothing was rehearsed.
    return ExitCode.INTEGRITY if report.failed else ExitCode.PARTIAL


def _history(context: Context) -> int:
    return tell_history(context, drills.history(context.workspace, context.arguments.limit))


def tell_history(context: Context, found: DrillHistory) -> int:
    """The last drills and their trends."""
    if context.out.as_json:
        context.out.document(
            {
                "drills": [_document(one) for one in found.reports],
                "trends": [_trend(one) for one in found.trends],
                "state": found.status.state,
            }
        )
    else:
        context.out.lines(_history_lines(found, context.seams.clock.now_ms(), context.width))
    return ExitCode.DONE


# JSON


def _document(report: DrillReport) -> dict[str, object]:
    return {
        "id": report.id,
        "started_at": rfc3339(report.started_at_ms),
        "duration_s": report.duration_s,
        "passed": report.passed,
        "rto_s": report.rto_s,
        "rpo_s": report.rpo_s,
        "rto_target_s": report.rto_target_s,
        "rpo_target_s": report.rpo_target_s,
        "checkpoint": report.checkpoint,
        "digest": report.digest,
        "scenarios": [_scenario(one) for one in report.scenarios],
        "assertions": [
            {"scenario": one.scenario, "name": found.name, "passed": found.passed, "detail": found.detail}
            for one in report.scenarios
            for found in one.assertions
        ],
        "read": [_read(one) for one in report.reads],
        "who": report.who,
        "trigger": report.trigger,
        "reason": report.reason,
        "versions": report.versions,
        "evidence": report.evidence,
    }


def _scenario(one: ScenarioResult) -> dict[str, object]:
    return {
        "name": one.scenario,
        "applicable": one.applicable,
        "passed": one.passed if one.applicable else None,
        "why": one.why or None,
        "fault": one.fault or None,
        "checkpoint": one.checkpoint or None,
        "rto_s": one.rto_s,
        "rpo_s": one.rpo_s,
        "steps": [{"name": step.name, "at_s": step.at_s} for step in one.steps],
        "assertions": [
            {"name": found.name, "passed": found.passed, "detail": found.detail} for found in one.assertions
        ],
        "read": [_read(tier) for tier in one.reads],
        "notes": list(one.notes),
    }


def _read(one: TierRead) -> dict[str, object]:
    return {"tier": one.tier, "objects": one.objects, "bytes": one.bytes, "cache_bypassed": one.cache_bypassed}


def _trend(one: ScenarioTrend) -> dict[str, object]:
    return {
        "scenario": one.scenario,
        "runs": one.runs,
        "passed": one.passed,
        "rtos_s": list(one.rtos_s),
        "rto_median_s": one.rto_median_s,
        "rto_worst_s": one.rto_worst_s,
    }


# Text


def _lines(report: DrillReport) -> list[str]:
    width = max(len(one) for one in DrillScenario)
    lines = []
    for one in report.scenarios:
        lines.append(f"{_sign(one):<8}{one.scenario:<{width}}  {_facts(one)}".rstrip())
        for found in one.assertions:
            if not found.passed:
                detail = f": {clip(found.detail, _DETAIL_CHARACTERS)}" if found.detail else ""
                lines.append(f"        {'':<{width}}  NOT: {clip(found.name, _DETAIL_CHARACTERS)}{detail}")
    applied = [one for one in report.scenarios if one.applicable]
    passed = sum(one.passed for one in applied)
    outcome = "PASSED" if report.passed else "FAILED" if report.failed else "NOTHING REHEARSED"
    lines.append(f"{outcome}: {passed} of {count(len(applied), 'scenario')} passed in {duration(report.duration_s)}")
    if report.rto_s is not None and report.rpo_s is not None:
        lines.append(
            f"RTO {duration(report.rto_s)} (target {report.rto_target_s:g} s), "
            f"RPO {duration(report.rpo_s)} (target {report.rpo_target_s:g} s)"
        )
    lines += [f"read of {one.tier}: {count(one.objects, 'object')}, {size(one.bytes)}" for one in report.reads]
    lines.append(f"evidence: {name(report.evidence)}")
    return lines


def _sign(one: ScenarioResult) -> str:
    return "n/a" if not one.applicable else "ok" if one.passed else "FAILED"


def _facts(one: ScenarioResult) -> str:
    if not one.applicable:
        return f"not applicable: {clip(one.why, _DETAIL_CHARACTERS)}"
    if one.rto_s is None:
        return f"{count(len(one.assertions), 'assertion')}"
    return f"{count(len(one.assertions), 'assertion')}, recovered in {duration(one.rto_s)}"


def _history_lines(found: DrillHistory, now_ms: int, width: int | None) -> list[str]:
    if not found.reports:
        return ["No drill was held yet; `maos-ckpt drill` holds one."]
    rows = [
        (
            one.id,
            age(one.started_at_ms, now_ms),
            "passed" if one.passed else "FAILED" if one.failed else "nothing",
            "" if one.rto_s is None else duration(one.rto_s),
            "" if one.rpo_s is None else duration(one.rpo_s),
            ", ".join(one.failed),
        )
        for one in found.reports
    ]
    lines = table(("drill", "when", "result", "rto", "rpo", "failed"), rows, width=width, right=frozenset((3, 4)))
    trends = [
        (
            one.scenario,
            f"{one.passed} of {one.runs}",
            "" if one.rto_median_s is None else duration(one.rto_median_s),
            "" if one.rto_worst_s is None else duration(one.rto_worst_s),
            " ".join(f"{value:.1f}" for value in one.rtos_s[:_TIMES_SHOWN]),
        )
        for one in found.trends
        if one.runs
    ]
    head = ("scenario", "passed", "median rto", "worst", "last (s)")
    return [*lines, "", *table(head, trends, width=width, right=frozenset((2, 3)))]
