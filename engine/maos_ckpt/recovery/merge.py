"""Which of two versions of a record a recovery takes: by the policy, and by the time that the record itself carries.

MAOS writes two clocks into one row: CURRENT_TIMESTAMP in UTC with a space, and the local time with a `T`. A time is
compared only with one of the same column and the same form.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from typing import Final

from maos_ckpt.codec.values import display_value
from maos_ckpt.model import CollectionKind, Finding, MergePolicy, Severity, Value
from maos_ckpt.recovery.conversations import Standing, live_paths, standings
from maos_ckpt.recovery.json_path import Field
from maos_ckpt.recovery.lookup import Shape
from maos_ckpt.recovery.reference_rules import Values
from maos_ckpt.recovery.tally import Counted
from maos_ckpt.recovery.touched import TRANSCRIPT_FILES, TRANSCRIPTS
from maos_ckpt.sources.change import Change
from maos_ckpt.sources.sqlite.schema import SEQUENCE_TABLE
from maos_ckpt.states import State, StoredState

#: Columns that move when a record changes; when it was made says nothing about it.
TIME_COLUMNS: Final = ("updated_at", "last_updated", "last_active", "completed_at", "started_at", "timestamp")

_UTC = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?")
_ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d.*")


class Newer(StrEnum):
    """Which version is the newer one."""

    LIVE = "live"
    CHECKPOINT = "checkpoint"
    UNKNOWN = "unknown"


def newer(live: Values, checkpoint: Values) -> Newer:
    """Compare two versions of one record; unknown where no time tells, or two tell different things."""
    found = {_by_column(live.get(column), checkpoint.get(column)) for column in TIME_COLUMNS} - {Newer.UNKNOWN}
    return found.pop() if len(found) == 1 else Newer.UNKNOWN


def _by_column(live: Value, checkpoint: Value) -> Newer:
    a, b = _time(live), _time(checkpoint)
    if a is None or b is None or a[0] != b[0] or a[1] == b[1]:
        return Newer.UNKNOWN
    return Newer.LIVE if a[1] > b[1] else Newer.CHECKPOINT


def _time(value: Value) -> tuple[str, float] | None:
    """(form, seconds since some beginning); only times of one form can be compared."""
    if isinstance(value, int | float):
        return "number", value
    if not isinstance(value, str):
        return None
    form = "utc" if _UTC.fullmatch(value) else "iso" if _ISO.fullmatch(value) else ""
    try:
        time = datetime.fromisoformat(value) if form else None
    except ValueError:
        return None
    if time is None:
        return None
    if time.tzinfo is not None:
        return f"{form} with zone", time.timestamp()
    # As if the clock of that day were UTC: what counts is which of two such times comes later.
    return form, time.replace(tzinfo=UTC).timestamp()


class Merging:
    """Decides by a policy, and counts what stays, a transcript as one; `begin` before each pass over the changes."""

    def __init__(self, policy: MergePolicy, live: State, target: StoredState) -> None:
        self._policy = policy
        self._live = live
        self._target = target
        self.begin()

    def begin(self) -> None:
        """Count from the start."""
        self.kept = Counted[str]()
        self.conflicts = Counted[str]()
        self.since = Counted[str]()

    def note(self, kept: Iterable[Field] = (), conflicts: Iterable[Field] = ()) -> None:
        """Count fields that stay as they are."""
        for one in kept:
            self.kept.add(one.text)
        for one in conflicts:
            self.conflicts.add(one.text)

    def takes(self, change: Change) -> bool:
        """Whether a change is made, as far as the policy goes."""
        descriptor = change.descriptor
        if self._policy is MergePolicy.REPLACE or descriptor.kind is CollectionKind.SCHEMA:
            return True
        name = (descriptor.component, descriptor.name)
        if name in (TRANSCRIPTS, TRANSCRIPT_FILES):
            return self._takes_transcript(change)
        if change.before is None or change.after is None or descriptor.origin == SEQUENCE_TABLE:
            return True
        if self._policy is MergePolicy.ADD_MISSING:
            return self._keep(change.path)
        parts = change.parts
        live = Shape(descriptor, descriptor.columns, self._live.get).view(parts, change.before)
        checkpoint = Shape(descriptor, change.columns, self._live.get).view(parts, change.after)
        return self.takes_newer(live, checkpoint, change.path)

    def takes_newer(self, live: Values, checkpoint: Values, path: str) -> bool:
        """Whether the checkpoint's version of a record is the newer one; where nobody can tell, that is a conflict."""
        found = newer(live, checkpoint)
        if found is Newer.LIVE:
            return self._keep(path)
        if found is Newer.UNKNOWN:
            self.conflicts.add(path)
        return found is Newer.CHECKPOINT

    def _takes_transcript(self, change: Change) -> bool:
        path = change.parts[0]
        shown = f"{'/'.join(TRANSCRIPT_FILES)}/{display_value(path)}"
        if self._policy is MergePolicy.ADD_MISSING:
            return path not in self._live_paths or self._keep(shown)
        standing = self._standings.get(path)
        if standing is Standing.CHECKPOINT_LONGER or (standing is None and change.before is None):
            return True
        if standing is Standing.LIVE_LONGER:
            return self._keep(shown)
        self.conflicts.add(shown)
        return False

    def _keep(self, path: str) -> bool:
        self.kept.add(path)
        return False

    @cached_property
    def _live_paths(self) -> frozenset[Value]:
        return live_paths(self._live)

    @cached_property
    def _standings(self) -> dict[Value, Standing]:
        return standings(self._live, self._target)

    def stays(self, change: Change) -> None:
        """Count a selected live record that the checkpoint does not hold, and that the recovery leaves; of a
        transcript its file."""
        collection = (change.descriptor.component, change.descriptor.name)
        if change.descriptor.kind is not CollectionKind.SCHEMA and collection != TRANSCRIPTS:
            self.since.add(change.path)

    def findings(self) -> Iterator[Finding]:
        """What stays as it is, of the last pass."""
        if self.since.number:
            stay, removes = ("stays", "it") if self.since.number == 1 else ("stay", "them")
            text = f"{_records(self.since.number)} that came since {stay}; an exact recovery removes {removes}."
            yield Finding(Severity.INFO, "since", text, "exact", tuple(self.since.first), self.since.number)
        if self.kept.number:
            one = self.kept.number == 1
            why = "newer live" if self._policy is MergePolicy.KEEP_NEWER else "there live"
            stay = "is {} and stays as it is" if one else "are {} and stay as they are"
            text = f"{_records(self.kept.number)} {stay.format(why)} (--merge {self._policy.value})."
            yield Finding(Severity.INFO, "kept", text, self._policy.value, tuple(self.kept.first), self.kept.number)
        if self.conflicts.number:
            number, differ = self.conflicts.number, "differs" if self.conflicts.number == 1 else "differ"
            text = f"{_records(number)} {differ} and it cannot be told what to take; live stays as it is:"
            text += f" `maos-ckpt diff {self._target.checkpoint.id} live` shows what differs."
            yield Finding(Severity.WARNING, "conflict", text, self._policy.value, tuple(self.conflicts.first), number)


def _records(number: int) -> str:
    return "1 record" if number == 1 else f"{number:,} records"
