"""How many touched records hold each reference before and after a plan, in bounded memory.

What is counted for a reference is kept in memory until there is too much of it; then it is added to what a temporary
database holds of it already.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from maos_ckpt.codec.values import display_key
from maos_ckpt.model import Descriptor
from maos_ckpt.recovery.reference_rules import Reference
from maos_ckpt.sources.sqlite.spill import TEXT, Spill

#: Records named in one finding.
AFFECTED_MAX: Final = 20
#: Holders and former references in memory, of all references together, per reference that may be in memory.
_NOTES_PER_REFERENCE: Final = 2
_HOLDER: Final = struct.Struct(">HI")

Holder = tuple[Descriptor, bytes]
"""A record by its collection and key; its name for people is made only when it is shown."""


_T = TypeVar("_T")


@dataclass(slots=True)
class Counted(Generic[_T]):
    """How many there are, and the first of them; one that comes again right away counts once."""

    number: int = 0
    first: list[_T] = field(default_factory=list)
    _last: _T | None = None

    def add(self, one: _T) -> None:
        """Count one."""
        if one != self._last:
            self._last = one
            self.number += 1
            if len(self.first) < AFFECTED_MAX:
                self.first.append(one)


def named(holder: Holder) -> str:
    """A record's path, for people."""
    return f"{holder[0].path}/{display_key(holder[1])}"


@dataclass(slots=True)
class Count:
    """A reference or flaw: how many touched records have it before and after, and the first that do after.

    `unread`: how many live records have it, whether touched or not; known only where a partial plan removes what the
    reference leads to.
    """

    before: int = 0
    after: int = 0
    unread: int = 0
    holders: list[Holder] = field(default_factory=list)

    def named(self) -> tuple[str, ...]:
        """The holders' paths."""
        return tuple(map(named, self.holders))


@dataclass(slots=True)
class _Entry:
    """As `Count`, smaller. `instead_of`: what the same records referred to before in its place, how often."""

    before: int = 0
    after: int = 0
    unread: int = 0
    holders: list[Holder] | None = None
    instead_of: dict[Reference, int] | None = None


class Tally:
    """Counts references."""

    def __init__(self, spill: Spill) -> None:
        self._spill = spill
        self._front: dict[Reference, _Entry] = {}
        self._notes = 0
        self._counts = self._instead = ""
        #: Numbers that stand for (check, table) and for collections in the temporary database.
        self._kinds: dict[tuple[str, str], int] = {}
        self._collections: dict[str, tuple[int, Descriptor]] = {}

    def before(self, one: Reference) -> None:
        """A touched record has it now."""
        self._entry(one).before += 1

    def after(self, one: Reference, holder: Holder, instead_of: Iterable[Reference]) -> None:
        """A touched record will have it, where it has these now."""
        entry = self._entry(one)
        entry.after += 1
        self._hold(entry, holder)
        for other in instead_of:
            if entry.instead_of is None:
                entry.instead_of = {}
            entry.instead_of[other] = entry.instead_of.get(other, 0) + 1
            self._notes += 1

    def unread(self, one: Reference, holder: Holder) -> None:
        """A live record has it, touched or not."""
        entry = self._entry(one)
        entry.unread += 1
        self._hold(entry, holder)

    def items(self) -> Iterator[tuple[Reference, Count]]:
        """All references in the order in which they were first met; nothing may be counted meanwhile."""
        if not self._counts:
            for one, entry in self._front.items():
                yield one, Count(entry.before, entry.after, entry.unread, list(entry.holders or ()))
            return
        self._put_away()
        kinds, descriptors = list(self._kinds), [one for _, one in self._collections.values()]
        sql = f"SELECT kind, id, before, after, unread, holders FROM {self._counts} ORDER BY number"
        for kind, name, before, after, unread, holders in self._spill.each(sql):
            first = list(_unpacked(holders, descriptors))[:AFFECTED_MAX]
            check, table = kinds[kind]
            yield Reference(check, table, TEXT.decode(name)), Count(before, after, unread, first)

    def instead_of(self, one: Reference) -> Iterator[tuple[Reference, int]]:
        """What the records that will have a reference have now in its place, how often."""
        if not self._counts:
            entry = self._front.get(one)
            yield from (entry.instead_of or {}).items() if entry is not None else ()
            return
        kinds = list(self._kinds)
        sql = f"SELECT other_kind, other_id, number FROM {self._instead} WHERE kind = ? AND id = ?"
        for kind, name, number in self._spill.each(sql, (self._kinds[one[:2]], TEXT.encode(one.id))):
            check, table = kinds[kind]
            yield Reference(check, table, TEXT.decode(name)), number

    def _entry(self, one: Reference) -> _Entry:
        found = self._front.get(one)
        if found is None or self._notes >= self._spill.front_max * _NOTES_PER_REFERENCE:
            if max(len(self._front), self._notes // _NOTES_PER_REFERENCE) >= self._spill.front_max:
                self._put_away()
            found = self._front[one] = _Entry()
        return found

    def _hold(self, entry: _Entry, holder: Holder) -> None:
        if entry.holders is None:
            entry.holders = []
        if len(entry.holders) < AFFECTED_MAX:
            entry.holders.append(holder)
            self._notes += 1

    def _put_away(self) -> None:
        if not self._counts:
            self._counts = self._spill.create(
                "number INTEGER PRIMARY KEY, kind INTEGER, id BLOB, before INTEGER, after INTEGER, unread INTEGER,"
                " held INTEGER, holders BLOB, UNIQUE (kind, id)"
            )
            self._instead = self._spill.create(
                "kind INTEGER, id BLOB, other_kind INTEGER, other_id BLOB, number INTEGER,"
                " PRIMARY KEY (kind, id, other_kind, other_id)"
            )
        front, self._front, self._notes = self._front, {}, 0
        self._spill.put(
            f"INSERT INTO {self._counts} (kind, id, before, after, unread, held, holders) VALUES (?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (kind, id) DO UPDATE SET before = before + excluded.before, after = after + excluded.after,"
            " unread = unread + excluded.unread, held = held + excluded.held,"
            f" holders = CASE WHEN held >= {AFFECTED_MAX} THEN holders"
            " ELSE CAST(holders || excluded.holders AS BLOB) END",
            ((self._kind(one), TEXT.encode(one.id), *self._values(entry)) for one, entry in front.items()),
        )
        self._spill.put(
            f"INSERT INTO {self._instead} VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (kind, id, other_kind, other_id) DO UPDATE SET number = number + excluded.number",
            (
                (self._kind(one), TEXT.encode(one.id), self._kind(other), TEXT.encode(other.id), number)
                for one, entry in front.items()
                for other, number in (entry.instead_of or {}).items()
            ),
        )

    def _kind(self, one: Reference) -> int:
        return self._kinds.setdefault((one.check, one.table), len(self._kinds))

    def _values(self, entry: _Entry) -> tuple[int, int, int, int, bytes]:
        found = []
        for descriptor, key in entry.holders or ():
            number, _ = self._collections.setdefault(descriptor.path, (len(self._collections), descriptor))
            found.append(_HOLDER.pack(number, len(key)) + key)
        return entry.before, entry.after, entry.unread, len(found), b"".join(found)


def _unpacked(data: bytes, descriptors: list[Descriptor]) -> Iterator[Holder]:
    at = 0
    while at < len(data):
        number, length = _HOLDER.unpack_from(data, at)
        at += _HOLDER.size + length
        yield descriptors[number], data[at - length : at]
