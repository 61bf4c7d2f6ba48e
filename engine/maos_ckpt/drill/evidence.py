"""A drill's report for people, as Markdown: what was done, what was read from where, what held and what did not."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator

from maos_ckpt.model import TierRead
from maos_ckpt.model.drills import SCENARIO_TITLES, DrillReport, DrillScenario, ScenarioResult
from maos_ckpt.safe_text import clipped, safe_text

#: What has a meaning in Markdown or HTML, inside a line.
_SPECIAL = str.maketrans({one: f"\\{one}" for one in "\\`*_[]<>|#~"})
_DETAIL_CHARACTERS_MAX = 1000


def plain(text: str) -> str:
    """Untrusted text as one line of Markdown that means nothing but itself."""
    return safe_text(clipped(text, _DETAIL_CHARACTERS_MAX)).translate(_SPECIAL)


def moment(at_ms: int) -> str:
    """Wall time in UTC, to the second."""
    return datetime.datetime.fromtimestamp(at_ms / 1000, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def markdown(report: DrillReport) -> str:
    """The whole report."""
    return "\n".join([*_head(report), *_scenarios(report), ""])


def _head(report: DrillReport) -> Iterator[str]:
    yield f"# Drill {report.id}: {'passed' if report.passed else 'NOT PASSED'}"
    yield ""
    yield f"- Held at {moment(report.started_at_ms)} by {plain(report.who)} ({report.trigger})"
    yield f"- Took {report.duration_s:.1f} s"
    if report.reason:
        yield f"- Reason: {plain(report.reason)}"
    yield f"- Checkpoint {report.checkpoint} of {moment(report.checkpoint_at_ms)}, source {plain(report.source)}"
    yield f"- SHA-512 of its state: {report.digest}"
    yield f"- Repository {plain(report.repository)}, id {report.repository_id}"
    yield f"- RTO: {_seconds(report.rto_s)} at worst, target {report.rto_target_s:g} s"
    yield f"- RPO: {_seconds(report.rpo_s)} at worst, target {report.rpo_target_s:g} s"
    for line in _reads("Read of the real tiers", report.reads):
        yield f"- {line}"
    yield f"- Versions: {', '.join(f'{name} {plain(version)}' for name, version in report.versions.items())}"
    yield ""
    yield "| scenario | result | RTO | RPO |"
    yield "|---|---|---:|---:|"
    for one in report.scenarios:
        yield f"| {one.scenario} | {_outcome(one)} | {_seconds(one.rto_s)} | {_seconds(one.rpo_s)} |"


def _scenarios(report: DrillReport) -> Iterator[str]:
    for one in report.scenarios:
        yield ""
        yield f"## {one.scenario}: {_outcome(one)}"
        yield ""
        yield f"{SCENARIO_TITLES[DrillScenario(one.scenario)]}."
        if not one.applicable:
            continue
        yield ""
        yield f"- Fault: {plain(one.fault) or 'it did not come to that'}"
        yield f"- Recovered: {one.checkpoint or 'nothing'}"
        for line in _reads("Read", one.reads):
            yield f"- {line}"
        yield from (f"- Note: {plain(note)}" for note in one.notes)
        yield f"- Steps: {'; '.join(f'{plain(step.name)} ({step.at_s:.2f} s)' for step in one.steps)}"
        yield ""
        for found in one.assertions:
            detail = f" ({plain(found.detail)})" if found.detail else ""
            yield f"- [{'x' if found.passed else ' '}] {plain(found.name)}{detail}"


def _outcome(one: ScenarioResult) -> str:
    if not one.applicable:
        return f"not applicable: {plain(one.why)}"
    return "passed" if one.passed else f"FAILED: {plain(one.why)}"


def _reads(what: str, reads: Iterable[TierRead]) -> Iterator[str]:
    for one in reads:
        past = "past every cache" if one.cache_bypassed else "through the cache"
        yield f"{what}: {one.tier}, {one.objects:,} objects, {one.bytes:,} bytes, {past}"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} s"
