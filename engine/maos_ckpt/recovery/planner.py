"""The changes that turn one state into the selected part of a checkpoint, computed as often as asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from maos_ckpt.codec.values import decode_key, encode_key
from maos_ckpt.model import (
    CollectionKind,
    Finding,
    MergePolicy,
    Row,
    Selection,
    Severity,
)
from maos_ckpt.recovery.computed import Computed
from maos_ckpt.recovery.field_changes import FieldChanges
from maos_ckpt.recovery.fitting import Fittings, column_notes
from maos_ckpt.recovery.json_path import Field, common
from maos_ckpt.recovery.merge import Merging
from maos_ckpt.recovery.order import write_order
from maos_ckpt.recovery.schema_changes import SchemaObjects, can_write
from maos_ckpt.recovery.selection import Choose, Matcher
from maos_ckpt.recovery.tally import AFFECTED_MAX
from maos_ckpt.recovery.touched import TRANSCRIPTS
from maos_ckpt.recovery.unread import Unread
from maos_ckpt.sources.change import Alignment, Change, align
from maos_ckpt.sources.sqlite.create import PRAGMA_TYPE
from maos_ckpt.sources.sqlite.schema import SEQUENCE_TABLE
from maos_ckpt.states import (
    CollectionName,
    CollectionPair,
    State,
    StoredState,
    collection_pairs,
    differing,
    unknown_side,
)
from maos_ckpt.tree.diff import RecordDifference
from maos_ckpt.tree.large import load_row

#: Selects no record by itself: what is meant is named key by key, as `extra`.
KEYS_ONLY: Final = Selection(records=("-/-/-",))
#: Kinds of collections that follow after the commit, files and objects; the others live in the database.
FILE_KINDS: Final = (CollectionKind.LINES, CollectionKind.FILES, CollectionKind.OBJECTS)


@dataclass(slots=True)
class Planner:
    """The changes from `live` to the selected part of `target`.

    `extra`: further records, as (collection path, key); all lines of a transcript by the key of its file. `reasons`:
    why these. `pinned`: only the records that this plan changes, as an undo means those of its recovery. `spared`:
    records that a partial recovery would remove and leaves, because others refer to them. `only_files`: leave the
    database out. `droppable`: schema objects (type, name) that an undo may drop. `only`: of all this only what these
    selections mean, too. `computed`: these are the changes, and nothing of `target` is one. While changes are read
    `findings` fills, with what has no place, and `creates`, with the schema objects that come.
    """

    live: State
    target: StoredState
    selection: Selection
    extra: frozenset[tuple[str, bytes]] = frozenset()
    findings: dict[str, Finding] = field(default_factory=dict)
    spared: frozenset[tuple[str, bytes]] = frozenset()
    only_files: bool = False
    droppable: SchemaObjects = frozenset()
    only: tuple[Selection, ...] = ()
    creates: dict[tuple[str, str], str] = field(default_factory=dict)
    reasons: dict[tuple[str, bytes], str] = field(default_factory=dict)
    pinned: Planner | None = None
    computed: Computed | None = None
    merging: Merging = field(init=False)
    _matcher: Matcher = field(init=False)
    _only: list[Matcher] = field(init=False)
    _unread: Unread = field(init=False)
    _fields: FieldChanges = field(init=False)
    _fittings: Fittings = field(init=False)

    def __post_init__(self) -> None:
        self._matcher = Matcher(self.selection, self.live, self.target)
        self._only = [Matcher(one, self.live, self.target) for one in self.only]
        self.merging = Merging(self.selection.merge, self.live, self.target)
        self._unread = Unread(self.live, self.target)
        undoes = self.pinned is not None or bool(self.only)
        self._fields = FieldChanges(self.live, self.target, self.selection.merge, self.merging, undoes)
        self._fittings = Fittings(self.live, self.target)

    @property
    def whole(self) -> bool:
        """Whether nothing is left out."""
        return self.selection.whole and not self.only

    @property
    def aim(self) -> str:
        """What the live state becomes: a checkpoint's id, or what was computed."""
        return self.target.checkpoint.id if self.computed is None else self.computed.identity.decode()

    @property
    def quiet(self) -> Selection:
        """What of the selection (of several, the last one) has named none of the differences read so far."""
        return [self._matcher, *self._only][-1].quiet

    def pairs(self) -> list[tuple[CollectionPair, Alignment | None]]:
        """The collections that may change, in the order in which they are written."""
        extra = {path for path, _ in self.extra}
        pinned = None if self.pinned is None else {pair.name for pair, _ in self.pinned.pairs()}
        found = []
        for pair in collection_pairs(self.live, self.target):
            one = pair.either
            if self.only_files and one.kind not in FILE_KINDS:
                continue
            if pinned is not None:
                if pair.name not in pinned:
                    continue
            elif not self._matcher.collection(pair.name) and one.path not in extra:
                continue
            if not all(only.collection(pair.name) for only in self._only) or self._is_unknown(pair):
                continue
            found.append((pair, self._align(pair)))
        return sorted(found, key=lambda item: write_order(item[0]))

    def _align(self, pair: CollectionPair) -> Alignment | None:
        if pair.after is None or pair.before is None:
            return align(pair.either, pair.either)
        alignment = align(pair.after, pair.before)
        if alignment is None:
            self._note(pair, "keys", Severity.ERROR, "identifies its records by another key now and is left as it is")
            return None
        for kind, severity, what in column_notes(alignment):
            self._note(pair, kind, severity, what)
        return alignment

    def _is_unknown(self, pair: CollectionPair) -> bool:
        """Whether one side knows nothing of a collection: it could not be captured, or belongs to another program."""
        side = unknown_side(pair, self.live, self.target)
        if side is not None:
            self._note(pair, "unread", Severity.WARNING, f"{side}; it stays as it is")
        return side is not None

    def _note(self, pair: CollectionPair, kind: str, severity: Severity, what: str, record: str = "") -> None:
        path = "/".join(pair.name)
        found = self.findings.setdefault(f"{kind}:{path}:{what}", Finding(severity, kind, f"{path} {what}.", path))
        if record and record not in found.affected and len(found.affected) < AFFECTED_MAX:
            self.findings[f"{kind}:{path}:{what}"] = replace(found, affected=(*found.affected, record))

    def changes(self, *, files: bool | None = None) -> Iterator[Change]:
        """All changes, streamed, collection by collection in the order of writing; `files` takes only (no) files."""
        self.merging.begin()
        if self.computed is not None:
            # They are rows of tables, all of them.
            yield from () if files or self.only_files else self.computed.changes
            return
        for pair, alignment in self.pairs():
            if alignment is not None and files in (None, alignment.live.kind in FILE_KINDS):
                yield from (change for change, _ in self._of_collection(pair, alignment))

    def _of_collection(self, pair: CollectionPair, alignment: Alignment) -> Iterator[tuple[Change, tuple[Field, ...]]]:
        """The changes of one collection, each with the fields that it is about, none for a whole record."""
        extra = frozenset(key for path, key in self.extra if path == alignment.live.path)
        choose = self._choose(pair, extra)
        for key, old, new in self._differences(pair.name, extra):
            fields = choose(key, old, new)
            if fields is None:
                continue
            before = None if old is None else load_row(old, self.live.get)
            after = None if new is None else load_row(new, self.target.get)
            if fields:
                change = self._fields.change(pair, alignment, key, before, after, fields)
            else:
                change = self._change(pair, alignment, key, before, after)
            if change is not None and self._fits(pair, change):
                yield change, fields

    def _choose(self, pair: CollectionPair, extra: frozenset[bytes]) -> Choose:
        """How the records of a collection are chosen, by all that says something about it."""
        first = self._matcher.choose(pair) if self.pinned is None else self.pinned.touched(pair.name)
        narrowing = [one.choose(pair) for one in self._only]

        def choose(key: bytes, old: bytes | None, new: bytes | None) -> tuple[Field, ...] | None:
            fields = first(key, old, new)
            if extra and _unit(pair.name, key) in extra:
                fields = ()
            for one in narrowing:
                if fields is None:
                    break
                fields = common(fields, one(key, old, new))
            return fields

        return choose

    def _differences(self, name: CollectionName, extra: frozenset[bytes]) -> Iterator[RecordDifference]:
        if self.pinned is not None:
            return differing(self.live, self.target, name)
        return self._matcher.differences(name, extra)

    def touched(self, name: CollectionName) -> Choose:
        """The records of one collection that this plan changes, for a pass over them in key order; all lines of a
        transcript of which it changes one."""
        found = next(((pair, one) for pair, one in self.pairs() if pair.name == name and one is not None), None)
        entries = iter(()) if found is None else self._of_collection(*found)
        entry = next(entries, None)

        def choose(key: bytes, old: bytes | None, new: bytes | None) -> tuple[Field, ...] | None:
            nonlocal entry
            wanted = _unit(name, key)
            while entry is not None and _unit(name, entry[0].key) < wanted:
                entry = next(entries, None)
            return entry[1] if entry is not None and _unit(name, entry[0].key) == wanted else None

        return choose

    def reason(self, change: Change) -> str:
        """Why a record changes; "" where the selection says so."""
        descriptor = change.descriptor
        unit = _unit((descriptor.component, descriptor.name), change.key) if self.reasons else b""
        return self.reasons.get((descriptor.path, unit), "")

    def _change(
        self, pair: CollectionPair, alignment: Alignment, key: bytes, before: Row | None, after: Row | None
    ) -> Change | None:
        descriptor = alignment.live
        unread = self._unread.of(pair, key, after) if descriptor.kind in FILE_KINDS else None
        if unread is not None:
            if unread[0]:
                self._note(pair, "unread", Severity.WARNING, *unread)
            return None
        change = alignment.change(key, before, after)
        if after is None and not self._matcher.exact and not self._cuts_off(pair, key):
            if change is not None and self._tells_of_later_ones:
                self.merging.stays(change)
            return None
        if change is None or not self.merging.takes(change):
            return None
        if after is None and (descriptor.path, key) in self.spared:
            self._note(pair, "spared", Severity.WARNING, "keeps records that others still refer to")
            return None
        if descriptor.kind is CollectionKind.SCHEMA:
            return change if self._writes_schema(pair, change) else None
        if descriptor.origin == SEQUENCE_TABLE and not self.whole and not _raises(before, after):
            return None
        return change

    @property
    def _tells_of_later_ones(self) -> bool:
        """Whether it is told that records stay that came since: who takes something back, or keeps by a policy what is
        there, expects it."""
        return self.pinned is None and not self.only and self.selection.merge is MergePolicy.REPLACE

    def _fits(self, pair: CollectionPair, change: Change) -> bool:
        """Whether the live table keeps every value of a change; where it was declared anew, it may not."""
        column = self._fittings.unfit(pair, change)
        if column:
            what = f"cannot hold some records: its column {column} is declared anew; they stay as they are"
            self._note(pair, "retyped", Severity.WARNING, what, change.path)
        return not column

    def _cuts_off(self, pair: CollectionPair, key: bytes) -> bool:
        """Whether a live line goes because its file is put back: a transcript of two ages would be no conversation."""
        return pair.name == TRANSCRIPTS and pair.after is not None and self._unread.knows(key)

    def _writes_schema(self, pair: CollectionPair, change: Change) -> bool:
        kind, name = (str(part) for part in change.parts[:2])
        if change.after is None:
            if (kind, name) not in self.droppable:
                self._note(pair, "schema", Severity.INFO, f"has a {kind} {name} that the checkpoint does not; it stays")
                return False
            if kind == "table" and not self._takes_whole_table(name):
                what = f"keeps the table {name}, which holds records outside of the selection"
                self._note(pair, "schema", Severity.WARNING, what)
                return False
            return True
        added = change.before is None
        if can_write(kind, name, added=added):
            if added:
                self.creates[kind, name] = str(change.after[1])
            return True
        # A new file gets its settings when it is made, and on one that is there they change no record. What a table has
        # no column for is said of its rows.
        if not (kind == PRAGMA_TYPE and pair.before is None):
            severity = Severity.INFO if kind in ("table", PRAGMA_TYPE) else Severity.WARNING
            self._note(pair, "schema", severity, f"differs in the {kind} {name}, which stays as it is")
        return False

    def _takes_whole_table(self, name: str) -> bool:
        tables = [one for one in self.live.descriptors().values() if one.kind is CollectionKind.TABLE]
        matchers = (self._matcher, *self._only)
        return all(matcher.takes_all(one) for matcher in matchers for one in tables if one.origin == name)


def computed_planner(live: State, target: StoredState, computed: Computed) -> Planner:
    """The planner of computed changes; `target` is what names and undoes them, and they are named key by key."""
    findings = {f"computed:{at}": one for at, one in enumerate(computed.findings)}
    reasons = dict(computed.reasons)
    return Planner(live, target, KEYS_ONLY, computed.keys, findings, reasons=reasons, computed=computed)


def _unit(name: CollectionName, key: bytes) -> bytes:
    """What is chosen as one: a record, or of a transcript's line the file."""
    return encode_key(decode_key(key)[:1]) if name == TRANSCRIPTS else key


def _raises(before: Row | None, after: Row | None) -> bool:
    """Whether a sequence grows: lowering one would give ids out again that live messages already have."""
    if after is None:
        return False
    if before is None:
        return True
    old, new = before[-1], after[-1]
    return isinstance(old, int) and isinstance(new, int) and new > old
