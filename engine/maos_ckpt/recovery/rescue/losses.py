"""What MAOS lost and no repair of its records brings back, said so that nobody looks for it in vain."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from maos_ckpt.model import Finding, Severity
from maos_ckpt.recovery.rescue.conversations import Conversations
from maos_ckpt.recovery.rescue.crew import Crew
from maos_ckpt.recovery.rescue.living import Living
from maos_ckpt.recovery.rescue.messages import Messages
from maos_ckpt.recovery.rescue.tables import Table, text
from maos_ckpt.recovery.tally import AFFECTED_MAX
from maos_ckpt.sources.maos.claude_processes import SESSION
from maos_ckpt.sources.sqlite.faults import describe_process
from maos_ckpt.states import State

_EMPTY: Final = (None, "", "{}", "[]", "null")
_CONTENT: Final = ("orchestrator_state", "agent_sessions", "task_states", "message_history")


def losses(
    live: State,
    crew: Crew,
    living: Living,
    conversations: Conversations,
    messages: Messages,
    beat: Callable[[], None],
) -> Iterator[Finding]:
    """The findings of a rescue."""
    yield from _alive(crew, living)
    yield from _checkpoints(Table(live, ("system", "checkpoints"), beat))
    yield from _conversations(crew, conversations)
    yield from _unparseable(crew)
    if messages.waiting:
        text_ = f"{messages.waiting:,} messages are not acknowledged: MAOS delivers those of the last 24 h once more."
        yield Finding(Severity.INFO, "messages", text_, "queue/messages")


def _alive(crew: Crew, living: Living) -> Iterator[Finding]:
    alive = [f"agents/agents/{one.id}: {one.alive}" for one in crew.agents.values() if one.alive]
    if alive:
        text_ = f"{len(alive):,} agents are alive: they, their tasks and their messages are left alone."
        yield _some(Severity.WARNING, "alive", text_, alive)
    orphans = [describe_process(one) for one in living.orphans]
    if orphans:
        text_ = (
            f"{len(orphans)} claude processes of a MAOS that is gone still work in its directory, and nobody reads what"
            " they write; wait until they end, or end them with `kill PID`, and rescue their agents then."
        )
        yield _some(Severity.WARNING, "orphans", text_, orphans)


def _checkpoints(table: Table) -> Iterator[Finding]:
    empty, number = [], 0
    for _, view in table.records():
        number += 1
        if all(view.get(one) in _EMPTY for one in _CONTENT):
            empty.append(f"{table.path}/{text(view.get('name'))}")
    if empty:
        text_ = f"{len(empty):,} of {number:,} checkpoints that MAOS made itself are empty."
        yield _some(Severity.INFO, "empty_checkpoints", text_, empty)


def _conversations(crew: Crew, conversations: Conversations) -> Iterator[Finding]:
    dangling = [
        f"agents/agents/{one.id}"
        for one in crew.agents.values()
        if SESSION.fullmatch(one.session) and one.session not in conversations.sessions
    ]
    if dangling:
        text_ = f"The transcripts of {len(dangling):,} agents are not there: their conversations are lost here."
        yield _some(Severity.WARNING, "dangling_sessions", text_, dangling)
    if conversations.unclear:
        text_ = f"{len(conversations.unclear):,} agents have a task that several transcripts, or several agents, share:"
        text_ += " which conversation is whose is not known."
        yield _some(
            Severity.INFO, "dangling_sessions", text_, [f"agents/agents/{one}" for one in conversations.unclear]
        )


def _unparseable(crew: Crew) -> Iterator[Finding]:
    stay = [one for one in crew.agents.values() if one.capabilities is not None and not one.mendable]
    if stay:
        text_ = (
            f"The capabilities of {len(stay):,} agents are no JSON, and their metadata cannot keep them: MAOS takes up"
        )
        text_ += " no agent that comes after one."
        yield _some(Severity.WARNING, "unparseable", text_, [f"agents/agents/{one.id}" for one in stay])


def _some(severity: Severity, kind: str, text_: str, affected: list[str]) -> Finding:
    return Finding(severity, kind, text_, affected=tuple(affected[:AFFECTED_MAX]), number=len(affected))
