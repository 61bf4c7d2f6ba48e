"""What is to be done about a MAOS that crashed: all repairs of its records, with their reasons, and what was lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from maos_ckpt.errors import ConflictError, NotFoundError
from maos_ckpt.model import RESCUE, Finding, Severity
from maos_ckpt.recovery.computed import Computed
from maos_ckpt.recovery.rescue.agents import agent_repairs, task_repairs
from maos_ckpt.recovery.rescue.conversations import Conversations
from maos_ckpt.recovery.rescue.crew import Crew
from maos_ckpt.recovery.rescue.living import Living
from maos_ckpt.recovery.rescue.losses import losses
from maos_ckpt.recovery.rescue.messages import Messages
from maos_ckpt.recovery.rescue.orchestrations import orchestration_repairs
from maos_ckpt.recovery.rescue.repair import Repair
from maos_ckpt.sources.sqlite.faults import describe_process
from maos_ckpt.states import State

#: Records that one rescue changes; what is beyond is left to the next one.
REPAIRS_MAX: Final = 50_000


def diagnose(live: State, living: Living, beat: Callable[[], None]) -> Computed:
    """The repairs of a state; none for records of agents that are alive.

    Raises:
        NotFoundError: the state has no table of agents.
        ConflictError: a MAOS is running, and nothing but what is its own could be mended.
    """
    if ("agents", "agents") not in live.descriptors():
        raise NotFoundError(
            "There are no agents: this database was not written by a MAOS.",
            kept="Nothing was changed.",
            hint="Name a MAOS working directory with --source maos:DIR.",
        )
    crew = Crew(live, living, beat)
    conversations = Conversations(live, crew)
    messages = Messages()
    queue = list(messages.repairs(live, crew, beat))
    repairs = [
        *agent_repairs(crew, conversations.found),
        *task_repairs(crew),
        *queue,
        *orchestration_repairs(live, crew, beat),
    ]
    if not repairs and living.maos and any(one.alive for one in crew.agents.values()):
        raise _alive(living)
    findings = list(losses(live, crew, living, conversations, messages, beat))
    if len(repairs) > REPAIRS_MAX:
        text = f"{len(repairs):,} records are to be mended, the first {REPAIRS_MAX:,} of them now; rescue again after."
        findings.insert(0, Finding(Severity.WARNING, "rescue", text))
        repairs = repairs[:REPAIRS_MAX]
    return _computed(repairs, tuple(findings))


def _computed(repairs: list[Repair], findings: tuple[Finding, ...]) -> Computed:
    made = [(one.change(), one.reason) for one in repairs]
    # Tables stay in the order of the rules, which is that of writing; within one the keys decide.
    order = {path: at for at, path in enumerate(dict.fromkeys(one.table.path for one in repairs))}
    made.sort(key=lambda one: (order[one[0].descriptor.path], one[0].key))
    reasons = {(one.descriptor.path, one.key): reason for one, reason in made}
    return Computed(tuple(one for one, _ in made), reasons, RESCUE.encode(), findings)


def _alive(living: Living) -> ConflictError:
    named = ", ".join(describe_process(one) for one in living.maos[:3])
    return ConflictError(
        f"A MAOS is running here, {named}, and everything that could be rescued is its own.",
        kept="Nothing was changed.",
        hint="End it first; `maos-ckpt ps` shows what it is doing.",
        pids=[one.pid for one in living.maos],
    )
