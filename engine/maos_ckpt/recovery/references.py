"""What a plan does to the references between records: which it would break, which it mends, what it needs besides.

Only records that the plan touches are looked into, and only references that lead to records it adds or removes can
change their meaning for the others; so the cost follows the plan, not the state. All counts are before and after: what
dangled before the recovery is no fault of it.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Final

from maos_ckpt.codec.values import decode_key, decode_row, display_key, encode_key
from maos_ckpt.model import Finding, Severity
from maos_ckpt.recovery.lookup import Shape, every, matching
from maos_ckpt.recovery.reference_rules import (
    COLLECTIONS,
    CONVERSATIONS,
    HARD,
    PLAIN,
    REFERRING,
    Json,
    Reference,
    only_plain,
    places,
    references,
)
from maos_ckpt.recovery.tally import AFFECTED_MAX, Count, Holder, named
from maos_ckpt.recovery.touched import TRANSCRIPT_FILES, Touched, session_name
from maos_ckpt.sources.change import Change
from maos_ckpt.sources.sqlite.spill import FRONT_MAX, TEXT, NoRoomError, Spill, SpilledMap
from maos_ckpt.states import CollectionName, State

_NO_ROOM: Final = "There is no room for the temporary files that checking references takes; they are not checked."

_Ids = dict[str, SpilledMap[str]]


def reference_findings(
    live: State,
    changes: Callable[[], Iterator[Change]],
    *,
    running: bool,
    whole: bool = False,
    enforced: bool = False,
    front_max: int = FRONT_MAX,
) -> list[Finding]:
    """What an operator should know of a plan's references before applying it.

    Args:
        live: the state before.
        changes: gives the plan's changes, in key order within each collection; all of them are read.
        running: a MAOS has the database open.
        whole: the plan makes the state equal to a checkpoint's; then records it does not touch need not be read.
        enforced: the database has taken the plan, so none of the references that it enforces dangles anew, and what
            they lead to, which may lie far away, need not be looked up.
        front_max: see `Spill`.
    """
    with ReferenceCheck(live, whole=whole, enforced=enforced, front_max=front_max) as check:
        fits = True
        for change in changes():
            try:
                if fits:
                    check.take(change)
            except NoRoomError:
                fits = False
        try:
            return check.findings(running=running) if fits else [_limit(_NO_ROOM)]
        except NoRoomError:
            return [_limit(_NO_ROOM)]


def still_referenced(
    live: State, changes: Callable[[], Iterator[Change]], target: State | None = None
) -> frozenset[tuple[str, bytes]]:
    """Agents that a plan removes although records that stay refer to them, as (collection path, key).

    With the `target` of the plan, references that dangle there as well do not count: so it was.

    Raises:
        NoRoomError: temporary files cannot be written.
    """
    with ReferenceCheck(live, whole=False) as check:
        for change in changes():
            check.take(change)
        return check.still_referenced(target)


def _limit(text: str) -> Finding:
    return Finding(Severity.INFO, "references", text, "limit")


class ReferenceCheck:
    """Takes a plan's changes, then answers; see `reference_findings`. Use it in a `with` block."""

    def __init__(self, live: State, *, whole: bool, enforced: bool = False, front_max: int = FRONT_MAX) -> None:
        self._live = live
        self._whole = whole
        self._enforced = enforced
        self._spill = Spill(front_max)
        self._plan = Touched(live, self._spill)

    def __enter__(self) -> ReferenceCheck:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._spill.close()

    def take(self, change: Change) -> None:
        """Note one change."""
        self._plan.take(change)

    def findings(self, *, running: bool) -> list[Finding]:
        """What an operator should know before applying the plan."""
        found = [*self._broken(), *self._wrong(), *self._plan.transcripts.findings()]
        found += self._plan.state_files.findings()
        found += self._plan.sequences.findings(whole=self._whole)
        found += self._about_agents(running=running)
        if self._plan.incomplete:
            found.append(_limit("The plan is too large for every reference in it to be checked."))
        return found

    def still_referenced(self, target: State | None = None) -> frozenset[tuple[str, bytes]]:
        """Agents that the plan removes although records that stay refer to them, as (collection path, key)."""
        self._count_unread()
        found: dict[str, int] = {}
        for one, count in self._plan.tally.items():
            if one.table == "agents" and self._is_removed(one) and self._after(one, count) > 0:
                found[one.id] = found.get(one.id, 0) + self._after(one, count)
        if target is not None and found:
            for collection in REFERRING["agents"]:
                for one, _ in self._to_removed(target, collection):
                    if one.id in found:
                        found[one.id] -= 1
        path = "/".join(COLLECTIONS["agents"])
        return frozenset((path, encode_key((name,))) for name, number in found.items() if number > 0)

    def _looked_at(self) -> Iterator[tuple[Reference, Count]]:
        """The references that a plan may break or mend."""
        for one, count in self._plan.tally.items():
            if not (self._enforced and one.check in HARD) and self._matters(one, count):
                yield one, count

    def _matters(self, one: Reference, count: Count) -> bool:
        """Whether it could be otherwise afterwards than before; mostly records keep the references that they have."""
        if count.before != count.after or next(self._plan.tally.instead_of(one), None) is not None:
            return True
        moved = (self._plan.added, self._plan.removed)
        return any(one.id in ids.get(table, ()) for ids in moved for table in places(one.table))

    def _live_ids(self) -> _Ids:
        """Table → those referred to that exist live."""
        wanted: _Ids = {}

        def want(one: Reference) -> None:
            for table in places(one.table):
                if table not in wanted:
                    wanted[table] = SpilledMap(self._spill, TEXT)
                wanted[table].add(one.id)

        for one, _ in self._looked_at():
            want(one)
            for other, _ in self._plan.tally.instead_of(one):
                want(other)
        found: _Ids = {table: SpilledMap(self._spill, TEXT) for table in wanted}
        for table, ids in wanted.items():
            if table == CONVERSATIONS:
                for key, _ in every(self._live, TRANSCRIPT_FILES):
                    name = session_name(decode_key(key)[0])
                    if name is not None and name in ids:
                        found[table].add(name)
                continue
            for key, _ in matching(self._live, COLLECTIONS[table], ids):
                found[table].add(str(decode_key(key)[0]))
        return found

    @staticmethod
    def _exists_before(one: Reference, live: _Ids) -> bool:
        return any(one.id in live.get(table, ()) for table in places(one.table))

    def _exists_after(self, one: Reference, live: _Ids) -> bool:
        added, removed = self._plan.added, self._plan.removed
        return any(
            one.id in added.get(table, ()) or (one.id in live.get(table, ()) and one.id not in removed.get(table, ()))
            for table in places(one.table)
        )

    def _is_removed(self, one: Reference) -> bool:
        return any(one.id in self._plan.removed.get(table, ()) for table in places(one.table))

    def _after(self, one: Reference, count: Count) -> int:
        """How many records have a reference afterwards, as far as they were read."""
        # Of a whole recovery every record is in the plan or equal to the checkpoint's, which refers to its own records.
        if self._whole or not self._is_removed(one):
            return count.after
        # All live records have been counted, those that the plan touches among them.
        return count.after - count.before + count.unread

    def _count_unread(self) -> None:
        """Count the live references to removed records, unless the plan touches every record that differs."""
        if self._whole:
            return
        collections = dict.fromkeys(name for table in self._plan.removed for name in REFERRING.get(table, ()))
        for collection in collections:
            for one, holder in self._to_removed(self._live, collection):
                self._plan.tally.unread(one, holder)

    def _to_removed(self, state: State, collection: CollectionName) -> Iterator[tuple[Reference, Holder]]:
        """All references of a collection that lead to a removed record."""
        descriptor = state.descriptors().get(collection)
        if descriptor is None:
            return
        table, removed = descriptor.origin.lower(), self._plan.removed
        shape = Shape(descriptor, descriptor.columns, state.get)
        if only_plain(table):
            # Messages are by far the most numerous records: only the columns that count are looked at.
            columns = [(shape.place(column), check, target) for column, check, target in PLAIN[table]]
            asked = [
                (at, check, target, [removed[one] for one in places(target) if one in removed])
                for at, check, target in columns
                if at is not None
            ]
            for key, value in every(state, collection):
                row = decode_row(value)
                for at, check, target, gone in asked:
                    name = row[at]
                    if isinstance(name, str) and any(name in one for one in gone):
                        yield Reference(check, target, name), (descriptor, key)
            return
        parse = Json()
        for record in every(state, collection):
            for one in references(table, shape.stored(record), parse):
                if self._is_removed(one):
                    yield one, (descriptor, record[0])

    def _broken(self) -> Iterator[Finding]:
        self._count_unread()
        live = self._live_ids()
        by_check: dict[str, Count] = {}
        mended: dict[str, int] = {}
        for one, count in self._looked_at():
            before = 0 if self._exists_before(one, live) else count.before
            after = 0 if self._exists_after(one, live) else self._after(one, count)
            # Where a record's reference led to nobody before, and leads to another nobody, nothing is broken.
            if after:
                former = self._plan.tally.instead_of(one)
                after -= sum(number for other, number in former if not self._exists_before(other, live))
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
            yield Finding(severity, "references", text, check, found.named(), found.after)
        for check, number in sorted(mended.items()):
            text = f"{_number(number, 'reference')} by {check} that lead to nobody now would be mended."
            yield Finding(Severity.INFO, "references", text, check)

    def _wrong(self) -> Iterator[Finding]:
        for check, count in sorted(self._plan.problems.items()):
            if count.after > count.before:
                text = f"It would no longer hold that {check}, for {_number(count.after - count.before, 'record')}"
                text += f" ({count.before} before, {count.after} after)."
                yield Finding(Severity.WARNING, "records", text, check, count.named(), count.after)
        found = self._plan.ancestry.circle(self._live, AFFECTED_MAX) if self._plan.new_parents else ()
        if found:
            text = "Tasks would be their own ancestors."
            yield Finding(Severity.WARNING, "records", text, "tasks.parent_task_id", found)

    def _about_agents(self, *, running: bool) -> Iterator[Finding]:
        removed = self._plan.removed.get("agents")
        if removed is not None and running:
            number, path = sum(1 for _ in removed.items()), "/".join(COLLECTIONS["agents"])
            text = f"MAOS is running and may still write for {_number(number, 'agent')} that would be removed;"
            text += " its writes for them would fail. Stop MAOS first, or leave out --exact."
            names = (f"{path}/{display_key(key)}" for _, key in removed.items())
            affected = tuple(heapq.nsmallest(AFFECTED_MAX, names))
            yield Finding(Severity.WARNING, "running_agents", text, "agents", affected, number)
        number = self._plan.processes
        if number:
            text = f"{_number(number, 'agent')} would name a process of that time, which is gone by now."
            affected = tuple(map(named, self._plan.restarted))
            yield Finding(Severity.INFO, "process_ids", text, "agents.process_id", affected, number)


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
