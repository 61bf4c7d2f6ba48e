"""Orchestrations that MAOS never wrote down, made again from their agents; and those that say they run and do not.

MAOS inserts an orchestration's row after its last batch, so a crash leaves none. What makes one up is known: an
orchestration makes all of its agents at once, in batches of three, and MAOS works on one at a time.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from maos_ckpt.model import Value
from maos_ckpt.recovery.lookup import RecordView
from maos_ckpt.recovery.reference_rules import AGENT_ID
from maos_ckpt.recovery.rescue.agents import PAUSED, is_done
from maos_ckpt.recovery.rescue.crew import COMPLETED, Agent, Crew
from maos_ckpt.recovery.rescue.living import SLACK_MS
from maos_ckpt.recovery.rescue.repair import Repair
from maos_ckpt.recovery.rescue.tables import Table, local_text, text, texts_of, utc_ms
from maos_ckpt.states import State

#: What `OrchestratorV7._create_batches` takes.
BATCH_AGENTS: Final = 3
#: Agents of one orchestration come within moments of each other; a MAOS that was started again takes longer.
_GAP_MS: Final = 10_000
#: How long an operator may look at a decomposition before its agents are made.
_APPROVAL_MS: Final = 3_600_000
_REQUEST_CHARACTERS_MAX: Final = 500
_RUNNING: Final = "running"

#: What MAOS's auto-save calls its checkpoints: the beginning of the orchestration's id is all that survives of it.
_AUTO = re.compile(r"auto-([0-9a-f]{8})-\d{6}")
_WHOLE = re.compile(r"orchestration_[0-9a-f]{8}")
_DECOMPOSITION: Final = "Decomposition: "
#: Distinguishes ids made here from others made of the same names.
_NAMESPACE: Final = uuid.UUID("7d4f3c0a-52b1-4f0e-9b0e-6d616f73636b")


@dataclass(slots=True)
class _Marks:
    """What names of MAOS's checkpoints tell: (when, what) of orchestrations' ids and of requests."""

    ids: list[tuple[int, str]] = field(default_factory=list)
    requests: list[tuple[int, str]] = field(default_factory=list)


def orchestration_repairs(live: State, crew: Crew, beat: Callable[[], None]) -> Iterator[Repair]:
    """Rows to add, and statuses that are not true any more."""
    table = Table(live, ("system", "orchestrations"), beat)
    if table.descriptor is None:
        return
    known: set[str] = set()
    names: set[str] = set()
    for record, view in table.records():
        agents = texts_of(view.get("agents"))
        known.update(agents)
        names.add(text(view.get("id")))
        there = [crew.agents[one] for one in agents if one in crew.agents]
        if text(view.get("status")) == _RUNNING and there and not any(one.alive for one in there):
            status = COMPLETED if all(map(is_done, there)) else PAUSED
            done = ", and all of their tasks are done" if status == COMPLETED else ""
            yield Repair(table, record, {"status": status}, f"no process of its agents runs{done}")
    marks = _read_marks(Table(live, ("system", "checkpoints"), beat), names)
    groups = _groups([one for one in crew.in_order() if one.id not in known and _is_orchestrated(one)])
    for at, group in enumerate(groups):
        if any(one.alive for one in group):
            continue
        since = groups[at - 1][0].created_ms if at else None
        until = groups[at + 1][0].created_ms if at + 1 < len(groups) else None
        made = _rebuilt(table, group, marks, since, until)
        name = str(made.record)
        if name not in names:
            names.add(name)
            yield made


def _is_orchestrated(agent: Agent) -> bool:
    """Whether an orchestration made the agent: it has a task of its own, named after it."""
    return bool(AGENT_ID.fullmatch(agent.id)) and agent.own_task and agent.created_ms is not None


def _groups(agents: Sequence[Agent]) -> list[list[Agent]]:
    groups: list[list[Agent]] = []
    for agent in agents:
        last = groups[-1][-1] if groups else None
        if last is None or abs((agent.created_ms or 0) - (last.created_ms or 0)) > _GAP_MS:
            groups.append([])
        groups[-1].append(agent)
    return groups


def _read_marks(checkpoints: Table, known: set[str]) -> _Marks:
    marks = _Marks()
    beginnings = {one[:8] for one in known}
    for _, view in checkpoints.records():
        name, at_ms = text(view.get("name")), utc_ms(view.get("created_at"))
        if at_ms is None:
            continue
        auto = _AUTO.fullmatch(name)
        if auto is not None and auto[1] not in beginnings:
            marks.ids.append((at_ms, auto[1]))
        elif _WHOLE.fullmatch(name) and (whole := _uuid_of(view)) is not None and whole not in known:
            marks.ids.append((at_ms, whole))
        elif name.startswith(_DECOMPOSITION):
            marks.requests.append((at_ms, name.removeprefix(_DECOMPOSITION)))
    return marks


def _uuid_of(view: RecordView) -> str | None:
    try:
        return str(uuid.UUID(text(view.get("id"))))
    except ValueError:
        return None


def _rebuilt(table: Table, group: list[Agent], marks: _Marks, since_ms: int | None, until_ms: int | None) -> Repair:
    began_ms = group[0].created_ms or 0
    agents = [one.id for one in group]
    batches = [agents[at : at + BATCH_AGENTS] for at in range(0, len(agents), BATCH_AGENTS)]
    done = all(map(is_done, group))
    ended = sorted(one.completed_at for one in group if one.completed_at)
    found = {one for at_ms, one in marks.ids if began_ms <= at_ms and (until_ms is None or at_ms < until_ms)}
    request = _request(group, marks, max(since_ms or 0, began_ms - _APPROVAL_MS))
    values: dict[str, Value] = {
        "request": request,
        "status": COMPLETED if done else PAUSED,
        "agents": json.dumps(agents),
        "batches": json.dumps(batches),
        "total_cost": float(sum(one.cost for one in group)),
        "total_duration_ms": 0,
        "successful_agents": sum(one.ended == COMPLETED for one in group),
        "total_agents": len(group),
        "created_at": local_text(began_ms),
        "completed_at": ended[-1] if done and ended else None,
        "last_updated": local_text(max(one.active_ms or began_ms for one in group)),
        "active_agents": 0,
        "message_count": sum(one.messages for one in group),
        "metadata": json.dumps({"rebuilt_by": "maos-ckpt"}),
    }
    reason = f"MAOS ended before it wrote this orchestration down; rebuilt from {len(group)} agents and their tasks"
    name = _name(agents, sorted(found))
    if found:
        reason += f", its id from {sorted(found)[0][:8]} in the names of MAOS's checkpoints"
    return Repair(table, name, values, reason)


def _name(agents: list[str], found: list[str]) -> str:
    """An id of which as much is the orchestration's own as is known; the same whenever it is asked for."""
    made = str(uuid.uuid5(_NAMESPACE, "\n".join(agents)))
    whole = [one for one in found if len(one) == len(made)]
    beginnings = {one[:8] for one in found}
    if len(beginnings) != 1:
        return made
    return whole[0] if whole else found[0] + made[8:]


def _request(group: list[Agent], marks: _Marks, since_ms: int) -> str:
    before = [one for one in marks.requests if since_ms <= one[0] <= (group[0].created_ms or 0) + SLACK_MS]
    if before:
        return max(before)[1]
    words = "; ".join(dict.fromkeys(one.work or one.id for one in group))[:_REQUEST_CHARACTERS_MAX]
    # JSON may hold half a surrogate pair, which no text in a database can.
    return words.encode("utf-8", "replace").decode()
