"""Changes as a foldable tree of rows: component, collection, record, field. No Textual in here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from maos_ckpt.model import ChangeKind, Counts, FieldChange, RecordChange

COMPONENT, COLLECTION, RECORD, FIELD = range(4)
#: With more listed records than this, records start folded.
UNFOLDED_RECORDS_MAX = 40

Node = tuple[str, ...]
SIGNS = {ChangeKind.ADDED: ("+", "ok"), ChangeKind.MODIFIED: ("~", "accent"), ChangeKind.REMOVED: ("-", "bad")}


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """One visible line; `node` names its place in the tree, `folded` is None where nothing is below it.

    The line of a change's reason has a `field` without values, whose path is the reason.
    """

    level: int
    name: str
    node: Node
    folded: bool | None
    counts: Counts | None = None
    change: RecordChange | None = None
    field: FieldChange | None = None


def _matches(change: RecordChange, words: Sequence[str]) -> bool:
    texts = [change.component, change.collection, change.key, change.kind.value]
    for field in change.fields:
        texts += [field.path, field.before or "", field.after or ""]
    texts.append(change.reason)
    text = "\n".join(texts).casefold()
    return all(word in text for word in words)


class ChangeTree:
    """The listed changes, what is folded, and the rows in sight.

    `by_component` gives the counts of *all* changes, listed or not.
    """

    def __init__(
        self,
        changes: Iterable[RecordChange] = (),
        by_component: dict[str, Counts] | None = None,
        *,
        truncated: bool = False,
    ) -> None:
        self._changes = list(changes)
        #: More differ than are listed: the counts of a collection are those of the listed ones.
        self.truncated = truncated
        self.kind: ChangeKind | None = None
        self._totals = by_component or {}
        self._needle: list[str] = []
        self._folded: set[Node] = set()
        self.rows: list[ChangeRow] = []
        self.records = 0
        self.records_folded = len(self._changes) > UNFOLDED_RECORDS_MAX
        self._fold_at_first()

    def filter(self, needle: str) -> None:
        """Show only changes that hold every word of `needle`."""
        self._needle = needle.casefold().split()
        self._flatten()

    @property
    def hidden(self) -> bool:
        """Whether there are changes, but none passes filter and kind."""
        return bool(self._changes) and not self.rows

    def only(self, kind: ChangeKind | None) -> None:
        """Show changes of this kind alone; all of them for None."""
        self.kind = kind
        self._flatten()

    def toggle(self, node: Node) -> None:
        """Fold or unfold one node."""
        self._folded ^= {node}
        self._flatten()

    def fold_records(self, folded: bool) -> None:
        """Fold or unfold all records; components and collections unfold."""
        self.records_folded = folded
        self._folded = {self._record_node(one) for one in self._changes} if folded else set()
        self._flatten()

    def _fold_at_first(self) -> None:
        # What came or went is all new to the eye: its fields would push what changed out of sight.
        whole = (one for one in self._changes if self.records_folded or one.kind is not ChangeKind.MODIFIED)
        self._folded = {self._record_node(one) for one in whole}
        self._flatten()

    @staticmethod
    def _record_node(change: RecordChange) -> Node:
        return (change.component, change.collection, change.key, change.kind.value)

    def _flatten(self) -> None:
        grouped: dict[str, dict[str, list[RecordChange]]] = {}
        listed = [one for one in self._changes if self.kind is None or one.kind is self.kind]
        if self._needle:
            listed = [one for one in listed if _matches(one, self._needle)]
        for change in listed:
            grouped.setdefault(change.component, {}).setdefault(change.collection, []).append(change)
        self.records = len(listed)
        self.rows = [
            row for component, collections in grouped.items() for row in self._component(component, collections)
        ]

    def _component(self, component: str, collections: dict[str, list[RecordChange]]) -> Iterable[ChangeRow]:
        node = (component,)
        folded = node in self._folded
        everything = [one for changes in collections.values() for one in changes]
        counts = self._totals.get(component) if not self._needle and self.kind is None else None
        yield ChangeRow(COMPONENT, component, node, folded, counts or _count(everything))
        if not folded:
            for collection, changes in collections.items():
                yield from self._collection(component, collection, changes)

    def _collection(self, component: str, collection: str, changes: list[RecordChange]) -> Iterable[ChangeRow]:
        node = (component, collection)
        folded = node in self._folded
        yield ChangeRow(COLLECTION, collection, node, folded, _count(changes))
        if folded:
            return
        for change in changes:
            record = self._record_node(change)
            hidden = record in self._folded
            foldable = bool(change.fields or change.reason)
            yield ChangeRow(RECORD, change.key, record, hidden if foldable else None, change=change)
            if not hidden:
                for number, field in enumerate(change.fields):
                    yield ChangeRow(FIELD, field.path, (*record, str(number)), None, change=change, field=field)
                if change.reason:
                    why = FieldChange(change.reason, None, None)
                    yield ChangeRow(FIELD, change.reason, (*record, "why"), None, change=change, field=why)


def _count(changes: Iterable[RecordChange]) -> Counts:
    counts = Counts()
    for change in changes:
        counts.count(change.kind)
    return counts


def common_ends(before: str, after: str) -> tuple[int, int]:
    """Length of the common start and of the common end of two texts; the two never overlap."""
    limit = min(len(before), len(after))
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        if before[:middle] == after[:middle]:
            low = middle
        else:
            high = middle - 1
    start, low, high = low, 0, limit - low
    while low < high:
        middle = (low + high + 1) // 2
        if before[-middle:] == after[-middle:]:
            low = middle
        else:
            high = middle - 1
    return start, low


def around_difference(before: str, after: str, width: int) -> tuple[str, str]:
    """The two texts from a little before they begin to differ, where that place would be out of sight."""
    start, _ = common_ends(before, after)
    if start < width * 2 // 3:
        return before, after
    cut = max(0, start - width // 4)
    return "…" + before[cut:], "…" + after[cut:]
