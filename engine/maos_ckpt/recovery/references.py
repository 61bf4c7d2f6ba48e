"""What a plan does to the references between records: which it would break, which it mends, what it needs besides.

Only records that the plan touches are looked into, and only references that lead to records it adds or removes can
change their meaning for the others; so the cost follows the plan, not the state. All counts are before and after: what
dangled before the recovery is no fault of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from maos_ckpt.codec.values import decode_key, display_key, encode_key
from maos_ckpt.model import COMPONENTS, CollectionKind, Finding, Severity, Value
from maos_ckpt.recovery.lookup import every, loaded, lookup, present, values_of
from maos_ckpt.recovery.reference_rules import (
    COLLECTIONS,
    CONVERSATIONS,
    HARD,
    REFERRING,
    Json,
    Reference,
    Values,
    circle,
    problems,
    references,
)
from maos_ckpt.recovery.transcript_rules import TranscriptCheck
from maos_ckpt.sources.change import Change
from maos_ckpt.states import CollectionName, State

#: Records named in one finding.
AFFECTED_MAX: Final = 20
#: How far up tasks are followed that the plan does not touch.
ANCESTORS_MAX: Final = 8
#: Distinct references that one plan is checked for.
REFERENCES_MAX: Final = 300_000
_TRANSCRIPTS: Final[CollectionName] = ("memory", "transcript_files")
_ENDING: Final = ".jsonl"


def reference_findings(
    live: State, changes: Callable[[], Iterator[Change]], *, running: bool, whole: bool = False
) -> list[Finding]:
    """What an operator should know of a plan's references before applying it.

    Args:
        live: the state before.
        changes: gives the plan's changes, in key order within each collection.
        running: a MAOS has the database open.
        whole: the plan makes the state equal to a checkpoint's; then records it does not touch need not be read.
    """
    return ReferenceCheck(live, changes(), whole=whole).findings(running=running)


def still_referenced(live: State, changes: Callable[[], Iterator[Change]]) -> frozenset[tuple[str, bytes]]:
    """Agents that a plan removes although records that stay refer to them, as (collection path, key)."""
    return ReferenceCheck(live, changes(), whole=False).still_referenced()


@dataclass(slots=True)
class _Count:
    """One reference: how many touched records hold it before and after, and who does after."""

    before: int = 0
    after: int = 0
    holders: list[str] = field(default_factory=list)
    #: What the same records referred to before in its place.
    instead_of: list[Reference] = field(default_factory=list)


class ReferenceCheck:
    """Reads a plan once, then answers; see `reference_findings`."""

    def __init__(self, live: State, changes: Iterator[Change], *, whole: bool) -> None:
        self._live = live
        self._whole = whole
        self._json = Json()
        self._counts: dict[Reference, _Count] = {}
        self._problems: dict[str, _Count] = {}
        self._added: dict[str, set[str]] = {}
        self._removed: dict[str, dict[str, str]] = {}
        self._processes: list[str] = []
        self._overflow = False
        self._parents: dict[str, str] = {}
        self._new_parents = False
        self._transcripts = TranscriptCheck(live)
        for change in changes:
            self._take(change)

    def findings(self, *, running: bool) -> list[Finding]:
        """What an operator should know before applying the plan."""
        found = [*self._broken(), *self._wrong(), *self._transcripts.findings()]
        found += self._about_agents(running=running)
        if self._overflow or self._json.exhausted:
            text = "The plan is too large for every reference in it to be checked."
            found.append(Finding(Severity.INFO, "references", text, "limit"))
        return found

    def still_referenced(self) -> frozenset[tuple[str, bytes]]:
        """Agents that the plan removes although records that stay refer to them, as (collection path, key)."""
        after = self._after_counts()
        component, name = COLLECTIONS["agents"]
        removed = self._removed.get("agents", {})
        kept = {one.id for one, count in after.items() if one.table == "agents" and count > 0 and one.id in removed}
        return frozenset((f"{component}/{name}", encode_key((one,))) for one in kept)

    def _take(self, change: Change) -> None:
        descriptor = change.descriptor
        if descriptor.kind is CollectionKind.LINES:
            self._transcripts.take(change)
            return
        if descriptor.kind is CollectionKind.FILES and (descriptor.component, descriptor.name) == _TRANSCRIPTS:
            self._note_existence(CONVERSATIONS, _session_name(change.parts[0]), change)
        if descriptor.kind is not CollectionKind.TABLE or descriptor.component not in COMPONENTS:
            return
        table = descriptor.origin.lower()
        before = None if change.before is None else values_of(descriptor, descriptor.columns, change.key, change.before)
        after = None if change.after is None else values_of(descriptor, change.columns, change.key, change.after)
        if before is not None and after is not None:
            # What the checkpoint has no column for stays.
            after = {**before, **after}
        if table in COLLECTIONS and (descriptor.component, descriptor.name) == COLLECTIONS[table]:
            self._note_existence(table, change.parts[0], change)
        self._count(table, before, after, change)

    def _note_existence(self, table: str, name: Value, change: Change) -> None:
        if not isinstance(name, str):
            return
        if change.before is None:
            self._added.setdefault(table, set()).add(name)
        elif change.after is None:
            self._removed.setdefault(table, {})[name] = change.path

    def _count(self, table: str, before: Values | None, after: Values | None, change: Change) -> None:
        old = list(references(table, before, self._json)) if before is not None else []
        new = list(references(table, after, self._json)) if after is not None else []
        for one in old:
            if (count := self._counter(one)) is not None:
                count.before += 1
        for one in new:
            if (count := self._counter(one)) is not None:
                count.after += 1
                count.instead_of += [other for other in old if other.check == one.check and other not in new]
                if len(count.holders) < AFFECTED_MAX:
                    count.holders.append(change.path)
        was = set(problems(table, before, self._json)) if before is not None else set()
        now = set(problems(table, after, self._json)) if after is not None else set()
        for check in was | now:
            found = self._problems.setdefault(check, _Count())
            found.before += check in was
            found.after += check in now
            if check in now - was and len(found.holders) < AFFECTED_MAX:
                found.holders.append(change.path)
        if after is not None:
            self._note_links(table, before or {}, after, change)

    def _note_links(self, table: str, before: Values, after: Values, change: Change) -> None:
        if table == "tasks" and isinstance(after.get("parent_task_id"), str):
            self._parents[str(after.get("id"))] = str(after["parent_task_id"])
            self._new_parents = self._new_parents or before.get("parent_task_id") != after["parent_task_id"]
        elif table == "agents" and after.get("process_id") and before.get("process_id") != after["process_id"]:
            self._processes.append(change.path)

    def _counter(self, reference: Reference) -> _Count | None:
        count = self._counts.get(reference)
        if count is None:
            if len(self._counts) >= REFERENCES_MAX:
                self._overflow = True
                return None
            count = self._counts[reference] = _Count()
        return count

    def _live_ids(self) -> dict[str, set[str]]:
        """Table → those referred to that exist live."""
        wanted: dict[str, set[str]] = {}
        for one in self._counts:
            wanted.setdefault(one.table, set()).add(one.id)
        found = {
            table: present(self._live, COLLECTIONS[table], ids)
            for table, ids in wanted.items()
            if table != CONVERSATIONS
        }
        conversations = wanted.get(CONVERSATIONS, set())
        if conversations:
            names = {_session_name(decode_key(key)[0]) for key, _ in every(self._live, _TRANSCRIPTS)}
            found[CONVERSATIONS] = {one for one in names if one is not None} & conversations
            found[CONVERSATIONS] |= present(self._live, COLLECTIONS["sessions"], conversations - found[CONVERSATIONS])
        return found

    def _exists_after(self, one: Reference, live: dict[str, set[str]]) -> bool:
        tables = (CONVERSATIONS, "sessions") if one.table == CONVERSATIONS else (one.table,)
        if any(one.id in self._added.get(table, ()) for table in tables):
            return True
        return one.id in live.get(one.table, ()) and not any(one.id in self._removed.get(table, ()) for table in tables)

    def _after_counts(self) -> dict[Reference, int]:
        """References to removed records → how many records refer to them afterwards."""
        touched = {one: count for one, count in self._counts.items() if one.id in self._removed.get(one.table, ())}
        # Of a whole recovery every record is in the plan or equal to the checkpoint's, which refers to its own records.
        if self._whole:
            return {one: count.after for one, count in touched.items()}
        # All live records are counted below, those that the plan touches among them.
        counts = {one: count.after - count.before for one, count in touched.items()}
        collections = dict.fromkeys(name for table in self._removed for name in REFERRING.get(table, ()))
        for collection in collections:
            for one, path in self._unread(collection):
                counts[one] = counts.get(one, 0) + 1
                count = self._counter(one)
                if count is not None and len(count.holders) < AFFECTED_MAX:
                    count.holders.append(path)
        return counts

    def _unread(self, collection: CollectionName) -> Iterator[tuple[Reference, str]]:
        """All live references of a collection that lead to a removed record."""
        descriptor = self._live.descriptors().get(collection)
        if descriptor is None:
            return
        parse = Json()
        for record in every(self._live, collection):
            for one in references(descriptor.origin.lower(), loaded(self._live, descriptor, record), parse):
                if one.id in self._removed.get(one.table, ()):
                    yield one, f"{descriptor.path}/{display_key(record[0])}"

    def _broken(self) -> Iterator[Finding]:
        removed_counts = self._after_counts()
        live = self._live_ids()
        by_check: dict[str, _Count] = {}
        mended: dict[str, int] = {}
        for one, count in self._counts.items():
            before = 0 if one.id in live.get(one.table, ()) else count.before
            after = 0 if self._exists_after(one, live) else removed_counts.get(one, count.after)
            # Where a record's reference led to nobody before, and leads to another nobody, nothing is broken.
            after -= sum(other.id not in live.get(other.table, ()) for other in count.instead_of) if after else 0
            if after > before:
                found = by_check.setdefault(one.check, _Count())
                found.before += before
                found.after += after
                found.holders += count.holders[: AFFECTED_MAX - len(found.holders)]
            elif before > after:
                mended[one.check] = mended.get(one.check, 0) + before - after
        for check, found in sorted(by_check.items()):
            text = f"{_number(found.after - found.before, 'reference')} by {check} would lead to nobody"
            text += f" ({found.before} before, {found.after} after)."
            severity = Severity.ERROR if check in HARD else Severity.WARNING
            yield Finding(severity, "references", text, check, tuple(found.holders))
        for check, number in sorted(mended.items()):
            text = f"{_number(number, 'reference')} by {check} that lead to nobody now would be mended."
            yield Finding(Severity.INFO, "references", text, check)

    def _wrong(self) -> Iterator[Finding]:
        for check, count in sorted(self._problems.items()):
            if count.after > count.before:
                text = f"It would no longer hold that {check}, for {_number(count.after - count.before, 'record')}"
                text += f" ({count.before} before, {count.after} after)."
                yield Finding(Severity.WARNING, "records", text, check, tuple(count.holders))
        found = circle(self._ancestors()) if self._new_parents else ()
        if found:
            text = "Tasks would be their own ancestors."
            yield Finding(Severity.WARNING, "records", text, "tasks.parent_task_id", found[:AFFECTED_MAX])

    def _ancestors(self) -> dict[str, str]:
        """Task → parent: those that the plan writes, and above them those that it leaves."""
        descriptor = self._live.descriptors().get(COLLECTIONS["tasks"])
        known, ends = dict(self._parents), set(self._parents.values()) - self._parents.keys()
        for _ in range(ANCESTORS_MAX):
            if not ends or descriptor is None:
                break
            keys = [encode_key((one,)) for one in ends]
            ends = set()
            for record in lookup(self._live, COLLECTIONS["tasks"], keys):
                values = loaded(self._live, descriptor, record)
                name, parent = values.get("id"), values.get("parent_task_id")
                if isinstance(name, str) and isinstance(parent, str) and name not in known:
                    known[name] = parent
                    ends |= {parent} - known.keys()
        return known

    def _about_agents(self, *, running: bool) -> Iterator[Finding]:
        removed = self._removed.get("agents", {})
        if removed and running:
            text = f"MAOS is running and may still write for {_number(len(removed), 'agent')} that would be removed;"
            text += " its writes for them would fail. Stop MAOS first, or leave out --exact."
            yield Finding(
                Severity.WARNING, "running_agents", text, "agents", tuple(sorted(removed.values())[:AFFECTED_MAX])
            )
        if self._processes:
            text = f"{_number(len(self._processes), 'agent')} would name a process of that time, which is gone by now."
            affected = tuple(self._processes[:AFFECTED_MAX])
            yield Finding(Severity.INFO, "process_ids", text, "agents.process_id", affected)


def _session_name(path: Value) -> str | None:
    """The session whose transcript lies at a path."""
    if not isinstance(path, str) or not path.endswith(_ENDING):
        return None
    return path.rpartition("/")[2].removesuffix(_ENDING)


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
