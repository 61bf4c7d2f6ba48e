"""The agents of a state with what their other records say of them, and which of them are alive."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from maos_ckpt.codec.values import decode_key
from maos_ckpt.errors import UsageError
from maos_ckpt.model import Value
from maos_ckpt.recovery.lookup import Record, RecordView
from maos_ckpt.recovery.reference_rules import RUNNING_TASK
from maos_ckpt.recovery.rescue.living import Living
from maos_ckpt.recovery.rescue.tables import Table, json_of, local_ms, text, texts_of, utc_ms
from maos_ckpt.sources.sqlite.faults import describe_process
from maos_ckpt.states import State

#: What is kept of an agent comes to about a kilobyte.
AGENTS_MAX: Final = 200_000
COMPLETED: Final = "completed"
FAILED: Final = "failed"
#: What an agent is that has a process.
RUNNING_AGENT: Final = frozenset(("active", "busy", "running"))

_STARTED_SESSION = re.compile(r"session-.+-(\d{1,12})")
_OWN_TASK: Final = "task-"


@dataclass(slots=True)
class Agent:
    """One agent.

    `work`: the task in its own words. `order`: the order in which agents came. `began`: MAOS started it, last at
    `started_s`, in seconds since 1970. `ended`: what its own task came to, "" while that is open. `alive`: who keeps it
    alive, for people; "" for nobody. `capabilities`: only where they are no JSON.
    """

    record: Record
    id: str
    type: str
    status: str
    session: str
    process: str
    work: str
    created_ms: int | None
    active_ms: int | None
    order: int
    alive: str = ""
    began: bool = False
    started_s: int | None = None
    own_task: bool = False
    ended: str = ""
    completed_at: str = ""
    cost: float = 0.0
    messages: int = 0
    capabilities: Value = None
    metadata: dict[str, object] | None = None

    @property
    def mendable(self) -> bool:
        """Whether its capabilities can be replaced, and what they were kept."""
        return isinstance(self.capabilities, str | int | float) and self.metadata is not None

    @property
    def died(self) -> bool:
        """Whether it was at work when its MAOS ended."""
        return not self.alive and not self.ended and (self.began or self.status in RUNNING_AGENT)


@dataclass(frozen=True, slots=True)
class Task:
    """A task that is not done. `began`: somebody worked on it. `own`: it is what MAOS made its one agent for."""

    record: Record
    began: bool
    own: bool
    agents: tuple[Agent, ...]


class Crew:
    """All agents of a state, by id.

    Raises:
        UsageError: there are more than `AGENTS_MAX`.
    """

    def __init__(self, live: State, living: Living, beat: Callable[[], None]) -> None:
        self.agents: dict[str, Agent] = {}
        self.open_tasks: list[Task] = []
        self.table = Table(live, ("agents", "agents"), beat)
        self.tasks = Table(live, ("tasks", "tasks"), beat)
        self._read_agents()
        self._read_sessions(Table(live, ("memory", "sessions"), beat))
        self._read_tasks()
        for agent in self.agents.values():
            agent.alive = _alive(agent, living)

    def in_order(self) -> list[Agent]:
        """The agents as they came."""
        return sorted(self.agents.values(), key=lambda one: (one.order, one.id))

    def lives(self, agent: str) -> bool:
        """Whether an agent of this id is alive."""
        found = self.agents.get(agent)
        return found is not None and bool(found.alive)

    def _read_agents(self) -> None:
        rowid = self.table.rowid
        for record, view in self.table.records():
            (name, *_) = decode_key(record[0])
            if not isinstance(name, str):
                continue
            if len(self.agents) >= AGENTS_MAX:
                raise UsageError(
                    f"There are more than {AGENTS_MAX:,} agents, more than a rescue looks at.",
                    kept="Nothing was changed.",
                    hint="Recover a part of a checkpoint instead.",
                )
            place = view.get(rowid) if rowid else 0
            self.agents[name] = _agent(record, name, view, place)

    def _read_sessions(self, sessions: Table) -> None:
        for _, view in sessions.records():
            agent = self.agents.get(text(view.get("agent_id")))
            if agent is None:
                continue
            cost = view.get("total_cost")
            agent.cost += cost if isinstance(cost, int | float) and math.isfinite(cost) else 0.0
            started = _STARTED_SESSION.fullmatch(text(view.get("session_id")))
            if started is not None:
                agent.began, agent.started_s = True, max(agent.started_s or 0, int(started[1]))

    def _read_tasks(self) -> None:
        for record, view in self.tasks.records():
            name, status = text(view.get("id")), text(view.get("status"))
            assigned = [self.agents[one] for one in texts_of(view.get("assigned_agents")) if one in self.agents]
            own = self.agents.get(name.removeprefix(_OWN_TASK)) if name.startswith(_OWN_TASK) else None
            if own is not None:
                own.own_task = True
                assigned = assigned or [own]
            if status in (COMPLETED, FAILED):
                if own is not None:
                    own.ended, own.completed_at = status, text(view.get("completed_at"))
                continue
            progress = view.get("progress")
            began = status in RUNNING_TASK or (isinstance(progress, int | float) and progress > 0)
            if assigned:
                self.open_tasks.append(Task(record, began, own is not None, tuple(assigned)))


def _agent(record: Record, name: str, view: RecordView, place: Value) -> Agent:
    metadata = json_of(view.get("metadata"))
    work = metadata.get("task") if isinstance(metadata, dict) else None
    process = view.get("process_id")
    return Agent(
        record=record,
        id=name,
        type=text(view.get("type")),
        status=text(view.get("status")),
        session=text(view.get("session_id")),
        process=str(process) if isinstance(process, str | int) else "",
        work=work if isinstance(work, str) else "",
        created_ms=utc_ms(view.get("created_at")),
        active_ms=local_ms(view.get("last_active")),
        order=place if isinstance(place, int) else 0,
        capabilities=None if _is_json(view.get("capabilities")) else view.get("capabilities"),
        metadata=metadata if isinstance(metadata, dict) else None,
    )


def _is_json(value: Value) -> bool:
    """Whether MAOS can read a column; an empty one it does not read."""
    return value in (None, "") or json_of(value) is not None


def _alive(agent: Agent, living: Living) -> str:
    process = living.agent_process(agent.process, agent.session, agent.active_ms)
    if process is not None:
        return f"its process {describe_process(process)} runs"
    if living.may_own(agent.created_ms, agent.active_ms):
        return f"it belongs to the MAOS that runs, {describe_process(living.maos[0])}"
    orphan = living.orphan_since(agent.started_s)
    if orphan is not None:
        return f"{describe_process(orphan)}, which outlived its MAOS, may be its process"
    return ""
