"""Orders and filters of a long list of checkpoints, and what verifications say of each. No Textual in here.

Everything is quick enough for a hundred thousand: a key stroke narrows what the one before left.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from maos_ckpt.model import Checkpoint, CheckpointState
from maos_ckpt.model.integrity import IntegrityReport, VerificationRun
from maos_ckpt_tui.checkpoint_view import passing

#: Depth of each level: a full verification says more than a later quick one.
_DEPTHS = {"quick": 1, "standard": 2, "full": 3}


class Verified:
    """When each checkpoint was last read back and found whole, and how deep, as far as the journal tells."""

    def __init__(self, report: IntegrityReport | None = None) -> None:
        self._named: dict[str, VerificationRun] = {}
        self._whole: list[VerificationRun] = []
        # A look at all objects in turn says nothing of one checkpoint.
        for run in report.runs if report is not None else ():
            if not run.ok or run.scrub:
                continue
            if run.everything:
                self._whole.append(run)
            for name in run.checkpoints:
                if name not in self._named or _depth(run) > _depth(self._named[name]):
                    self._named[name] = run
        # Only the newest of each depth matters.
        newest: dict[int, VerificationRun] = {}
        for run in self._whole:
            newest.setdefault(_depth(run), run)
        self._whole = [newest[depth] for depth in sorted(newest, reverse=True)]

    def of(self, checkpoint: Checkpoint) -> VerificationRun | None:
        """The deepest look at it that found it whole; None where there was none."""
        if checkpoint.state is CheckpointState.DAMAGED:
            return None
        named = self._named.get(checkpoint.id)
        whole = next((run for run in self._whole if run.at_ms >= checkpoint.created_at_ms), None)
        if named is None or whole is None:
            return named or whole
        return max(named, whole, key=lambda run: (_depth(run), run.at_ms))


def _depth(run: VerificationRun) -> int:
    return _DEPTHS.get(run.level, 0)


def is_problem(checkpoint: Checkpoint) -> bool:
    """Whether an operator must know that it is not what it should be."""
    return checkpoint.state is CheckpointState.DAMAGED or checkpoint.partial


@dataclass(frozen=True, slots=True)
class Order:
    """One order. `column` is the heading that carries its mark; `down` says whether the largest come first at first,
    `words` what comes first then and what in reverse."""

    title: str
    column: str
    key: Callable[[Checkpoint], Any]
    down: bool
    words: tuple[str, str]


def _ratio(one: Checkpoint) -> float:
    return one.logical_bytes / one.stored_bytes if one.stored_bytes else 0.0


_LARGEST, _LONGEST, _NAMES = (
    ("largest first", "smallest first"),
    ("longest first", "shortest first"),
    ("a to z", "z to a"),
)
BY_AGE = Order("age", "AGE", lambda one: -one.seq, False, ("newest first", "oldest first"))
ORDERS = (
    BY_AGE,
    Order("stored", "STORED", lambda one: one.stored_bytes, True, _LARGEST),
    Order("size", "SIZE", lambda one: one.logical_bytes, True, _LARGEST),
    Order("records", "RECORDS", lambda one: one.records, True, _LARGEST),
    Order("ratio", "RATIO", _ratio, True, _LARGEST),
    Order("time it took", "TOOK", lambda one: one.duration_s, True, _LONGEST),
    Order("lock", "LOCK", lambda one: one.capture.lock_s, True, _LONGEST),
    Order("state", "STATE", lambda one: one.state.value, False, ("damaged before replicated", "replicated first")),
    Order("trigger", "WHY", lambda one: one.trigger.value, False, _NAMES),
    Order("pinned", "NOTES", lambda one: one.pinned, True, ("pinned first", "pinned last")),
    Order("description", "NOTES", lambda one: (not one.description, one.description.casefold()), False, _NAMES),
)


class Listing:
    """What is shown of all checkpoints, and in which order."""

    def __init__(self) -> None:
        self.shown: Sequence[Checkpoint] = []
        self.order, self.reversed = BY_AGE, False
        self.needle, self.problems = "", False
        self._all: Sequence[Checkpoint] = []

    @property
    def total(self) -> int:
        """How many there are, shown or not."""
        return len(self._all)

    @property
    def order_words(self) -> str:
        """`by stored, largest first`."""
        return f"by {self.order.title}, {self.order.words[self.reversed]}"

    @property
    def descends(self) -> bool:
        """Whether the largest stand first."""
        return self.order.down != self.reversed

    def take(self, checkpoints: Sequence[Checkpoint]) -> None:
        """Others, newest first."""
        self._all = checkpoints
        self._arrange()

    def sort(self, order: Order, *, reverse: bool) -> None:
        """Another order."""
        self.order, self.reversed = order, reverse
        self._arrange()

    def filter(self, needle: str) -> None:
        """Show what holds every word of `needle`."""
        before, self.needle = self.needle, " ".join(needle.casefold().split())
        if before and self.needle.startswith(before):
            self.shown = passing(self.shown, self.needle)
        elif before != self.needle:
            self._arrange()

    def only_problems(self, problems: bool) -> None:
        """Show what is damaged or partial alone, or everything."""
        self.problems = problems
        self._arrange()

    def index(self, checkpoint_id: str) -> int | None:
        """Where a checkpoint stands, None where it is not shown."""
        return next((at for at, one in enumerate(self.shown) if one.id == checkpoint_id), None)

    def _arrange(self) -> None:
        found = self._all
        if self.problems:
            found = [one for one in found if is_problem(one)]
        if self.needle:
            found = passing(found, self.needle)
        if self.order is not BY_AGE:
            found = sorted(found, key=self.order.key, reverse=self.descends)
        elif self.reversed:
            found = found[::-1]
        self.shown = found
