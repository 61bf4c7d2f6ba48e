"""What a plan does to the references between records: which it would break, which it mends, what it needs besides.

Only records that the plan touches are looked into, and only references that lead to records it adds or removes can
change their meaning for the others; so the cost follows the plan, not the state. All counts are before and after: what
dangled before the recovery is no fault of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from maos_ckpt.codec.values import decode_key, decode_row, encode_key
from maos_ckpt.model import Finding, Severity
from maos_ckpt.recovery.lookup import Shape, every, lookup, present
from maos_ckpt.recovery.reference_rules import (
    COLLECTIONS,
    CONVERSATIONS,
    HARD,
    PLAIN,
    REFERRING,
    Json,
    Reference,
    circle,
    only_plain,
    references,
)
from maos_ckpt.recovery.touched import AFFECTED_MAX, TRANSCRIPT_FILES, Count, Holder, Touched, named, session_name
from maos_ckpt.sources.change import Change
from maos_ckpt.states import CollectionName, State

#: How far up tasks are followed that the plan does not touch.
ANCESTORS_MAX: Final = 8


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


class ReferenceCheck:
    """Reads a plan once, then answers; see `reference_findings`."""

    def __init__(self, live: State, changes: Iterator[Change], *, whole: bool) -> None:
        self._live = live
        self._whole = whole
        self._plan = Touched(live)
        for change in changes:
            self._plan.take(change)

    def findings(self, *, running: bool) -> list[Finding]:
        """What an operator should know before applying the plan."""
        found = [*self._broken(), *self._wrong(), *self._plan.transcripts.findings()]
        found += self._plan.state_files.findings()
        found += self._about_agents(running=running)
        if self._plan.incomplete:
            text = "The plan is too large for every reference in it to be checked."
            found.append(Finding(Severity.INFO, "references", text, "limit"))
        return found

    def still_referenced(self) -> frozenset[tuple[str, bytes]]:
        """Agents that the plan removes although records that stay refer to them, as (collection path, key)."""
        after = self._after_counts()
        component, name = COLLECTIONS["agents"]
        removed = self._plan.removed.get("agents", {})
        kept = {one.id for one, count in after.items() if one.table == "agents" and count > 0 and one.id in removed}
        return frozenset((f"{component}/{name}", encode_key((one,))) for one in kept)

    def _live_ids(self) -> dict[str, set[str]]:
        """Table → those referred to that exist live."""
        wanted: dict[str, set[str]] = {}
        for one in self._plan.counts:
            wanted.setdefault(one.table, set()).add(one.id)
        found = {
            table: present(self._live, COLLECTIONS[table], ids)
            for table, ids in wanted.items()
            if table != CONVERSATIONS
        }
        conversations = wanted.get(CONVERSATIONS, set())
        if conversations:
            names = {session_name(decode_key(key)[0]) for key, _ in every(self._live, TRANSCRIPT_FILES)}
            found[CONVERSATIONS] = {one for one in names if one is not None} & conversations
            found[CONVERSATIONS] |= present(self._live, COLLECTIONS["sessions"], conversations - found[CONVERSATIONS])
        return found

    def _exists_after(self, one: Reference, live: dict[str, set[str]]) -> bool:
        tables = (CONVERSATIONS, "sessions") if one.table == CONVERSATIONS else (one.table,)
        if any(one.id in self._plan.added.get(table, ()) for table in tables):
            return True
        return one.id in live.get(one.table, ()) and not any(
            one.id in self._plan.removed.get(table, ()) for table in tables
        )

    def _after_counts(self) -> dict[Reference, int]:
        """References to removed records → how many records refer to them afterwards."""
        removed = self._plan.removed
        touched = {one: count for one, count in self._plan.counts.items() if one.id in removed.get(one.table, ())}
        # Of a whole recovery every record is in the plan or equal to the checkpoint's, which refers to its own records.
        if self._whole:
            return {one: count.after for one, count in touched.items()}
        # All live records are counted below, those that the plan touches among them.
        counts = {one: count.after - count.before for one, count in touched.items()}
        collections = dict.fromkeys(name for table in removed for name in REFERRING.get(table, ()))
        for collection in collections:
            for one, holder in self._unread(collection):
                counts[one] = counts.get(one, 0) + 1
                count = self._plan.counter(one)
                if count is not None and len(count.holders) < AFFECTED_MAX:
                    count.holders.append(holder)
        return counts

    def _unread(self, collection: CollectionName) -> Iterator[tuple[Reference, Holder]]:
        """All live references of a collection that lead to a removed record."""
        descriptor = self._live.descriptors().get(collection)
        if descriptor is None:
            return
        table, removed = descriptor.origin.lower(), self._plan.removed
        shape = Shape(descriptor, descriptor.columns, self._live.get)
        if only_plain(table):
            # Messages are by far the most numerous records: only the columns that count are looked at.
            places = [(shape.place(column), check, target) for column, check, target in PLAIN[table]]
            asked = [(at, check, target) for at, check, target in places if at is not None and target in removed]
            for key, value in every(self._live, collection):
                row = decode_row(value)
                for at, check, target in asked:
                    name = row[at]
                    if isinstance(name, str) and name in removed[target]:
                        yield Reference(check, target, name), (descriptor, key)
            return
        parse = Json()
        for record in every(self._live, collection):
            for one in references(table, shape.stored(record), parse):
                if one.id in removed.get(one.table, ()):
                    yield one, (descriptor, record[0])

    def _broken(self) -> Iterator[Finding]:
        removed_counts = self._after_counts()
        live = self._live_ids()
        by_check: dict[str, Count] = {}
        mended: dict[str, int] = {}
        for one, count in self._plan.counts.items():
            before = 0 if one.id in live.get(one.table, ()) else count.before
            after = 0 if self._exists_after(one, live) else removed_counts.get(one, count.after)
            # Where a record's reference led to nobody before, and leads to another nobody, nothing is broken.
            after -= sum(other.id not in live.get(other.table, ()) for other in count.instead_of) if after else 0
            if after > before:
                found = by_check.setdefault(one.check, Count())
                found.before += before
                found.after += after
                found.holders += count.holders[: AFFECTED_MAX - len(found.holders)]
            elif before > after:
                mended[one.check] = mended.get(one.check, 0) + before - after
        for check, found in sorted(by_check.items()):
            text = f"{_number(found.after - found.before, 'reference')} by {check} would lead to nobody"
            text += f" ({found.before} before, {found.after} after)."
            severity = Severity.ERROR if check in HARD else Severity.WARNING
            yield Finding(severity, "references", text, check, found.named())
        for check, number in sorted(mended.items()):
            text = f"{_number(number, 'reference')} by {check} that lead to nobody now would be mended."
            yield Finding(Severity.INFO, "references", text, check)

    def _wrong(self) -> Iterator[Finding]:
        for check, count in sorted(self._plan.problems.items()):
            if count.after > count.before:
                text = f"It would no longer hold that {check}, for {_number(count.after - count.before, 'record')}"
                text += f" ({count.before} before, {count.after} after)."
                yield Finding(Severity.WARNING, "records", text, check, count.named())
        found = circle(self._ancestors()) if self._plan.new_parents else ()
        if found:
            text = "Tasks would be their own ancestors."
            yield Finding(Severity.WARNING, "records", text, "tasks.parent_task_id", found[:AFFECTED_MAX])

    def _ancestors(self) -> dict[str, str]:
        """Task → parent: those that the plan writes, and above them those that it leaves."""
        descriptor = self._live.descriptors().get(COLLECTIONS["tasks"])
        known, ends = dict(self._plan.parents), set(self._plan.parents.values()) - self._plan.parents.keys()
        if descriptor is None:
            return known
        shape = Shape(descriptor, descriptor.columns, self._live.get)
        for _ in range(ANCESTORS_MAX):
            if not ends:
                break
            keys = [encode_key((one,)) for one in ends]
            ends = set()
            for record in lookup(self._live, COLLECTIONS["tasks"], keys):
                values = shape.stored(record)
                name, parent = values.get("id"), values.get("parent_task_id")
                if isinstance(name, str) and isinstance(parent, str) and name not in known:
                    known[name] = parent
                    ends |= {parent} - known.keys()
        return known

    def _about_agents(self, *, running: bool) -> Iterator[Finding]:
        removed = self._plan.removed.get("agents", {})
        if removed and running:
            text = f"MAOS is running and may still write for {_number(len(removed), 'agent')} that would be removed;"
            text += " its writes for them would fail. Stop MAOS first, or leave out --exact."
            yield Finding(
                Severity.WARNING,
                "running_agents",
                text,
                "agents",
                tuple(sorted(map(named, removed.values()))[:AFFECTED_MAX]),
            )
        processes = self._plan.processes
        if processes:
            text = f"{_number(len(processes), 'agent')} would name a process of that time, which is gone by now."
            affected = tuple(map(named, processes[:AFFECTED_MAX]))
            yield Finding(Severity.INFO, "process_ids", text, "agents.process_id", affected)


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
