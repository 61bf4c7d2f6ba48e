"""What is going on in the live MAOS that a plan would lose or set going again: tasks, messages, agents, sessions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from maos_ckpt.model import CollectionKind, Descriptor, Finding, Severity, Value
from maos_ckpt.processes import ProcessInfo
from maos_ckpt.recovery.lookup import RecordView, Shape
from maos_ckpt.recovery.reference_rules import COLLECTIONS, RUNNING_TASK
from maos_ckpt.recovery.tally import AFFECTED_MAX, Counted, Holder, named
from maos_ckpt.recovery.touched import TRANSCRIPTS, session_name
from maos_ckpt.seams import Seams
from maos_ckpt.sources.change import Change
from maos_ckpt.sources.sqlite.faults import describe_process
from maos_ckpt.states import State

#: Agents and transcripts whose processes are looked for; of more, only these.
LOOKED_FOR_MAX: Final = 10_000


class InFlight:
    """Takes a plan's changes; then `findings`."""

    def __init__(self, live: State) -> None:
        self._live = live
        self._shapes: tuple[Descriptor, tuple[str, ...], Shape, Shape] | None = None
        self._stopped, self._rerun = Counted[Holder](), Counted[Holder]()
        self._lost, self._again = Counted[Holder](), Counted[Holder]()
        #: Process id → the agent that names it live.
        self._agents: dict[int, Holder] = {}
        #: Session → an agent of it, or a transcript.
        self._sessions: dict[str, Holder] = {}

    def take(self, change: Change) -> None:
        """Note one change."""
        descriptor = change.descriptor
        if (descriptor.component, descriptor.name) == TRANSCRIPTS:
            session = session_name(change.parts[0])
            if session and len(self._sessions) < LOOKED_FOR_MAX:
                self._sessions.setdefault(session, (descriptor, change.key))
            return
        table = descriptor.origin.lower()
        if descriptor.kind is not CollectionKind.TABLE or table not in ("tasks", "messages", "agents"):
            return
        before, after = self._views(change)
        holder = (descriptor, change.key)
        if table == "tasks":
            self._take_task(before, after, holder)
        elif table == "messages":
            self._take_message(before, after, holder)
        elif before is not None and (descriptor.component, descriptor.name) == COLLECTIONS["agents"]:
            self._take_agent(before, holder)

    def _views(self, change: Change) -> tuple[RecordView | None, RecordView | None]:
        shapes = self._shapes
        if shapes is None or shapes[0] is not change.descriptor or shapes[1] != change.columns:
            descriptor, get = change.descriptor, self._live.get
            pair = Shape(descriptor, descriptor.columns, get), Shape(descriptor, change.columns, get)
            shapes = self._shapes = (descriptor, change.columns, *pair)
        parts = change.parts
        return (
            None if change.before is None else shapes[2].view(parts, change.before),
            None if change.after is None else shapes[3].view(parts, change.after),
        )

    def _take_task(self, before: RecordView | None, after: RecordView | None, holder: Holder) -> None:
        was = before is not None and before.get("status") in RUNNING_TASK
        will = after is not None and after.get("status") in RUNNING_TASK
        if was and not will:
            self._stopped.add(holder)
        elif will and not was:
            self._rerun.add(holder)

    def _take_message(self, before: RecordView | None, after: RecordView | None, holder: Holder) -> None:
        was = before is not None and not before.get("acknowledged")
        will = after is not None and not after.get("acknowledged")
        if was and after is None:
            self._lost.add(holder)
        elif will and not was:
            self._again.add(holder)

    def _take_agent(self, before: RecordView, holder: Holder) -> None:
        process, session = _number(before.get("process_id")), before.get("session_id")
        if process is not None and len(self._agents) < LOOKED_FOR_MAX:
            self._agents.setdefault(process, holder)
        if isinstance(session, str) and len(self._sessions) < LOOKED_FOR_MAX:
            self._sessions.setdefault(session, holder)

    def findings(self, seams: Seams) -> Iterator[Finding]:
        """What an operator should know before applying the plan."""
        told = (
            (self._stopped, "task", "running live", "set back: what is being done on {} is lost, or done once more"),
            (self._rerun, "task", "not running live", "running again: nobody works on {} until MAOS takes {} up"),
            (self._lost, "message", "not yet acknowledged", "removed: nobody will read {}"),
            (self._again, "message", "acknowledged or gone live", "unacknowledged: MAOS delivers {} again"),
        )
        for found, what, state, then in told:
            if found.number:
                one = found.number == 1
                text = f"{found.number:,} {what}{'' if one else 's'} {state} would be "
                text += then.format(*(["it" if one else "them"] * 2)) + "."
                affected = tuple(map(named, found.first))
                severity = Severity.INFO if found is self._again else Severity.WARNING
                yield Finding(severity, "in_flight", text, f"{what}s", affected, found.number)
        alive = self._alive(seams)
        if alive:
            text = f"{len(alive):,} process{'' if len(alive) == 1 else 'es'} of agents that the plan changes"
            text += f" {'is' if len(alive) == 1 else 'are'} running, and will go on from what they had:"
            text += f" {'; '.join(describe_process(one) for one, _ in alive[:2])}."
            affected = tuple(dict.fromkeys(named(holder) for _, holder in alive[:AFFECTED_MAX]))
            yield Finding(Severity.WARNING, "in_flight", text, "agents", affected, len(alive))

    def _alive(self, seams: Seams) -> Sequence[tuple[ProcessInfo, Holder]]:
        """The agents' processes that run, by the id that the live agent names or by the session they were given."""
        found: dict[int, tuple[ProcessInfo, Holder]] = {}
        if not self._agents and not self._sessions:
            return ()
        for one in seams.processes.matching("claude"):
            words = (word.rpartition("=")[2] for word in one.command)
            session = next((self._sessions[word] for word in words if word in self._sessions), None)
            holder = session or self._agents.get(one.pid)
            if holder is not None:
                found[one.pid] = (one, holder)
        return tuple(found.values())


def _number(value: Value) -> int | None:
    """A process id, which MAOS keeps as text."""
    if isinstance(value, int) or (isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10):
        return int(value) or None
    return None
