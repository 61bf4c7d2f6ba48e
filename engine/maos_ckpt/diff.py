"""What differs between two states, record by record and field by field; browsing and the history of one record."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from maos_ckpt.codec.values import decode_key, display_key, encode_key
from maos_ckpt.errors import NotFoundError
from maos_ckpt.fields import changed_fields, named, same_record
from maos_ckpt.model import (
    ChangeKind,
    Checkpoint,
    Counts,
    Descriptor,
    DiffResult,
    FieldChange,
    Progress,
    RecordChange,
    Row,
    Value,
)
from maos_ckpt.repository.repository import Repository
from maos_ckpt.sources.base import Source
from maos_ckpt.states import CollectionPair, State, StoredState, collection_pairs, open_state
from maos_ckpt.tree.cursor import find, records
from maos_ckpt.tree.diff import differences
from maos_ckpt.tree.large import load_row

ProgressSink = Callable[[Progress], None]
#: Changes listed where the caller names no limit.
CHANGES_LISTED = 1000


@dataclass(frozen=True, slots=True)
class Difference:
    """One record that differs; rows hold the non-key columns of their own side's descriptor."""

    pair: CollectionPair
    key: bytes
    before: Row | None
    after: Row | None

    @property
    def kind(self) -> ChangeKind:
        """What happened to the record."""
        if self.before is None:
            return ChangeKind.ADDED
        return ChangeKind.REMOVED if self.after is None else ChangeKind.MODIFIED

    def shown(self) -> RecordChange:
        """The difference for people."""
        component, collection = self.pair.name
        fields: tuple[FieldChange, ...] = ()
        if self.before is not None and self.after is not None:
            assert self.pair.before is not None
            assert self.pair.after is not None
            fields = changed_fields(named(self.pair.before, (), self.before), named(self.pair.after, (), self.after))
        return RecordChange(component, collection, display_key(self.key), self.kind, fields)


def iterate(
    before: State, after: State, wanted: Callable[[CollectionPair], bool] | None = None
) -> Iterator[Difference]:
    """All records that differ, collection by collection, in key order; a change of the hidden rowid alone is none."""
    for pair in collection_pairs(before, after):
        if wanted is not None and not wanted(pair):
            continue
        for key, old, new in differences(before.stream(pair.name), after.stream(pair.name)):
            a = None if old is None else load_row(old, before.get)
            b = None if new is None else load_row(new, after.get)
            if a is not None and b is not None:
                assert pair.before is not None
                assert pair.after is not None
                if same_record((pair.before, a), (pair.after, b)):
                    continue
            yield Difference(pair, key, a, b)


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
        for one in iterate(a, b):
            summary.count(one.kind)
            by_component.setdefault(one.pair.name[0], Counts()).count(one.kind)
            if len(listed) < limit:
                listed.append(one.shown())
            if summary.total % 1000 == 0:
                progress(Progress("diff", "compare", summary.total))
        return DiffResult(a.name, b.name, summary, by_component, tuple(listed), truncated=summary.total > len(listed))


@dataclass(frozen=True, slots=True)
class BrowsedRecord:
    """A record of a checkpoint for people and machines; `values` by column name, key columns included."""

    component: str
    collection: str
    key: str
    values: dict[str, Value]


def browse(
    repository: Repository, checkpoint: Checkpoint, component: str | None = None, pattern: str | None = None
) -> Iterator[BrowsedRecord]:
    """A checkpoint's records, in order.

    Args:
        component: only this one.
        pattern: a glob over the key, or over `component/collection/key`.

    Raises:
        NotFoundError: the checkpoint has no such component; `data["nearest"]` names one.
    """
    state = StoredState(repository, checkpoint)
    check_component(checkpoint, component)
    for name, descriptor in state.descriptors().items():
        if component is not None and name[0] != component:
            continue
        for key, value in records(repository.chunks, state.root(name)):
            shown = display_key(key)
            if pattern is None or matches(pattern, descriptor, shown):
                row = load_row(value, repository.chunks.get)
                yield BrowsedRecord(*name, shown, named(descriptor, decode_key(key), row))


def matches(pattern: str, descriptor: Descriptor, key: str) -> bool:
    """Whether a glob means this record: by its key alone, or as `component/collection/key`."""
    return fnmatch.fnmatchcase(key, pattern) or fnmatch.fnmatchcase(f"{descriptor.path}/{key}", pattern)


def check_component(checkpoint: Checkpoint, component: str | None) -> None:
    """Raise `NotFoundError` where the checkpoint has no component of that name."""
    if component is not None and component not in checkpoint.components:
        import difflib

        nearest = difflib.get_close_matches(component, checkpoint.components, 1)
        raise NotFoundError(
            f"Checkpoint {checkpoint.id} has no component {component!r}.",
            hint=f"Did you mean {nearest[0]!r}?" if nearest else f"It has {', '.join(checkpoint.components)}.",
            component=component,
            nearest=nearest,
        )


@dataclass(frozen=True, slots=True)
class Version:
    """A record as it became with one checkpoint; `fields` says what changed since the version before."""

    checkpoint: str
    created_at_ms: int
    component: str
    collection: str
    key: str
    kind: ChangeKind
    fields: tuple[FieldChange, ...]


def history(repository: Repository, key: str) -> list[Version]:
    """How the records with this key changed over the checkpoints, oldest first.

    Args:
        key: as shown by `records`, alone or as `component/collection/key`.

    Raises:
        NotFoundError: no checkpoint holds such a record.
    """
    versions: list[Version] = []
    last: dict[tuple[str, str, bytes], tuple[Descriptor, Row]] = {}
    previous: dict[tuple[str, str], bytes | None] = {}
    for checkpoint in reversed(repository.checkpoints()):
        state = StoredState(repository, checkpoint)
        for name, descriptor in state.descriptors().items():
            root = state.root(name)
            if previous.get(name, b"") == root:
                continue
            previous[name] = root
            for encoded in _candidates(descriptor, key):
                value = find(repository.chunks, root, encoded)
                row = None if value is None else load_row(value, repository.chunks.get)
                version = _version(checkpoint, descriptor, encoded, row, last)
                if version is not None:
                    versions.append(version)
    if not versions:
        raise NotFoundError(f"No checkpoint holds a record {key!r}.", hint="`maos-ckpt records latest` shows the keys.")
    return versions


def _version(
    checkpoint: Checkpoint,
    descriptor: Descriptor,
    key: bytes,
    row: Row | None,
    last: dict[tuple[str, str, bytes], tuple[Descriptor, Row]],
) -> Version | None:
    place = (descriptor.component, descriptor.name, key)
    before = last.pop(place, None)
    if row is not None:
        last[place] = (descriptor, row)
    if before is None and row is None:
        return None
    fields: tuple[FieldChange, ...] = ()
    if before is not None and row is not None:
        if same_record(before, (descriptor, row)):
            return None
        fields = changed_fields(named(before[0], (), before[1]), named(descriptor, (), row))
    kind = ChangeKind.ADDED if before is None else ChangeKind.REMOVED if row is None else ChangeKind.MODIFIED
    return Version(
        checkpoint.id, checkpoint.created_at_ms, descriptor.component, descriptor.name, display_key(key), kind, fields
    )


def _candidates(descriptor: Descriptor, key: str) -> set[bytes]:
    """Encoded keys that a shown key may stand for in a collection; a number may be an integer or a text."""
    text = key.removeprefix(f"{descriptor.path}/")
    arity = len(descriptor.keys)
    found = set()
    for parts in (text.split("/", arity - 1), text.rsplit("/", arity - 1)):
        if len(parts) == arity:
            typed: list[Value] = [_number(part) for part in parts]
            found.update({encode_key(tuple(parts)), encode_key(tuple(typed))})
            found.add(encode_key((*parts[:-1], typed[-1])))
    return found


def _number(text: str) -> Value:
    digits = text.removeprefix("-")
    if digits.isdecimal() and digits.isascii() and len(digits) <= 18:
        return int(text)
    return text
