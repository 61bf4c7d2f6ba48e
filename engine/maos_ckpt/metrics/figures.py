"""The journal's entries folded into figures: slots of ten minutes for a week, and totals for ever.

A fold of two parts of a journal is the fold of the whole, whatever the cut: counts and sums are integers, durations lie
in fixed buckets, and of the slots the newest stay. So figures that were carried over a rotation of the journal, or
folded entry by entry in a running engine, are those that reading everything again would give.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import msgspec

from maos_ckpt.metrics.distribution import Distribution
from maos_ckpt.model import RESCUE
from maos_ckpt.model.metrics import HOURS_MAX

#: Trends and windows are made of these.
SLOT_MS = 600_000
_SLOTS_AN_HOUR = 3_600_000 // SLOT_MS
#: Slots that are kept, the newest; the one that is not over yet, and one where the clock was set back, count, too.
SLOTS_MAX = (HOURS_MAX + 1) * _SLOTS_AN_HOUR
#: Operations that change or check something, counted under their names; any other counts as `OTHER`.
OPERATIONS = frozenset(
    {
        "save",
        "restore",
        "undo",
        "rescue",
        "verify",
        "repair",
        "scrub",
        "drill",
        "prune",
        "delete",
        "compact",
        "replicate",
    }
)
OTHER = "other"
#: A time beyond this is none.
_AT_MS_MAX = 253_402_300_799_999
_BYTES_MAX = 1 << 62
_COUNT_MAX = 1 << 31

Fields = Mapping[str, object]


class Slot(msgspec.Struct, omit_defaults=True):
    """What happened in a time. `logical_bytes` and `stored_bytes` are sums over saves; the rest as in `Totals`."""

    checkpoints: int = 0
    unchanged: int = 0
    missed_ticks: int = 0
    logical_bytes: int = 0
    stored_bytes: int = 0
    replicated_bytes: int = 0
    cache_hits: int = 0
    cache_misses: int = 0
    done: dict[str, int] = {}
    failed: dict[str, int] = {}
    save: Distribution = msgspec.field(default_factory=Distribution)
    recovery: Distribution = msgspec.field(default_factory=Distribution)
    lock: Distribution = msgspec.field(default_factory=Distribution)

    def merge(self, other: Slot) -> None:
        """Add what another one counted."""
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for mine, theirs in ((self.done, other.done), (self.failed, other.failed)):
            for operation, number in theirs.items():
                mine[operation] = mine.get(operation, 0) + number
        self.save.merge(other.save)
        self.recovery.merge(other.recovery)
        self.lock.merge(other.lock)


_SUMS = tuple(one.name for one in msgspec.structs.fields(Slot) if one.type is int)


class Figures(msgspec.Struct, omit_defaults=True):
    """All that is folded. `slots` has the number of each slot since 1970; `since_ms` is the earliest event's time."""

    since_ms: int | None = None
    total: Slot = msgspec.field(default_factory=Slot)
    slots: dict[int, Slot] = {}

    def add(self, entries: Iterable[tuple[str, Fields]]) -> None:
        """Fold journal entries in; nothing in them is taken on trust."""
        fresh: dict[int | None, Slot] = {}
        for name, fields in entries:
            at_ms, number = fields.get("at_ms"), None
            # A time that cannot be is no reason not to count what happened.
            if isinstance(at_ms, int) and 0 <= at_ms <= _AT_MS_MAX:
                self.since_ms = at_ms if self.since_ms is None else min(self.since_ms, at_ms)
                number = at_ms // SLOT_MS
            count = _COUNTERS.get(name)
            if count is not None:
                if number not in fresh:
                    fresh[number] = Slot()
                count(fresh[number], fields)
        for number, slot in fresh.items():
            self.total.merge(slot)
            if number is not None:
                self.slots.setdefault(number, Slot()).merge(slot)
        self._bound()

    def merge(self, other: Figures) -> None:
        """Add the figures of another part of the journal."""
        if other.since_ms is not None:
            self.since_ms = other.since_ms if self.since_ms is None else min(self.since_ms, other.since_ms)
        self.total.merge(other.total)
        for number, slot in other.slots.items():
            self.slots.setdefault(number, Slot()).merge(slot)
        self._bound()

    def window(self, first: int, end: int) -> Slot:
        """The slots with numbers from `first` up to `end`, which is not included, added up."""
        found = Slot()
        for number, slot in self.slots.items():
            if first <= number < end:
                found.merge(slot)
        return found

    def _bound(self) -> None:
        if len(self.slots) > SLOTS_MAX:
            for number in sorted(self.slots)[:-SLOTS_MAX]:
                del self.slots[number]


def number(value: object, most: int = _BYTES_MAX) -> int:
    """A count or size from 0 to `most`; 0 for anything else than a number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0
    if isinstance(value, float):
        if not math.isfinite(value):
            return 0
        value = int(value)
    return min(max(value, 0), most)


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    # An integer may be larger than any float.
    return float(number(value)) if isinstance(value, int) else value if math.isfinite(value) else 0.0


def _operation(value: object) -> str:
    return value if isinstance(value, str) and value in OPERATIONS else OTHER


def _done(slot: Slot, operation: str) -> None:
    slot.done[operation] = slot.done.get(operation, 0) + 1


def _created(slot: Slot, fields: Fields) -> None:
    _done(slot, "save")
    slot.checkpoints += 1
    slot.unchanged += fields.get("unchanged") is True
    slot.logical_bytes += number(fields.get("logical_bytes"))
    slot.stored_bytes += number(fields.get("stored_bytes"))
    slot.save.add(_seconds(fields.get("duration_s")))
    slot.lock.add(_seconds(fields.get("lock_s")))


def _failed(slot: Slot, fields: Fields) -> None:
    operation = _operation(fields.get("operation"))
    slot.failed[operation] = slot.failed.get(operation, 0) + 1


def _recovered(slot: Slot, fields: Fields) -> None:
    kind = "undo" if fields.get("undo") is True else "rescue" if fields.get("checkpoint") == RESCUE else "restore"
    _done(slot, kind)
    slot.checkpoints += bool(fields.get("safety_checkpoint"))
    slot.recovery.add(_seconds(fields.get("duration_s")))


def _verified(slot: Slot, fields: Fields) -> None:
    _done(slot, "scrub" if fields.get("scrub") is True else "verify")


def _drilled(slot: Slot, fields: Fields) -> None:
    _done(slot, "drill")


def _removed(slot: Slot, fields: Fields) -> None:
    _done(slot, "delete" if fields.get("cause") == "deleted" else "prune")


def _replicated(slot: Slot, fields: Fields) -> None:
    _done(slot, "replicate")
    slot.replicated_bytes += number(fields.get("bytes_sent"))


def _stalled(slot: Slot, fields: Fields) -> None:
    slot.failed["replicate"] = slot.failed.get("replicate", 0) + 1


def _missed(slot: Slot, fields: Fields) -> None:
    slot.missed_ticks += number(fields.get("count"), _COUNT_MAX)


def _asked(slot: Slot, fields: Fields) -> None:
    slot.cache_hits += number(fields.get("hits"), _COUNT_MAX)
    slot.cache_misses += number(fields.get("misses"), _COUNT_MAX)


#: Event → how it counts.
_COUNTERS = {
    "CheckpointCreated": _created,
    "OperationFailed": _failed,
    "RecoveryCompleted": _recovered,
    "VerificationCompleted": _verified,
    "DrillCompleted": _drilled,
    "CheckpointsRemoved": _removed,
    "CheckpointsReplicated": _replicated,
    "ReplicationStalled": _stalled,
    "TicksMissed": _missed,
    "CacheAsked": _asked,
}
