"""Planning: which records have to change so that the live state holds the selected part of a checkpoint.

A plan is computed, never stored: its digest covers checkpoint, selection and, for every touched record, what is live
now and what will be. Whoever shows a plan and later applies it by its digest computes it again at the moment of
applying; the digests are equal exactly when nothing the plan touches has moved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from maos_ckpt.client import ProgressSink
from maos_ckpt.model import (
    Finding,
    Plan,
    Severity,
)
from maos_ckpt.processes import ProcessInfo
from maos_ckpt.recovery.completion import complete
from maos_ckpt.recovery.in_flight import InFlight
from maos_ckpt.recovery.planner import Planner
from maos_ckpt.recovery.references import reference_findings
from maos_ckpt.recovery.summary import Summary, summarise
from maos_ckpt.seams import Seams
from maos_ckpt.sources.base import Source
from maos_ckpt.sources.change import Change
from maos_ckpt.sources.sqlite.faults import describe_process

#: What a recovery is reckoned with where none has been measured: records written per second, on a slow machine.
RECORDS_PER_S: Final = 20_000.0
#: Bytes of live state read per second, where reading it has not been timed.
_BYTES_PER_S: Final = 40e6


def plan_changes(
    planner: Planner,
    source: Source,
    stopped: Sequence[ProcessInfo],
    limit: int,
    progress: ProgressSink,
    operation: str,
    seams: Seams,
) -> Plan:
    """The plan as consoles and machines see it, with its findings, in one reading of all changes."""
    complete(planner)
    found, in_flight = Summary(), InFlight(planner.live)

    def changes() -> Iterator[Change]:
        for change in summarise(planner, found, limit, progress, operation):
            if planner.computed is None:
                # Whoever computes changes has looked at what is going on, and gives it as the reasons.
                in_flight.take(change)
            yield change

    dangling = reference_findings(planner.live, changes, running=bool(stopped), whole=planner.whole)
    made = _to_plan(planner, found, source, stopped)
    return replace(made, findings=(*made.findings, *in_flight.findings(seams), *dangling))


def plan_quickly(
    planner: Planner,
    source: Source,
    stopped: Sequence[ProcessInfo],
    limit: int,
    progress: ProgressSink,
    operation: str,
    keep: Callable[[Change], None],
) -> Plan:
    """The plan without findings on references: for the moment of applying, when MAOS stands still.

    `keep` is given every change.
    """
    complete(planner)
    found = Summary()
    for change in summarise(planner, found, limit, progress, operation):
        keep(change)
    return _to_plan(planner, found, source, stopped)


def with_findings(planner: Planner, plan: Plan, changes: Callable[[], Iterator[Change]]) -> Plan:
    """The quick plan of a recovery that was committed, with its findings; both states must be stored ones by now.

    `changes` gives all of the plan's.
    """
    running = bool(plan.running)
    dangling = reference_findings(planner.live, changes, running=running, whole=planner.whole, enforced=True)
    return replace(plan, findings=(*plan.findings, *dangling))


def _to_plan(planner: Planner, found: Summary, source: Source, stopped: Sequence[ProcessInfo]) -> Plan:
    estimated_s = found.counts.total / RECORDS_PER_S + (found.write_bytes + source.bytes_hint()) / _BYTES_PER_S
    return Plan(
        checkpoint=planner.aim,
        selection=planner.selection,
        digest=found.digest,
        summary=found.counts,
        by_component=found.by_component,
        changes=tuple(found.listed),
        truncated=found.counts.total > len(found.listed),
        findings=(*planner.findings.values(), *planner.merging.findings()),
        write_bytes=found.write_bytes,
        estimated_s=round(estimated_s, 2),
        running=tuple(describe_process(one) for one in stopped),
        kept=planner.merging.kept.number,
        conflicts=planner.merging.conflicts.number,
    )


def damage_findings(planner: Planner, damage: str) -> tuple[Finding, ...]:
    """What a plan does about a damaged database, said by `damage`; nothing where that is empty."""
    if not damage:
        return ()
    if not builds_database(planner):
        text = f"{damage} Nothing in the selection belongs to it: it stays as it is."
        return (Finding(Severity.WARNING, "damaged", text),)
    text = f"{damage} It is built anew; the damaged file is moved aside with its journal or log, not removed."
    if not planner.whole:
        text += " The new one holds only the selected part."
    return (Finding(Severity.WARNING, "damaged", text),)


def builds_database(planner: Planner) -> bool:
    """Whether a plan, for a source without a database, makes one."""
    return next(planner.changes(files=False), None) is not None
