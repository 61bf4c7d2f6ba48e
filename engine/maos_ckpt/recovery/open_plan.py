"""A plan with the states that it was made of, so that all of its changes can be read, however many there are."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

from maos_ckpt.client import ProgressSink
from maos_ckpt.errors import IntegrityError
from maos_ckpt.fields import VALUES_LISTED_MAX
from maos_ckpt.model import Plan, RecordChange
from maos_ckpt.recovery.damage import distrust_latest, naming_damage
from maos_ckpt.recovery.known import require_collections, require_records
from maos_ckpt.recovery.plan import RECORDS_PER_S, damage_findings, plan_changes
from maos_ckpt.recovery.planner import Planner
from maos_ckpt.recovery.request import Request
from maos_ckpt.recovery.requested import requested
from maos_ckpt.recovery.summary import shown
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import Seams
from maos_ckpt.sources.base import Source
from maos_ckpt.sources.sqlite.faults import DamagedError
from maos_ckpt.states import StoredState, live_state


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


def make_plan(repository: Repository, source: Source, request: Request, progress: ProgressSink, seams: Seams) -> Plan:
    """The plan of `open_plan`, with no more of its changes than the request lists."""
    with open_plan(repository, source, request, progress, seams) as opened:
        return opened.plan


@contextlib.contextmanager
def open_plan(
    repository: Repository,
    source: Source,
    request: Request,
    progress: ProgressSink,
    seams: Seams,
    *,
    records_per_s: float = RECORDS_PER_S,
) -> Iterator[OpenPlan]:
    """What a recovery would change now; writes nothing. The request's digest counts for nothing.

    Args:
        records_per_s: how fast recoveries have written here.

    Raises:
        NotFoundError: a part of the selection names nothing in the checkpoint nor in the live state.
        IntegrityError: the checkpoint is damaged in the part that is wanted; see `naming_damage`.
        SourceError: the live database is damaged, and the changes are to be computed from it.
    """
    with contextlib.ExitStack() as stack:

        def planned(from_source: Source, damage: str) -> OpenPlan:
            began_s = seams.clock.monotonic_s()
            opened = stack.enter_context(_planned(repository, from_source, damage, request, progress, seams))
            # A recovery reads the live state as planning does, and then writes.
            read_s = seams.clock.monotonic_s() - began_s
            estimated_s = round(read_s + opened.plan.summary.total / records_per_s, 2)
            return replace(opened, plan=replace(opened.plan, estimated_s=estimated_s))

        def enter(from_source: Source, damage: str) -> OpenPlan:
            try:
                return planned(from_source, damage)
            except IntegrityError as error:
                if not distrust_latest(repository, error):
                    raise
            return planned(from_source, damage)

        try:
            opened = enter(source, "")
        except DamagedError as error:
            if request.compute is not None:
                # Nothing can be computed from it.
                raise
            opened = enter(source.without_database(), error.message)
        yield opened


@contextlib.contextmanager
def _planned(
    repository: Repository, source: Source, damage: str, request: Request, progress: ProgressSink, seams: Seams
) -> Iterator[OpenPlan]:
    operation = "plan" if request.compute is None else "rescue"
    database, named = source.database, request.named
    holders = seams.processes.holders(database, writing=True) if database is not None else []
    target = StoredState(repository, request.checkpoint)
    with live_state(repository, source, progress, operation) as live:
        with naming_damage(repository, request.checkpoint, request.selection):
            if named is not None:
                require_collections(named, target, live)
            planner = requested(repository, request, live, target)
            made = plan_changes(planner, source, holders, request.limit, progress, operation, seams)
            if named is not None:
                require_records(planner.quiet, (target, live))
        yield OpenPlan(
            replace(made, findings=(*made.findings, *damage_findings(planner, damage), *request.findings)), planner
        )
