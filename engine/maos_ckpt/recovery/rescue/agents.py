"""What is wrong with agents and tasks whose MAOS is gone, in MAOS's own words for it.

`paused` is what MAOS's message bus writes for its agents when it is shut down in order, and what it takes up again;
`failed` with its task is what its orchestrator writes where an agent did not come back with a result.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from maos_ckpt.model import Value
from maos_ckpt.recovery.rescue.crew import COMPLETED, FAILED, RUNNING_AGENT, Agent, Crew, Task
from maos_ckpt.recovery.rescue.repair import Repair

PAUSED: Final = "paused"
_KEPT_CAPABILITIES: Final = "capabilities_before_rescue"


def agent_repairs(crew: Crew, conversations: dict[str, str]) -> Iterator[Repair]:
    """Dead agents that count as running, stale process ids, conversations nobody noted, unreadable capabilities.

    `conversations`: the session of each agent's transcript, where that was found by its task.
    """
    for agent in crew.agents.values():
        if agent.alive:
            continue
        values: dict[str, Value] = {}
        reasons = []
        if agent.died or (agent.ended and agent.status in RUNNING_AGENT):
            status = agent.ended or PAUSED
            if status != agent.status:
                values["status"] = status
                reasons.append(_status_reason(agent))
        if agent.process:
            values["process_id"] = None
            reasons.append(f"its process {agent.process} is gone, or is another program by now")
        if agent.id in conversations:
            values["session_id"] = conversations[agent.id]
            reasons.append("MAOS never noted its conversation; this transcript begins with its task")
        if agent.mendable:
            values["capabilities"] = json.dumps([agent.type] if agent.type else [])
            values["metadata"] = json.dumps((agent.metadata or {}) | {_KEPT_CAPABILITIES: str(agent.capabilities)})
            reasons.append("its capabilities are no JSON, on which MAOS stumbles; they are kept in its metadata")
        if values:
            yield Repair(crew.table, agent.record, values, "; ".join(reasons))


def _status_reason(agent: Agent) -> str:
    if agent.ended:
        return f"no process of it runs, and its task is {agent.ended}"
    return "no process of it runs, and it was not done: its conversation can be continued"


def task_repairs(crew: Crew) -> Iterator[Repair]:
    """Tasks that nobody works on any more."""
    for task in crew.open_tasks:
        if _is_abandoned(task):
            names = ", ".join(one.id for one in task.agents)
            yield Repair(crew.tasks, task.record, {"status": FAILED}, f"{names} died at work on it")


def _is_abandoned(task: Task) -> bool:
    if any(one.alive for one in task.agents):
        return False
    return task.began or (task.own and any(one.began for one in task.agents))


def is_done(agent: Agent) -> bool:
    """Whether nothing of it is left to do."""
    return agent.ended in (COMPLETED, FAILED)
