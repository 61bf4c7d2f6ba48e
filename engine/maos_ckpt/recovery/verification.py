"""Proving after a commit that a recovery changed exactly what its plan says, without reading the whole state again.

What differs between the safety checkpoint and the live state is known from the pages that differ; it must be the plan,
record by record. Where that cannot be told, a plan made anew must be empty.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from maos_ckpt.capture.memo import kept_directory, load_memo
from maos_ckpt.model import Checkpoint, CollectionKind, Descriptor, Row
from maos_ckpt.recovery.kept_changes import KeptChanges
from maos_ckpt.recovery.planner import FILE_KINDS
from maos_ckpt.repository.repository import Repository
from maos_ckpt.sources.base import Cut
from maos_ckpt.sources.change import Change, same_value
from maos_ckpt.sources.sqlite.schema import SEQUENCE_TABLE
from maos_ckpt.states import CollectionName, LiveState, StoredState
from maos_ckpt.tree.diff import differences
from maos_ckpt.tree.large import load_row

#: A record by its key, and its values now; None where it is gone.
_Moved = tuple[bytes, Row | None]


class _UnknownError(Exception):
    """Only reading everything can tell what differs."""


def only_as_planned(
    repository: Repository, safety: Checkpoint, cut: Cut, live: LiveState, changes: KeptChanges
) -> bool:
    """Whether the database differs from the safety checkpoint in the changes of a plan and in nothing else.

    Args:
        live: the state of `cut`.
        changes: the plan's; those of files are passed over.

    Returns:
        False also where it cannot be told.
    """
    memo = load_memo(repository)
    if memo is None or memo.checkpoint != safety.id:
        return False
    before = StoredState(repository, safety)
    descriptors = {(one.component, one.name): one for one in cut.descriptors() if one.kind not in FILE_KINDS}

    def moved(name: CollectionName) -> Iterator[_Moved]:
        descriptor = descriptors.pop(name)
        ranges = cut.changed_ranges(descriptor, memo.source, kept_directory(repository))
        if ranges is not None:
            for one in ranges:
                yield one.low, one.rows[0][len(descriptor.keys) :] if one.rows else None
        elif descriptor.kind is CollectionKind.SCHEMA or descriptor.origin == SEQUENCE_TABLE:
            for key, _, new in differences(before.stream(name), live.stream(name)):
                yield key, None if new is None else load_row(new, live.get)
        else:
            raise _UnknownError

    try:
        for name, planned in groupby(changes(files=False), lambda one: (one.descriptor.component, one.descriptor.name)):
            descriptor = descriptors.get(name)
            if descriptor is None or not _agree(descriptor, planned, moved(name)):
                return False
        return all(next(moved(name), None) is None for name in list(descriptors))
    except _UnknownError:
        return False


def _agree(descriptor: Descriptor, planned: Iterator[Change], moved: Iterator[_Moved]) -> bool:
    for change in planned:
        key, row = next(moved, (b"", None))
        if key != change.key or not _is_as_planned(descriptor, change, row):
            return False
    return next(moved, None) is None


def _is_as_planned(descriptor: Descriptor, change: Change, row: Row | None) -> bool:
    if row is None or change.after is None:
        return row is None and change.after is None
    wanted = dict(zip(change.descriptor.columns, change.before or (), strict=False))
    wanted |= zip(change.columns, change.after, strict=True)
    # What nobody can choose: where SQLite puts a row that has no integer key.
    hidden = descriptor.columns[0] if descriptor.rowid else None
    values = dict(zip(descriptor.columns, row, strict=True))
    return all(name == hidden or (name in values and same_value(values[name], value)) for name, value in wanted.items())
