"""What a plan comes to: its counts, its digest, and its changes for people, in one pass over them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from maos_ckpt.client import ProgressSink
from maos_ckpt.codec.values import display_key, encode_row
from maos_ckpt.fields import VALUES_LISTED_MAX, changed_fields, named
from maos_ckpt.model import ChangeKind, Counts, Descriptor, FieldChange, Progress, RecordChange, Row, Selection
from maos_ckpt.recovery.planner import Planner
from maos_ckpt.sources.change import Change

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
            values = len(found.listed) < VALUES_LISTED_MAX
            found.listed.append(shown(change, values=values, reason=planner.reason(change)))
        if found.counts.total % _REPORT_EVERY == 0:
            progress(Progress(operation, "plan", found.counts.total))
        yield change
    found.digest = digest.hexdigest()


def _asked(planner: Planner) -> bytes:
    """What the digest of a plan covers besides the records that it touches."""
    if planner.computed is not None:
        return planner.computed.identity
    checkpoint = planner.target.checkpoint
    parts = [_selection_row(one) for one in (planner.selection, *planner.only)]
    return encode_row((checkpoint.id, checkpoint.digest, *parts))


def _selection_row(selection: Selection) -> list[object]:
    named = (
        selection.components,
        selection.records,
        selection.searches,
        selection.agents,
        selection.orchestrations,
        selection.fields,
    )
    how = (selection.exact or selection.whole, selection.with_dependencies, selection.merge.value)
    return [*(sorted(set(one)) for one in named), *how]


def shown(change: Change, *, values: bool = True, reason: str = "") -> RecordChange:
    """A change for people; `values` gives all fields of an added or removed record too, `reason` why it is there."""
    descriptor = change.descriptor
    fields: tuple[FieldChange, ...] = ()
    if values or change.kind is ChangeKind.MODIFIED:
        before = named(descriptor, (), change.before)
        after = {} if change.after is None else before | dict(_visible(descriptor, change.columns, change.after))
        fields = changed_fields(before, after)
    return RecordChange(descriptor.component, descriptor.name, display_key(change.key), change.kind, fields, reason)


def _visible(descriptor: Descriptor, columns: tuple[str, ...], row: Row) -> Iterator[tuple[str, object]]:
    hidden = descriptor.columns[0] if descriptor.rowid else None
    return ((name, value) for name, value in zip(columns, row, strict=True) if name != hidden)
