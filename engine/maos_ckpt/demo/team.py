"""The team of the sample MAOS: made anew in an empty directory, taken over where a former run left one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from maos_ckpt.demo import vocabulary as words
from maos_ckpt.demo.maos_access import Persistence
from maos_ckpt.demo.recorder import Recorder
from maos_ckpt.demo.story import Role, Story
from maos_ckpt.demo.transcripts import TranscriptWriter

SUBTASKS_PER_AGENT: Final = 3
FIRST_TURNS: Final = 2
FIRST_MESSAGES_PER_AGENT: Final = 2
MAX_ADOPTED_TASKS: Final = 5_000


@dataclass
class Member:
    """An agent at work, as its driver in this process remembers it (a recovery does not change this memory)."""

    agent_id: str
    kind: str
    name: str
    mission: str
    session_id: str
    transcript: TranscriptWriter
    turns: int = 0
    progress: dict[str, float] = field(default_factory=dict)


@dataclass
class Team:
    """All members and the orchestration they belong to."""

    orchestration_id: str
    request: str
    members: list[Member]

    def checkpoint_data(self) -> dict[str, object]:
        """What an orchestrator that fills MAOS's checkpoint fields would store."""
        sessions = {member.agent_id: member.session_id for member in self.members}
        tasks = {
            task: {"agent": member.agent_id, "progress": progress}
            for member in self.members
            for task, progress in member.progress.items()
        }
        state = {"orchestration_id": self.orchestration_id, "request": self.request, "agents": list(sessions)}
        return {"orchestrator_state": state, "agent_sessions": sessions, "task_states": tasks}


class TeamBuilder:
    """Makes the first state through MAOS's own methods, timed by the recorder."""

    def __init__(
        self, persistence: Persistence, recorder: Recorder, story: Story, claude_home: Path, directory: Path
    ) -> None:
        self._maos = persistence
        self._call = recorder.call
        self._story = story
        self._home = claude_home
        self._cwd = str(directory)

    def transcript(self, session_id: str) -> TranscriptWriter:
        """The writer of the transcript that belongs to `session_id`."""
        return TranscriptWriter(self._home, self._cwd, session_id, rng=self._story.rng, git_branch="feature/payments")

    async def create(self, count: int) -> Team:
        """A new team of `count` agents with tasks, sessions, messages, an orchestration and checkpoints.

        The calls of a phase are started together: MAOS's coroutines share one connection, so that the first commit of
        a phase carries all of it, and the whole costs a handful of fsyncs.
        """
        story, orchestration_id, root = self._story, self._story.uuid(), self._story.uuid()
        team = Team(orchestration_id, story.request(), [self._member(role) for role in story.roles(count)])
        ids = [member.agent_id for member in team.members]
        batches = [ids[0::2], ids[1::2]] if count > 1 else [ids]
        await asyncio.gather(
            self._task(root, team.request, None, ids),
            *(self.create_agent(member) for member in team.members),
        )
        await asyncio.gather(
            self._call(
                "save_orchestration",
                self._maos.save_orchestration(
                    orchestration_id, team.request, ids, batches, "running", {"root_task": root}
                ),
                orchestration_id,
                {"request": team.request, "agents": ids},
            ),
            *(
                self._task(f"task-{member.agent_id}", member.mission, root, [member.agent_id])
                for member in team.members
            ),
            *(self.create_session(member) for member in team.members),
        )
        await asyncio.gather(*(self._first_work(team, member) for member in team.members), self._first_values(team))
        return team

    async def adopt(self, count: int) -> Team | None:
        """The team found in the database, `count` agents at most; None when there is none."""
        found = await self._maos.execute_query(
            "SELECT id, type, name, session_id FROM agents WHERE session_id NOT NULL ORDER BY created_at, id LIMIT ?",
            [count],
        )
        if not found:
            return None
        rows = await self._maos.execute_query(
            "SELECT id, assigned_agents, progress FROM tasks WHERE parent_task_id IS NOT NULL LIMIT ?",
            [MAX_ADOPTED_TASKS],
        )
        members: list[Member] = []
        for agent in found:
            session_id = str(agent["session_id"])
            member = Member(
                str(agent["id"]),
                str(agent["type"]),
                str(agent["name"]),
                "Continue where you left off",
                session_id,
                self.transcript(session_id),
            )
            member.progress = {
                str(row["id"]): _number(row["progress"])
                for row in rows
                if json.dumps(member.agent_id) in str(row["assigned_agents"])
            }
            members.append(member)
        orchestrations = await self._maos.execute_query("SELECT id, request FROM orchestrations LIMIT 1", [])
        known: Mapping[str, object] = orchestrations[0] if orchestrations else {"id": "none", "request": "Continue"}
        return Team(str(known["id"]), str(known["request"]), members)

    async def create_agent(self, member: Member) -> None:
        """INSERTs the agent row of `member`."""
        await self._call(
            "create_agent",
            self._maos.create_agent(member.agent_id, member.name, member.kind, [member.kind], {"task": member.mission}),
            member.agent_id,
            {"name": member.name},
        )

    async def create_session(self, member: Member) -> None:
        """INSERTs a session row under the id of the transcript and points the agent to it."""
        await self._call(
            "create_session",
            self._maos.create_session(member.session_id, member.agent_id, member.mission),
            member.session_id,
            {"agent": member.agent_id},
        )
        await self._call(
            "update_agent_session",
            self._maos.update_agent_session(member.agent_id, member.session_id, self._story.uuid()),
            member.agent_id,
            {"session": member.session_id},
        )

    async def new_member(self) -> Member:
        """A further agent with a task and a session (used with --churn only)."""
        member = self._member(self._story.rng.choice(self._story.roles(12)))
        await self.create_agent(member)
        await self._task(f"task-{member.agent_id}", member.mission, None, [member.agent_id])
        await self.create_session(member)
        return member

    def _member(self, role: Role) -> Member:
        agent_id, session_id = self._story.agent_id(role.kind), self._story.uuid()
        member = Member(agent_id, role.kind, role.name, role.mission, session_id, self.transcript(session_id))
        member.progress[f"task-{agent_id}"] = 0.0
        return member

    async def subtask(self, member: Member) -> None:
        """A further task of `member`, below its main one."""
        task_id = self._story.uuid()
        member.progress[task_id] = 0.0
        await self._task(task_id, self._story.subtask(), f"task-{member.agent_id}", [member.agent_id])

    async def _task(self, task_id: str, description: str, parent: str | None, agents: list[str]) -> None:
        call = self._maos.create_task(task_id, description, parent, agents)
        await self._call("create_task", call, task_id, {"description": description, "parent": parent})

    async def _first_work(self, team: Team, member: Member) -> None:
        story = self._story
        answers = [story.answer() for _ in range(FIRST_TURNS)]
        with member.transcript.batch():
            member.transcript.append_user(member.mission)
            tool_use_id = member.transcript.append_tool_use("Read", {"file_path": story.path()})
            member.transcript.append_tool_result(tool_use_id, story.code())
            for answer in answers:
                member.transcript.append_assistant(answer)
            member.transcript.append_summary(member.mission)
        for _ in range(SUBTASKS_PER_AGENT):
            await self.subtask(member)
        for answer in answers:
            turn = {"role": "assistant", "content": answer, "timestamp": datetime.now().isoformat()}
            cost = round(story.rng.uniform(0.002, 0.06), 6)
            update = self._maos.update_session(member.session_id, turn, cost)
            await self._call("update_session", update, member.session_id, turn)
            member.turns += 1
        for _ in range(FIRST_MESSAGES_PER_AGENT):
            receiver = story.rng.choice(team.members).agent_id
            text, kind = story.message(), story.rng.choice(words.MESSAGE_TYPES)
            message = self._maos.save_message(member.agent_id, receiver, text, kind)
            await self._call("save_message", message, member.agent_id, {"to": receiver, "message": text, "type": kind})

    async def _first_values(self, team: Team) -> None:
        short = team.orchestration_id[:8]
        name, data = f"orchestration_{short}", team.checkpoint_data()
        await self._call("save_checkpoint", self._maos.save_checkpoint(team.orchestration_id, name, data), name, data)
        for member in team.members[:4]:
            key = f"embedding:{member.agent_id}:0"
            value = {"model": "text-embedding-3-small", "vector": self._story.vector(64)}
            await self._call("save", self._maos.save(key, value), key, {})
        context = {"request": team.request, "branch": "feature/payments", "decision": self._story.answer()}
        await self._call("save", self._maos.save(f"context:{short}", context), f"context:{short}", context)


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
