"""One record to write: what the plan saw live, and what the checkpoint holds.

Checkpoint and live state may be of different schema families, so a change carries live column names: columns that only
the checkpoint knows have no place and are left out, columns that only the live table has are left alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from maos_ckpt.codec.values import decode_key, display_key, encode_row
from maos_ckpt.model import ChangeKind, Descriptor, Row


@dataclass(frozen=True, slots=True)
class Change:
    """One record that differs.

    `descriptor` is the live collection's (the checkpoint's own where the live state has no such table). `key` is
    `codec.values.encode_key` of the key parts. `before` holds the live values of `descriptor.columns`, None where the
    record is not there; `after` holds the values of `columns`, None where it is to be removed.
    """

    descriptor: Descriptor
    key: bytes
    before: Row | None
    after: Row | None
    columns: tuple[str, ...]

    @property
    def kind(self) -> ChangeKind:
        """What applying the change does to the live state."""
        if self.before is None:
            return ChangeKind.ADDED
        return ChangeKind.REMOVED if self.after is None else ChangeKind.MODIFIED

    @property
    def parts(self) -> Row:
        """The key's parts: one for each of `descriptor.keys`, and the hidden rowid where one of them is NULL."""
        return decode_key(self.key)

    @property
    def path(self) -> str:
        """`component/collection/key`, for people; untrusted."""
        return f"{self.descriptor.path}/{display_key(self.key)}"

    def differing(self) -> Iterator[tuple[str, object]]:
        """(column, new value) for each column of a modified record that gets another value; never the hidden rowid."""
        if self.before is None or self.after is None:
            return
        names = self.descriptor.columns
        hidden = names[0] if self.descriptor.rowid else None
        aligned = self.columns == names
        for at, (name, value) in enumerate(zip(self.columns, self.after, strict=True)):
            was = self.before[at if aligned else names.index(name)]
            if name != hidden and not same_value(was, value):
                yield name, value


@dataclass(frozen=True, slots=True)
class Alignment:
    """How records of a checkpoint's collection become records of the live one, by column name.

    `columns`: live names that the checkpoint provides, in live order. `absent`: live names that it does not know.
    `homeless`: the checkpoint's names that have no place live (the hidden rowid aside).
    """

    live: Descriptor
    columns: tuple[str, ...]
    absent: tuple[str, ...]
    homeless: tuple[str, ...]
    _places: tuple[int, ...] | None

    def row(self, row: Row) -> Row:
        """The checkpoint's `row` as values of `columns`."""
        return row if self._places is None else tuple(row[at] for at in self._places)

    def change(self, key: bytes, before: Row | None, checkpoint_row: Row | None) -> Change | None:
        """The change that puts a record back, or None where nothing that has a place differs."""
        after = None if checkpoint_row is None else self.row(checkpoint_row)
        change = Change(self.live, key, before, after, self.columns)
        if before is None and after is None:
            return None
        if change.kind is ChangeKind.MODIFIED and next(change.differing(), None) is None:
            return None
        return change


def align(checkpoint: Descriptor, live: Descriptor) -> Alignment | None:
    """How to put records of `checkpoint` into `live`; None where the two identify records by different keys."""
    if checkpoint.keys != live.keys:
        return None
    known = checkpoint.columns
    # The two sides may call the hidden rowid by different names; it is the first column on both.
    both_hidden = checkpoint.rowid and live.rowid
    columns = tuple(
        name
        for at, name in enumerate(live.columns)
        if (both_hidden if at == 0 and live.rowid else name in known[checkpoint.rowid :])
    )
    places = tuple(0 if both_hidden and name == live.columns[0] else known.index(name) for name in columns)
    straight = places == tuple(range(len(known)))
    return Alignment(
        live=live,
        columns=columns,
        absent=tuple(name for name in live.columns[live.rowid :] if name not in columns),
        homeless=tuple(name for name in known[checkpoint.rowid :] if name not in live.columns[live.rowid :]),
        _places=None if straight else places,
    )


def same_value(one: object, other: object) -> bool:
    """Whether two values are the same in type and bits: 1, 1.0 and "1" differ, and so do 0.0 and -0.0."""
    if one is other:
        return True
    if type(one) is not type(other) or one != other:
        return False
    return not isinstance(one, float) or encode_row((one,)) == encode_row((other,))


def same_row(one: Row, other: Row) -> bool:
    """Whether two rows are the same in every value's type and bits."""
    return len(one) == len(other) and encode_row(one) == encode_row(other)
