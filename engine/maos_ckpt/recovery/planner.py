"""The changes that turn one state into the selected part of a checkpoint, computed as often as asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from maos_ckpt.codec.values import decode_key, display_value, encode_key
from maos_ckpt.model import (
    COMPONENT_DATABASE,
    COMPONENT_OTHER,
    COMPONENTS,
    CollectionKind,
    Finding,
    Row,
    Selection,
    Severity,
    Value,
)
from maos_ckpt.recovery.computed import Computed
from maos_ckpt.recovery.lookup import lookup
from maos_ckpt.recovery.schema_changes import SchemaObjects, can_write
from maos_ckpt.recovery.selection import SEQUENCE_TABLE, Matcher
from maos_ckpt.recovery.tally import AFFECTED_MAX
from maos_ckpt.recovery.touched import TRANSCRIPT_FILES, TRANSCRIPTS
from maos_ckpt.sources.change import Alignment, Change, align
from maos_ckpt.sources.maos.transcripts import UNREAD_LINE
from maos_ckpt.sources.sqlite.create import PRAGMA_TYPE
from maos_ckpt.states import CollectionPair, State, StoredState, collection_pairs, differing
from maos_ckpt.tree.cursor import records
from maos_ckpt.tree.large import load_row

#: Order of writing; what depends on agents comes after them.
_ORDER: Final = {name: at for at, name in enumerate((*COMPONENTS, COMPONENT_OTHER, COMPONENT_DATABASE))}
#: Selects no record by itself: what is meant is named key by key, as `extra`.
KEYS_ONLY: Final = Selection(records=("-/-/-",))
#: Kinds of collections that are files; the others live in the database.
FILE_KINDS: Final = (CollectionKind.LINES, CollectionKind.FILES)


@dataclass(frozen=True, slots=True)
class _Transcript:
    """What the checkpoint knows of one transcript. `left_alone`: it was not read to its end, and there is one live."""

    path: bytes
    known: bool = False
    unread: bool = False
    left_alone: bool = False


@dataclass(slots=True)
class Planner:
    """The changes from `live` to the selected part of `target`.

    `extra`: further records, as (collection path, key). `spared`: records that a partial recovery
    would remove and leaves, because others refer to them. `only_files`: leave the database out. `droppable`: schema
    objects (type, name) that an undo may drop. `only`: of all this only what these selections mean, too. `computed`:
    these are the changes, and nothing of `target` is one. While changes are read `findings` fills, with what has no
    place, and `creates`, with the schema objects that come.
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
    computed: Computed | None = None
    _matcher: Matcher = field(init=False)
    _only: list[Matcher] = field(init=False)
    _transcript: _Transcript = field(init=False, default=_Transcript(b""))

    def __post_init__(self) -> None:
        self._matcher = Matcher(self.selection)
        self._only = [Matcher(one) for one in self.only]

    @property
    def whole(self) -> bool:
        """Whether nothing is left out."""
        return self.selection.whole and not self.only

    @property
    def aim(self) -> str:
        """What the live state becomes: a checkpoint's id, or what was computed."""
        return self.target.checkpoint.id if self.computed is None else self.computed.identity.decode()

    def reason(self, change: Change) -> str:
        """Why a record changes; "" where the selection says so."""
        return "" if self.computed is None else self.computed.reasons.get((change.descriptor.path, change.key), "")

    @property
    def quiet_patterns(self) -> list[str]:
        """The selection's patterns (of several, the last one's) that named none of the changes read so far."""
        return [self._matcher, *self._only][-1].quiet

    def pairs(self) -> list[tuple[CollectionPair, Alignment | None]]:
        """The collections that may change, in the order in which they are written."""
        extra = {path for path, _ in self.extra}
        found = []
        for pair in collection_pairs(self.live, self.target):
            one = pair.after or pair.before
            assert one is not None
            if self.only_files and one.kind not in FILE_KINDS:
                continue
            if not self._matcher.collection(pair.name) and one.path not in extra:
                continue
            if not all(only.collection(pair.name) for only in self._only):
                continue
            found.append((pair, self._align(pair)))
        return sorted(found, key=lambda item: _write_order(item[0]))

    def _align(self, pair: CollectionPair) -> Alignment | None:
        if pair.after is None or pair.before is None:
            one = pair.after or pair.before
            assert one is not None
            return align(one, one)
        alignment = align(pair.after, pair.before)
        if alignment is None:
            self._note(pair, "keys", Severity.ERROR, "identifies its records by another key now and is left as it is")
        elif alignment.homeless:
            names = ", ".join(alignment.homeless)
            self._note(pair, "columns", Severity.WARNING, f"has no place any more for the columns {names}")
        return alignment

    def _note(self, pair: CollectionPair, kind: str, severity: Severity, what: str, record: str = "") -> None:
        path = "/".join(pair.name)
        found = self.findings.setdefault(f"{kind}:{path}:{what}", Finding(severity, kind, f"{path} {what}.", path))
        if record and record not in found.affected and len(found.affected) < AFFECTED_MAX:
            self.findings[f"{kind}:{path}:{what}"] = replace(found, affected=(*found.affected, record))

    def changes(self, *, files: bool | None = None) -> Iterator[Change]:
        """All changes, streamed, collection by collection in the order of writing; `files` takes only (no) files."""
        if self.computed is not None:
            # They are rows of tables, all of them.
            yield from () if files or self.only_files else self.computed.changes
            return
        matcher = self._matcher
        for pair, alignment in self.pairs():
            if alignment is None or files not in (None, alignment.live.kind in FILE_KINDS):
                continue
            selected = matcher.collection(pair.name)
            for key, old, new in differing(self.live, self.target, pair.name):
                wanted = selected and matcher.record(alignment.live, key)
                if not wanted and (alignment.live.path, key) not in self.extra:
                    continue
                if not all(only.record(alignment.live, key) for only in self._only):
                    continue
                before = None if old is None else load_row(old, self.live.get)
                after = None if new is None else load_row(new, self.target.get)
                change = self._change(pair, alignment, key, before, after)
                if change is not None:
                    yield change

    def _change(
        self, pair: CollectionPair, alignment: Alignment, key: bytes, before: Row | None, after: Row | None
    ) -> Change | None:
        descriptor = alignment.live
        if descriptor.kind in FILE_KINDS and self._is_unread(pair, key, after):
            return None
        if after is None and not self._matcher.exact and not self._cuts_off(pair, key):
            return None
        change = alignment.change(key, before, after)
        if change is None:
            return None
        if after is None and (descriptor.path, key) in self.spared:
            self._note(pair, "spared", Severity.WARNING, "keeps records that others still refer to")
            return None
        if descriptor.kind is CollectionKind.SCHEMA:
            return change if self._writes_schema(pair, change) else None
        if descriptor.origin == SEQUENCE_TABLE and not self.whole and not _raises(before, after):
            return None
        return change

    def _cuts_off(self, pair: CollectionPair, key: bytes) -> bool:
        """Whether a live line goes because its file is put back: a transcript of two ages would be no conversation."""
        return pair.name == TRANSCRIPTS and pair.after is not None and self._look(key).known

    def _is_unread(self, pair: CollectionPair, key: bytes, after: Row | None) -> bool:
        """Whether a difference says no more than that the checkpoint could not read the file; see `UNREAD_LINE`."""
        target, path, what = pair.after, decode_key(key)[-1], _UNREAD
        if target is None:
            return False
        if pair.name == TRANSCRIPT_FILES:
            # Its permission bits may be the very reason, and without its lines it would be another file.
            return after is not None and self._look(key).unread
        if pair.name == TRANSCRIPTS:
            transcript, path = self._look(key), decode_key(key)[0]
            unread = transcript.left_alone
            if not unread and transcript.unread and after is not None and after[0] is None:
                # What is known of a lost transcript comes back; that there was more does not.
                unread, what = True, _INCOMPLETE
        else:
            place = target.columns.index("content") if "content" in target.columns else None
            unread = place is not None and after is not None and after[place] is None
        if unread:
            self._note(pair, "unread", Severity.WARNING, what, f"{'/'.join(pair.name)}/{display_value(path)}")
        return unread

    def _look(self, key: bytes) -> _Transcript:
        path: Value = decode_key(key)[0]
        prefix = encode_key((path,))
        if prefix != self._transcript.path:
            known = self._holds_line(prefix, prefix + b"\xff")
            mark = encode_key((path, UNREAD_LINE))
            unread = known and self._holds_line(mark, mark + b"\0")
            there = unread and next(lookup(self.live, TRANSCRIPT_FILES, [prefix]), None) is not None
            self._transcript = _Transcript(prefix, known, unread, there)
        return self._transcript

    def _holds_line(self, low: bytes, high: bytes) -> bool:
        found = records(self.target.chunks, self.target.root(TRANSCRIPTS), low, high)
        return next(found, None) is not None

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
        return all(
            matcher.takes_all(one) for matcher in (self._matcher, *self._only) for one in tables if one.origin == name
        )


def computed_planner(live: State, target: StoredState, computed: Computed) -> Planner:
    """The planner of computed changes; `target` is what names and undoes them, and they are named key by key."""
    findings = {f"computed:{at}": one for at, one in enumerate(computed.findings)}
    return Planner(live, target, KEYS_ONLY, computed.keys, findings, computed=computed)


_UNREAD: Final = "has files that could not be read when the checkpoint was taken; they stay as they are"
_INCOMPLETE: Final = "has files that could not be read when the checkpoint was taken; only what was known comes back"


def _write_order(pair: CollectionPair) -> tuple[int, int]:
    # Tables must be there before their rows, and files follow what a transaction can take back.
    order = (CollectionKind.SCHEMA, CollectionKind.TABLE, CollectionKind.FILES, CollectionKind.LINES)
    one = pair.after or pair.before
    assert one is not None
    in_database = one.kind is CollectionKind.TABLE
    return order.index(one.kind), _ORDER.get(one.component, len(_ORDER)) if in_database else 0


def _raises(before: Row | None, after: Row | None) -> bool:
    """Whether a sequence grows: lowering one would give ids out again that live messages already have."""
    if after is None:
        return False
    if before is None:
        return True
    old, new = before[-1], after[-1]
    return isinstance(old, int) and isinstance(new, int) and new > old
