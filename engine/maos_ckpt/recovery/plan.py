"""Planning: which records have to change so that the live state holds the selected part of a checkpoint.

A plan is computed, never stored: its digest covers checkpoint, selection and, for every touched record, what is live
now and what will be. Whoever shows a plan and later applies it by its digest computes it again at the moment of
applying; the digests are equal exactly when nothing the plan touches has moved.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from maos_ckpt.codec.values import decode_key, display_key, encode_key, encode_row
from maos_ckpt.fields import changed_fields, named
from maos_ckpt.model import (
    COMPONENT_DATABASE,
    COMPONENT_OTHER,
    COMPONENTS,
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
from maos_ckpt.recovery.references import reference_findings, still_referenced
from maos_ckpt.recovery.selection import SEQUENCE_TABLE, Matcher, can_write
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import Seams
from maos_ckpt.sources.base import Source
from maos_ckpt.sources.change import Alignment, Change, align
from maos_ckpt.sources.sqlite.faults import describe_process
from maos_ckpt.states import CollectionPair, State, StoredState, collection_pairs, live_state
from maos_ckpt.tree.cursor import records
from maos_ckpt.tree.diff import differences
from maos_ckpt.tree.large import load_row

ProgressSink = Callable[[Progress], None]
#: Order of writing; what depends on agents comes after them.
_ORDER = {name: at for at, name in enumerate((*COMPONENTS, COMPONENT_OTHER, COMPONENT_DATABASE))}
#: What a recovery is reckoned with: records and bytes written per second, on a slow machine.
_RECORDS_PER_S = 20_000
_BYTES_PER_S = 40e6
_REPORT_EVERY = 1000
#: Kinds of collections that are files; the others live in the database.
FILE_KINDS = (CollectionKind.LINES, CollectionKind.FILES)


@dataclass(slots=True)
class Planner:
    """The changes from `live` to the selected part of `target`, computed as often as asked.

    `extra`: further records, as (collection path, key). `spared`: records that a partial recovery
    would remove and leaves, because others refer to them. `only_files`: leave the database out. `findings` fills while
    changes are read: columns and schema that have no place.
    """

    live: State
    target: StoredState
    selection: Selection
    extra: frozenset[tuple[str, bytes]] = frozenset()
    findings: dict[str, Finding] = field(default_factory=dict)
    spared: frozenset[tuple[str, bytes]] = frozenset()
    only_files: bool = False
    _last_file: tuple[bytes, bool] = (b"", False)

    def pairs(self) -> list[tuple[CollectionPair, Alignment | None]]:
        """The collections that may change, in the order in which they are written."""
        matcher = Matcher(self.selection, self.target.checkpoint)
        extra = {path for path, _ in self.extra}
        found = []
        for pair in collection_pairs(self.live, self.target):
            one = pair.after or pair.before
            assert one is not None
            if self.only_files and one.kind not in FILE_KINDS:
                continue
            if not matcher.collection(pair) and one.path not in extra:
                continue
            found.append((pair, self._align(pair)))
        return sorted(found, key=lambda item: _write_order(item[0]))

    def _align(self, pair: CollectionPair) -> Alignment | None:
        if pair.after is None or pair.before is None:
            one = pair.after or pair.before
            assert one is not None
            return align(one, one)
        alignment = align(pair.after, pair.before)
        if alignment is None:
            self._note(pair, "keys", Severity.ERROR, "identifies its records by another key now and is left as it is")
        elif alignment.homeless:
            names = ", ".join(alignment.homeless)
            self._note(pair, "columns", Severity.WARNING, f"has no place any more for the columns {names}")
        return alignment

    def _note(self, pair: CollectionPair, kind: str, severity: Severity, what: str) -> None:
        path = "/".join(pair.name)
        self.findings.setdefault(f"{kind}:{path}", Finding(severity, kind, f"{path} {what}.", path))

    def changes(self, *, files: bool | None = None) -> Iterator[Change]:
        """All changes, streamed, collection by collection in the order of writing; `files` takes only (no) files."""
        matcher = Matcher(self.selection, self.target.checkpoint)
        for pair, alignment in self.pairs():
            if alignment is None or files not in (None, alignment.live.kind in FILE_KINDS):
                continue
            for key, old, new in differences(self.live.stream(pair.name), self.target.stream(pair.name)):
                wanted = matcher.collection(pair) and matcher.record(alignment.live, key)
                if not wanted and (alignment.live.path, key) not in self.extra:
                    continue
                before = None if old is None else load_row(old, self.live.get)
                after = None if new is None else load_row(new, self.target.get)
                change = self._change(pair, alignment, key, before, after, matcher)
                if change is not None:
                    yield change

    def _cuts_off(self, pair: CollectionPair, key: bytes) -> bool:
        """Whether a live line goes because its file is put back: a transcript of two ages would be no conversation."""
        if pair.after is None or pair.after.kind is not CollectionKind.LINES:
            return False
        path = encode_key(decode_key(key)[:1])
        if path != self._last_file[0]:
            lines = records(self.target.chunks, self.target.root(pair.name), path, path + b"\xff")
            self._last_file = (path, next(lines, None) is not None)
        return self._last_file[1]

    def _change(
        self,
        pair: CollectionPair,
        alignment: Alignment,
        key: bytes,
        before: Row | None,
        after: Row | None,
        matcher: Matcher,
    ) -> Change | None:
        if after is None and not matcher.exact and not self._cuts_off(pair, key):
            return None
        change = alignment.change(key, before, after)
        if change is None:
            return None
        if after is None and (alignment.live.path, key) in self.spared:
            self._note(pair, "spared", Severity.WARNING, "keeps records that others still refer to")
            return None
        descriptor = alignment.live
        if descriptor.kind is CollectionKind.SCHEMA:
            if not can_write(descriptor, change.parts, added=before is None):
                kind, name = (str(part) for part in change.parts[:2])
                what = f"differs in {kind} {name}, which stays as it is"
                self._note(pair, f"schema {kind} {name}", Severity.INFO, what)
                return None
        elif descriptor.origin == SEQUENCE_TABLE and not self.selection.whole and not _raises(before, after):
            return None
        return change


def _write_order(pair: CollectionPair) -> tuple[int, int]:
    # Tables must be there before their rows, and files follow what a transaction can take back.
    order = (CollectionKind.SCHEMA, CollectionKind.TABLE, CollectionKind.FILES, CollectionKind.LINES)
    one = pair.after or pair.before
    assert one is not None
    in_database = one.kind is CollectionKind.TABLE
    return order.index(one.kind), _ORDER.get(one.component, len(_ORDER)) if in_database else 0


def _raises(before: Row | None, after: Row | None) -> bool:
    """Whether a sequence grows: lowering one would give ids out again that live messages already have."""
    if after is None:
        return False
    if before is None:
        return True
    old, new = before[-1], after[-1]
    return isinstance(old, int) and isinstance(new, int) and new > old


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
    digest = hashlib.sha256(b"maos-ckpt plan 1\n" + _selection_bytes(planner.target.checkpoint, planner.selection))
    for change in planner.changes():
        digest.update(encode_row((change.descriptor.path, change.key, change.before, change.columns, change.after)))
        component = change.descriptor.component
        found.counts.count(change.kind)
        found.by_component.setdefault(component, Counts()).count(change.kind)
        if change.after is not None:
            found.write_bytes += len(change.key) + len(encode_row(change.after))
        if len(found.listed) < limit:
            found.listed.append(shown(change))
        if found.counts.total % _REPORT_EVERY == 0:
            progress(Progress(operation, "plan", found.counts.total))
        yield change
    found.digest = digest.hexdigest()


def _selection_bytes(checkpoint: Checkpoint, selection: Selection) -> bytes:
    return encode_row(
        (
            checkpoint.id,
            checkpoint.digest,
            sorted(set(selection.components)),
            sorted(set(selection.records)),
            selection.exact or selection.whole,
            selection.with_dependencies,
        )
    )


def shown(change: Change) -> RecordChange:
    """A change for people."""
    descriptor = change.descriptor
    fields: tuple[FieldChange, ...] = ()
    if change.kind is ChangeKind.MODIFIED:
        assert change.before is not None
        assert change.after is not None
        before = named(descriptor, (), change.before)
        after = before | dict(_visible(descriptor, change.columns, change.after))
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
        whole=planner.selection.whole,
    )
    return replace(_to_plan(planner, found, source, stopped), findings=(*planner.findings.values(), *dangling))


def plan_quickly(
    planner: Planner,
    source: Source,
    stopped: Sequence[ProcessInfo],
    limit: int,
    progress: ProgressSink,
    operation: str,
) -> Plan:
    """The plan without findings on references: for the moment of applying, when MAOS stands still."""
    _complete(planner)
    found = Summary()
    for _ in summarise(planner, found, limit, progress, operation):
        pass
    return replace(_to_plan(planner, found, source, stopped), findings=tuple(planner.findings.values()))


def with_findings(planner: Planner, plan: Plan) -> Plan:
    """A quick plan with its findings; both states must be stored ones, for the live state has changed since."""
    running = bool(plan.running)
    dangling = reference_findings(planner.live, planner.changes, running=running, whole=planner.selection.whole)
    return replace(plan, findings=(*plan.findings, *dangling))


def _complete(planner: Planner) -> None:
    """Add what a partial selection needs, and spare what others need."""
    if planner.selection.with_dependencies:
        planner.extra |= missing_dependencies(planner.live, planner.target, planner.changes)
    if planner.selection.exact and not planner.selection.whole:
        planner.spared = still_referenced(planner.live, planner.changes)


def _to_plan(planner: Planner, found: Summary, source: Source, stopped: Sequence[ProcessInfo]) -> Plan:
    estimated_s = found.counts.total / _RECORDS_PER_S + (found.write_bytes + source.bytes_hint()) / _BYTES_PER_S
    return Plan(
        checkpoint=planner.target.checkpoint.id,
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
) -> Plan:
    """What recovering `selection` of a checkpoint would change now; writes nothing.

    Raises:
        NotFoundError: the checkpoint has no such component or collection.
    """
    target = StoredState(repository, checkpoint)
    with live_state(repository, source, progress, "plan") as live:
        planner = Planner(live, target, selection, extra)
        database = source.database
        holders = seams.processes.holders(database, writing=True) if database is not None else []
        return plan_changes(planner, source, holders, limit, progress, "plan")
