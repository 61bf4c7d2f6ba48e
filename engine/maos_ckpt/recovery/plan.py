"""Planning: which records have to change so that the live state holds the selected part of a checkpoint.

A plan is computed, never stored: its digest covers checkpoint, selection and, for every touched record, what is live
now and what will be. Whoever shows a plan and later applies it by its digest computes it again at the moment of
applying; the digests are equal exactly when nothing the plan touches has moved.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from maos_ckpt.codec.values import display_key, encode_row
from maos_ckpt.fields import VALUES_LISTED_MAX, changed_fields, named
from maos_ckpt.model import (
    ChangeKind,
    Checkpoint,
    CollectionKind,
    Counts,
    Descriptor,
    FieldChange,
    Finding,
    Plan,
    Progress,
    RecordChange,
    Row,
    Selection,
    Severity,
)
from maos_ckpt.processes import ProcessInfo
from maos_ckpt.recovery.missing import missing_dependencies
from maos_ckpt.recovery.planner import Planner
from maos_ckpt.recovery.references import reference_findings, still_referenced
from maos_ckpt.recovery.schema_changes import SchemaObjects, missing_tables
from maos_ckpt.recovery.selection import require_collections, require_records
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import Seams
from maos_ckpt.sources.base import Source
from maos_ckpt.sources.change import Change
from maos_ckpt.sources.sqlite.faults import DamagedError, describe_process
from maos_ckpt.states import StoredState, live_state

ProgressSink = Callable[[Progress], None]
#: What a recovery is reckoned with: records and bytes written per second, on a slow machine.
_RECORDS_PER_S = 20_000
_BYTES_PER_S = 40e6
_REPORT_EVERY = 1000


@dataclass(slots=True)
class Summary:
    """What a pass over a plan's changes found."""

    counts: Counts = field(default_factory=Counts)
    by_component: dict[str, Counts] = field(default_factory=dict)
    listed: list[RecordChange] = field(default_factory=list)
    write_bytes: int = 0
    digest: str = ""


def summarise(planner: Planner, found: Summary, limit: int, progress: ProgressSink, operation: str) -> Iterator[Change]:
    """Pass all changes on, and fill `found` meanwhile: counts, the first `limit` for showing, and the digest."""
    digest = hashlib.sha256(b"maos-ckpt plan 1\n" + _asked(planner))
    for change in planner.changes():
        digest.update(encode_row((change.descriptor.path, change.key, change.before, change.columns, change.after)))
        component = change.descriptor.component
        found.counts.count(change.kind)
        found.by_component.setdefault(component, Counts()).count(change.kind)
        if change.after is not None:
            found.write_bytes += len(change.key) + len(encode_row(change.after))
        if len(found.listed) < limit:
            listed = shown(change, values=len(found.listed) < VALUES_LISTED_MAX)
            found.listed.append(replace(listed, reason=planner.reason(change)))
        if found.counts.total % _REPORT_EVERY == 0:
            progress(Progress(operation, "plan", found.counts.total))
        yield change
    found.digest = digest.hexdigest()


def _asked(planner: Planner) -> bytes:
    """What the digest of a plan covers besides the records that it touches."""
    if planner.computed is not None:
        return planner.computed.identity
    return _selection_bytes(planner)


def _selection_bytes(planner: Planner) -> bytes:
    checkpoint, selection = planner.target.checkpoint, planner.selection
    only = ((sorted(set(one.components)), sorted(set(one.records))) for one in planner.only)
    return encode_row(
        (
            checkpoint.id,
            checkpoint.digest,
            sorted(set(selection.components)),
            sorted(set(selection.records)),
            selection.exact or selection.whole,
            selection.with_dependencies,
            *only,
        )
    )


def shown(change: Change, *, values: bool = True) -> RecordChange:
    """A change for people; `values` gives all fields of an added or removed record too."""
    descriptor = change.descriptor
    fields: tuple[FieldChange, ...] = ()
    if values or change.kind is ChangeKind.MODIFIED:
        before = named(descriptor, (), change.before)
        after = {} if change.after is None else before | dict(_visible(descriptor, change.columns, change.after))
        fields = changed_fields(before, after)
    return RecordChange(descriptor.component, descriptor.name, display_key(change.key), change.kind, fields)


def _visible(descriptor: Descriptor, columns: tuple[str, ...], row: Row) -> Iterator[tuple[str, object]]:
    hidden = descriptor.columns[0] if descriptor.rowid else None
    return ((name, value) for name, value in zip(columns, row, strict=True) if name != hidden)


def plan_changes(
    planner: Planner,
    source: Source,
    stopped: Sequence[ProcessInfo],
    limit: int,
    progress: ProgressSink,
    operation: str,
) -> Plan:
    """The plan as consoles and machines see it, with its findings, in one reading of all changes."""
    _complete(planner)
    found = Summary()
    dangling = reference_findings(
        planner.live,
        lambda: summarise(planner, found, limit, progress, operation),
        running=bool(stopped),
        whole=planner.whole,
    )
    return replace(_to_plan(planner, found, source, stopped), findings=(*planner.findings.values(), *dangling))


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
    _complete(planner)
    found = Summary()
    for change in summarise(planner, found, limit, progress, operation):
        keep(change)
    return replace(_to_plan(planner, found, source, stopped), findings=tuple(planner.findings.values()))


def with_findings(planner: Planner, plan: Plan, changes: Callable[[], Iterator[Change]]) -> Plan:
    """A quick plan with its findings; both states must be stored ones, for the live state has changed since.

    `changes` gives all of the plan's.
    """
    running = bool(plan.running)
    dangling = reference_findings(planner.live, changes, running=running, whole=planner.whole)
    return replace(plan, findings=(*plan.findings, *dangling))


def _complete(planner: Planner) -> None:
    """Add what a partial selection needs, and spare what others need."""
    added = [pair.after for pair, _ in planner.pairs() if pair.before is None and pair.after is not None]
    tables = [one.origin for one in added if one.kind is CollectionKind.TABLE]
    planner.extra |= missing_tables(planner.live, planner.target, tables)
    if planner.selection.with_dependencies:
        planner.extra |= missing_dependencies(planner.live, planner.target, planner.changes)
    if planner.selection.exact and not planner.whole:
        planner.spared = still_referenced(planner.live, planner.changes)


def _to_plan(planner: Planner, found: Summary, source: Source, stopped: Sequence[ProcessInfo]) -> Plan:
    estimated_s = found.counts.total / _RECORDS_PER_S + (found.write_bytes + source.bytes_hint()) / _BYTES_PER_S
    return Plan(
        checkpoint=planner.aim,
        selection=planner.selection,
        digest=found.digest,
        summary=found.counts,
        by_component=found.by_component,
        changes=tuple(found.listed),
        truncated=found.counts.total > len(found.listed),
        findings=(),
        write_bytes=found.write_bytes,
        estimated_s=round(estimated_s, 2),
        running=tuple(describe_process(one) for one in stopped),
    )


def make_plan(
    repository: Repository,
    source: Source,
    checkpoint: Checkpoint,
    selection: Selection,
    *,
    limit: int,
    progress: ProgressSink,
    seams: Seams,
    extra: frozenset[tuple[str, bytes]] = frozenset(),
    droppable: SchemaObjects = frozenset(),
    only: tuple[Selection, ...] = (),
    undo: bool = False,
) -> Plan:
    """What recovering `selection` of a checkpoint would change now; writes nothing.

    Args:
        extra, droppable, only: see `Planner`.
        undo: the selection is that of a recovery; what it named may be gone since.

    Raises:
        NotFoundError: a part of the selection names nothing in the checkpoint nor in the live state.
    """
    database = source.database
    holders = seams.processes.holders(database, writing=True) if database is not None else []

    def plan(from_source: Source, damage: str) -> Plan:
        target = StoredState(repository, checkpoint)
        with live_state(repository, from_source, progress, "plan") as live:
            named = only[-1:] if undo else (selection,)
            for one in named:
                require_collections(one, target, live)
            planner = Planner(live, target, selection, extra, droppable=droppable, only=only)
            made = plan_changes(planner, source, holders, limit, progress, "plan")
            if named:
                require_records(planner.quiet_patterns, (target, live))
            return replace(made, findings=(*made.findings, *damage_findings(planner, damage)))

    try:
        return plan(source, "")
    except DamagedError as error:
        return plan(source.without_database(), error.message)


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
