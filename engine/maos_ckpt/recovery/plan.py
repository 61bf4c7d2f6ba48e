"""Planning: which records have to change so that the live state holds the selected part of a checkpoint.

A plan is computed, never stored: its digest covers checkpoint, selection and, for every touched record, what is live
now and what will be. Whoever shows a plan and later applies it by its digest computes it again at the moment of
applying; the digests are equal exactly when nothing the plan touches has moved.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from maos_ckpt.errors import IntegrityError
from maos_ckpt.fields import VALUES_LISTED_MAX
from maos_ckpt.model import (
    Checkpoint,
    Finding,
    Plan,
    Progress,
    RecordChange,
    Selection,
    Severity,
)
from maos_ckpt.processes import ProcessInfo
from maos_ckpt.recovery.completion import complete
from maos_ckpt.recovery.damage import distrust_latest, naming_damage
from maos_ckpt.recovery.in_flight import InFlight
from maos_ckpt.recovery.journal import Pinned
from maos_ckpt.recovery.known import require_collections, require_records
from maos_ckpt.recovery.pinned import pinned_planner
from maos_ckpt.recovery.planner import Planner
from maos_ckpt.recovery.references import reference_findings
from maos_ckpt.recovery.schema_changes import SchemaObjects
from maos_ckpt.recovery.summary import Summary, shown, summarise
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import Seams
from maos_ckpt.sources.base import Source
from maos_ckpt.sources.change import Change
from maos_ckpt.sources.sqlite.faults import DamagedError, describe_process
from maos_ckpt.states import StoredState, live_state

ProgressSink = Callable[[Progress], None]
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
    """A quick plan with its findings; both states must be stored ones, for the live state has changed since.

    `changes` gives all of the plan's.
    """
    running = bool(plan.running)
    dangling = reference_findings(planner.live, changes, running=running, whole=planner.whole)
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


@dataclass(frozen=True, slots=True)
class OpenPlan:
    """A plan, and the states it was made of, as long as it is open."""

    plan: Plan
    planner: Planner

    def changes(self) -> Iterator[RecordChange]:
        """All changes for display, one at a time; those that the plan lists are among them."""
        if not self.plan.truncated:
            yield from self.plan.changes
            return
        for number, change in enumerate(self.planner.changes()):
            yield shown(change, values=number < VALUES_LISTED_MAX, reason=self.planner.reason(change))


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """What to plan.

    Args:
        limit: changes listed in the plan.
        extra, droppable, only: see `Planner`.
        undo: the selection is that of a recovery; what it named may be gone since.
        pinned: the recovery that an undo takes back.
        records_per_s: how fast recoveries have written here.
        findings: told besides those of the plan itself.
    """

    checkpoint: Checkpoint
    selection: Selection
    limit: int
    extra: frozenset[tuple[str, bytes]] = frozenset()
    droppable: SchemaObjects = frozenset()
    only: tuple[Selection, ...] = ()
    undo: bool = False
    pinned: Pinned | None = None
    records_per_s: float = RECORDS_PER_S
    findings: tuple[Finding, ...] = ()


def make_plan(
    repository: Repository, source: Source, request: PlanRequest, progress: ProgressSink, seams: Seams
) -> Plan:
    """The plan of `open_plan`, with no more of its changes than the request lists."""
    with open_plan(repository, source, request, progress, seams) as opened:
        return opened.plan


@contextlib.contextmanager
def open_plan(
    repository: Repository, source: Source, request: PlanRequest, progress: ProgressSink, seams: Seams
) -> Iterator[OpenPlan]:
    """What recovering a part of a checkpoint would change now; writes nothing.

    Raises:
        NotFoundError: a part of the selection names nothing in the checkpoint nor in the live state.
        IntegrityError: the checkpoint is damaged in the part that is wanted; see `naming_damage`.
    """
    with contextlib.ExitStack() as stack:

        def enter(from_source: Source, damage: str) -> OpenPlan:
            made = _planned(repository, from_source, damage, request, progress, seams)
            try:
                return stack.enter_context(made)
            except IntegrityError as error:
                if not distrust_latest(repository, error):
                    raise
            return stack.enter_context(_planned(repository, from_source, damage, request, progress, seams))

        try:
            opened = enter(source, "")
        except DamagedError as error:
            opened = enter(source.without_database(), error.message)
        yield opened


@contextlib.contextmanager
def _planned(
    repository: Repository,
    source: Source,
    damage: str,
    request: PlanRequest,
    progress: ProgressSink,
    seams: Seams,
) -> Iterator[OpenPlan]:
    selection, began_s = request.selection, seams.clock.monotonic_s()
    database = source.database
    holders = seams.processes.holders(database, writing=True) if database is not None else []
    target = StoredState(repository, request.checkpoint)
    with live_state(repository, source, progress, "plan") as live:
        with naming_damage(repository, request.checkpoint, selection):
            named = request.only[-1:] if request.undo else (selection,)
            for one in named:
                require_collections(one, target, live)
            pinned = pinned_planner(repository, request.pinned, request.extra)
            planner = Planner(
                live,
                target,
                selection,
                request.extra,
                droppable=request.droppable,
                only=request.only,
                pinned=pinned,
            )
            made = plan_changes(planner, source, holders, request.limit, progress, "plan", seams)
            if named:
                require_records(planner.quiet, (target, live))
        # A recovery reads the live state as planning does, and then writes.
        read_s = seams.clock.monotonic_s() - began_s
        yield OpenPlan(
            replace(
                made,
                findings=(*made.findings, *damage_findings(planner, damage), *request.findings),
                estimated_s=round(read_s + made.summary.total / request.records_per_s, 2),
            ),
            planner,
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
