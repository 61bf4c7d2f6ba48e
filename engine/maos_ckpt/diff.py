"""What differs between two states, record by record and field by field; browsing one state."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from maos_ckpt.codec.shown_keys import key_ranges
from maos_ckpt.codec.values import decode_key, display_key, key_forms
from maos_ckpt.errors import NotFoundError
from maos_ckpt.fields import VALUES_LISTED_MAX, changed_fields, named, same_record
from maos_ckpt.model import (
    ChangeKind,
    Checkpoint,
    Counts,
    Descriptor,
    DiffResult,
    FieldChange,
    Finding,
    Progress,
    RecordChange,
    Row,
    Severity,
    Value,
)
from maos_ckpt.repository.repository import Repository
from maos_ckpt.sources.base import Source
from maos_ckpt.sources.change import same_value
from maos_ckpt.states import LIVE, CollectionPair, State, StoredState, collection_pairs, open_state, unknown_side
from maos_ckpt.tree.cursor import records
from maos_ckpt.tree.diff import differences
from maos_ckpt.tree.large import load_row

ProgressSink = Callable[[Progress], None]
#: Changes listed where the caller names no limit.
CHANGES_LISTED = 1000
#: Whoever browses hears of so many records at a time.
_REPORT_RECORDS = 2000


@dataclass(frozen=True, slots=True)
class Difference:
    """One record that differs; rows hold the non-key columns of their own side's descriptor."""

    pair: CollectionPair
    key: bytes
    before: Row | None
    after: Row | None
    columns: ColumnChanges | None = None

    @property
    def kind(self) -> ChangeKind:
        """What happened to the record."""
        if self.before is None:
            return ChangeKind.ADDED
        return ChangeKind.REMOVED if self.after is None else ChangeKind.MODIFIED

    def shown(self, *, values: bool = True) -> RecordChange:
        """The difference for people; `values` gives all fields of an added or removed record too."""
        component, collection = self.pair.name
        fields: tuple[FieldChange, ...] = ()
        if values or self.kind is ChangeKind.MODIFIED:
            before, after = _by_name(self.pair.before, self.before), _by_name(self.pair.after, self.after)
            if self.kind is ChangeKind.MODIFIED and self.columns is not None:
                before, after = self.columns.common(before), self.columns.common(after)
            fields = changed_fields(before, after)
        return RecordChange(component, collection, display_key(self.key), self.kind, fields)


def _by_name(descriptor: Descriptor | None, row: Row | None) -> dict[str, Value]:
    return {} if descriptor is None else named(descriptor, (), row)


class ColumnChanges:
    """Columns that only one side of a collection has: told once, with how many records hold something in them."""

    def __init__(self, before: Descriptor, after: Descriptor) -> None:
        names = [set(one.columns[1:] if one.rowid else one.columns) for one in (before, after)]
        self._gone = names[0] - names[1]
        self._held = dict.fromkeys(sorted(names[0] ^ names[1]), 0)
        self._path = after.path

    def __bool__(self) -> bool:
        return bool(self._held)

    def note(self, values: dict[str, Value]) -> None:
        """Count what a record holds in them."""
        for name in self._held.keys() & values.keys():
            self._held[name] += values[name] is not None

    def common(self, values: dict[str, Value]) -> dict[str, Value]:
        """A record's values in the columns that both sides have."""
        return {name: value for name, value in values.items() if name not in self._held}

    def findings(self, before: str, after: str) -> Iterator[Finding]:
        """One for each column."""
        for name, number in self._held.items():
            side = before if name in self._gone else after
            text = f"{self._path} has the column {name} only in {side}, where {number:,} record"
            text += f"{' holds' if number == 1 else 's hold'} something in it; records are compared without it."
            yield Finding(Severity.INFO, "columns", text, self._path)


def iterate(before: State, after: State, found: list[ColumnChanges]) -> Iterator[Difference]:
    """All records that differ, collection by collection, in key order; a change of the hidden rowid alone is none.

    Columns that only one side has make no difference of a record; they are put into `found`. A collection of which one
    side knows nothing makes none either.
    """
    for pair in collection_pairs(before, after):
        if unknown_side(pair, before, after) is not None:
            continue
        columns = ColumnChanges(pair.before, pair.after) if pair.before and pair.after else None
        if columns:
            found.append(columns)
        else:
            columns = None
        for key, old, new in differences(before.stream(pair.name), after.stream(pair.name)):
            a = None if old is None else load_row(old, before.get)
            b = None if new is None else load_row(new, after.get)
            if a is not None and b is not None:
                assert pair.before is not None
                assert pair.after is not None
                if columns is not None:
                    old_values, new_values = _by_name(pair.before, a), _by_name(pair.after, b)
                    columns.note(old_values)
                    columns.note(new_values)
                    new_values = columns.common(new_values)
                    if all(same_value(value, new_values[name]) for name, value in columns.common(old_values).items()):
                        continue
                elif same_record((pair.before, a), (pair.after, b)):
                    continue
            yield Difference(pair, key, a, b, columns)


def diff_states(
    repository: Repository,
    source: Source | None,
    before: str,
    after: str,
    *,
    limit: int = CHANGES_LISTED,
    progress: ProgressSink = lambda _: None,
) -> DiffResult:
    """What differs between two states, each a checkpoint's name or `live`; at most `limit` changes are listed."""
    with (
        open_state(repository, source, before, progress, "diff") as a,
        open_state(repository, source, after, progress, "diff") as b,
    ):
        summary, by_component = Counts(), dict[str, Counts]()
        listed: list[RecordChange] = []
        columns: list[ColumnChanges] = []
        for one in iterate(a, b, columns):
            summary.count(one.kind)
            by_component.setdefault(one.pair.name[0], Counts()).count(one.kind)
            if len(listed) < limit:
                listed.append(one.shown(values=len(listed) < VALUES_LISTED_MAX))
            if summary.total % 1000 == 0:
                progress(Progress("diff", "compare", summary.total))
        findings = (
            *(finding for one in columns for finding in one.findings(a.name, b.name)),
            *_unknown(a, b),
        )
        truncated = summary.total > len(listed)
        return DiffResult(a.name, b.name, summary, by_component, tuple(listed), truncated, findings)


def _unknown(before: State, after: State) -> Iterator[Finding]:
    for pair in collection_pairs(before, after):
        side = unknown_side(pair, before, after)
        if side is not None:
            path = "/".join(pair.name)
            yield Finding(Severity.WARNING, "unread", f"{path} {side}; it is not compared.", path)


@dataclass(frozen=True, slots=True)
class BrowsedRecord:
    """A record of a checkpoint for people and machines; `values` by column name, key columns included. `encoded` is
    the key as it is stored, where that is known."""

    component: str
    collection: str
    key: str
    values: dict[str, Value]
    encoded: bytes = b""


def browse(
    state: State,
    component: str | None = None,
    pattern: str | None = None,
    *,
    after: tuple[str, str, bytes] | None = None,
    looked_at: Callable[[int], None] = lambda number: None,
) -> Iterator[BrowsedRecord]:
    """A state's records, in order.

    Args:
        component: only this one.
        pattern: a glob over the key, or over `component/collection/key`; one that begins with a collection's path means
            that collection alone.
        after: only those behind this one: component, collection and encoded key.
        looked_at: told from time to time how many were looked at.

    Raises:
        NotFoundError: the state has no such component; `data["nearest"]` names one.
    """
    descriptors = state.descriptors()
    state_name = "The live state" if state.name == LIVE else f"Checkpoint {state.name}"
    _check_component(state_name, {name[0]: None for name in descriptors}, component)
    ranges = {name: key_ranges(one, pattern) for name, one in descriptors.items()} if pattern else {}
    narrowed = any(one is not None for one in ranges.values())
    seen = 0
    for name, descriptor in _behind(descriptors, after):
        within = ranges.get(name)
        if component not in (None, name[0]) or (narrowed and within is None):
            continue
        low = after[2] + b"\0" if after is not None and name == after[:2] else b""
        for key, value in _in_ranges(state, name, low, within or [(b"", None)]):
            seen += 1
            if seen % _REPORT_RECORDS == 0:
                looked_at(seen)
            if pattern is None or matches(pattern, descriptor, key):
                row = load_row(value, state.get)
                yield BrowsedRecord(*name, display_key(key), named(descriptor, decode_key(key), row), key)


def _in_ranges(
    state: State, name: tuple[str, str], low: bytes, ranges: list[tuple[bytes, bytes | None]]
) -> Iterator[tuple[bytes, bytes]]:
    """(key, value) of a collection's records from `low` on that are in one of the ranges."""
    if isinstance(state, StoredState):
        for first, end in ranges:
            yield from records(state.chunks, state.root(name), max(low, first), end)
        return
    # A live state has no tree yet: it is read from its beginning.
    for key, _, value in differences(state.stream(("", "")), state.stream(name)):
        if value is not None and key >= low and any(key >= a and (b is None or key < b) for a, b in ranges):
            yield key, value


def _behind(
    descriptors: dict[tuple[str, str], Descriptor], after: tuple[str, str, bytes] | None
) -> list[tuple[tuple[str, str], Descriptor]]:
    """The collections from that of `after` on; all without it, none where the state has no such collection."""
    found = list(descriptors.items())
    if after is None:
        return found
    names = list(descriptors)
    return found[names.index(after[:2]) :] if after[:2] in names else []


def matches(pattern: str, descriptor: Descriptor, key: bytes) -> bool:
    """Whether a key or a glob means this record: by its key alone, or as `component/collection/key`."""
    for form in key_forms(key):
        path = f"{descriptor.path}/{form}"
        # A key is first of all itself: it may hold the characters of a glob.
        if pattern in (form, path) or fnmatch.fnmatchcase(form, pattern) or fnmatch.fnmatchcase(path, pattern):
            return True
    return False


def check_component(checkpoint: Checkpoint, component: str | None) -> None:
    """Raise `NotFoundError` where the checkpoint has no component of that name."""
    _check_component(f"Checkpoint {checkpoint.id}", dict.fromkeys(checkpoint.components), component)


def _check_component(state: str, components: dict[str, None], component: str | None) -> None:
    if component is not None and component not in components:
        nearest = difflib.get_close_matches(component, components, 1)
        raise NotFoundError(
            f"{state} has no component {component!r}.",
            hint=f"Did you mean {nearest[0]!r}?" if nearest else f"It has {', '.join(components)}.",
            component=component,
            nearest=nearest,
        )
