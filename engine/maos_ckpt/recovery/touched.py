"""What a plan touches, as far as references go: one pass over its changes, in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from maos_ckpt.model import COMPONENTS, CollectionKind, Descriptor, Row, Value
from maos_ckpt.recovery.ancestry import Ancestry
from maos_ckpt.recovery.lookup import RecordView, Shape
from maos_ckpt.recovery.reference_rules import COLLECTIONS, CONVERSATIONS, Json, problems, references
from maos_ckpt.recovery.sequence_rules import SequenceCheck
from maos_ckpt.recovery.state_files import StateFileCheck
from maos_ckpt.recovery.tally import AFFECTED_MAX, Count, Holder, Tally
from maos_ckpt.recovery.transcript_rules import TranscriptCheck
from maos_ckpt.sources.change import Change
from maos_ckpt.sources.sqlite.spill import TEXT, Spill, SpilledMap
from maos_ckpt.states import CollectionName, State

TRANSCRIPT_FILES: Final[CollectionName] = ("memory", "transcript_files")
TRANSCRIPTS: Final[CollectionName] = ("memory", "transcripts")
_ENDING: Final = ".jsonl"


def session_name(path: Value) -> str | None:
    """The session whose transcript lies at a path."""
    if not isinstance(path, str) or not path.endswith(_ENDING):
        return None
    return path.rpartition("/")[2].removesuffix(_ENDING)


@dataclass(slots=True)
class _Collection:
    """What is known of the collection whose changes are coming in."""

    descriptor: Descriptor
    columns: tuple[str, ...]
    table: str
    shape: Shape
    referred_to: bool


class Touched:
    """Takes the changes of a plan.

    `added`, `removed`: table → ids of records that come or go, a removed one's with its key. `tally`: the references of
    touched records that could lead to nobody. `problems`: what is wrong with them by themselves. `ancestry`: parents of
    written tasks. `processes`: how many agents come back with another process id; the first are `restarted`.
    """

    def __init__(self, live: State, spill: Spill) -> None:
        self._live = live
        self._spill = spill
        self._json = Json()
        self._collection: _Collection | None = None
        self.tally = Tally(spill)
        self.problems: dict[str, Count] = {}
        self.added: dict[str, SpilledMap[str]] = {}
        self.removed: dict[str, SpilledMap[str]] = {}
        self.processes = 0
        self.restarted: list[Holder] = []
        self.ancestry = Ancestry(spill)
        self.new_parents = False
        self.transcripts = TranscriptCheck(live)
        self.state_files = StateFileCheck(live)
        self.sequences = SequenceCheck(live)

    @property
    def incomplete(self) -> bool:
        """Whether the plan is too large for all of it to be looked into."""
        return self._json.exhausted

    def take(self, change: Change) -> None:
        """Note one change."""
        descriptor = change.descriptor
        if descriptor.kind is CollectionKind.LINES:
            self.transcripts.take(change)
        elif descriptor.kind is CollectionKind.FILES:
            self.state_files.take(change)
            if (descriptor.component, descriptor.name) == TRANSCRIPT_FILES:
                self._note_existence(CONVERSATIONS, session_name(change.parts[0]), change)
        elif descriptor.kind is CollectionKind.TABLE and descriptor.component in COMPONENTS:
            self.sequences.take(change)
            self._take_row(change)

    def _take_row(self, change: Change) -> None:
        collection = self._collection
        if collection is None or change.descriptor is not collection.descriptor or change.columns != collection.columns:
            collection = self._collection = self._open(change.descriptor, change.columns)
        parts = change.parts
        before = None if change.before is None else collection.shape.view(parts, change.before)
        after = None if change.after is None else collection.shape.view(parts, self._whole(change, change.after))
        if collection.referred_to:
            self._note_existence(collection.table, parts[0], change)
        self._count(collection.table, before, after, (change.descriptor, change.key))
        if after is not None:
            self._note_links(collection.table, before, after, (change.descriptor, change.key))

    def _open(self, descriptor: Descriptor, columns: tuple[str, ...]) -> _Collection:
        table = descriptor.origin.lower()
        referred_to = COLLECTIONS.get(table) == (descriptor.component, descriptor.name)
        shape = Shape(descriptor, descriptor.columns, self._live.get)
        return _Collection(descriptor, columns, table, shape, referred_to)

    def _whole(self, change: Change, after: Row) -> Row:
        """The row as it will be: what the checkpoint has no column for stays."""
        names = change.descriptor.columns
        if change.columns is names or change.columns == names:
            return after
        given = dict(zip(change.columns, after, strict=True))
        was = change.before or (None,) * len(names)
        return tuple(given.get(name, value) for name, value in zip(names, was, strict=True))

    def _note_existence(self, table: str, name: Value, change: Change) -> None:
        if not isinstance(name, str):
            return
        if change.before is None:
            self._ids(self.added, table).add(name)
        elif change.after is None:
            self._ids(self.removed, table).add(name, change.key)

    def _ids(self, ids: dict[str, SpilledMap[str]], table: str) -> SpilledMap[str]:
        if table not in ids:
            ids[table] = SpilledMap(self._spill, TEXT)
        return ids[table]

    def _count(self, table: str, before: RecordView | None, after: RecordView | None, holder: Holder) -> None:
        old = [] if before is None else list(references(table, before, self._json))
        for one in old:
            self.tally.before(one)
        new = [] if after is None else list(references(table, after, self._json))
        for one in new:
            # What leads to a record that comes leads to somebody, whatever else there is.
            if one.id not in self.added.get(one.table, ()):
                instead = [other for other in old if other.check == one.check and other not in new]
                self.tally.after(one, holder, instead)
        was = set() if before is None else set(problems(table, before, self._json))
        now = set() if after is None else set(problems(table, after, self._json))
        for check in was | now:
            found = self.problems.setdefault(check, Count())
            found.before += check in was
            found.after += check in now
            if check in now - was and len(found.holders) < AFFECTED_MAX:
                found.holders.append(holder)

    def _note_links(self, table: str, before: RecordView | None, after: RecordView, holder: Holder) -> None:
        if table == "tasks":
            parent = after.get("parent_task_id")
            if isinstance(parent, str):
                self.ancestry.add(str(after.get("id")), parent)
                self.new_parents = self.new_parents or before is None or before.get("parent_task_id") != parent
        elif table == "agents":
            process = after.get("process_id")
            if process and (before is None or before.get("process_id") != process):
                self.processes += 1
                if len(self.restarted) < AFFECTED_MAX:
                    self.restarted.append(holder)
