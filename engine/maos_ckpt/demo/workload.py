"""The work of the sample MAOS after its start: coroutines that write through MAOS's methods at a steady total rate.

Each agent is driven by one coroutine only, as MAOS does it: two that append to one session lose each other's turns.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from maos_ckpt.demo import vocabulary as words
from maos_ckpt.demo.maos_access import Persistence
from maos_ckpt.demo.recorder import Recorder
from maos_ckpt.demo.story import MAX_AGENTS, Story
from maos_ckpt.demo.team import Member, Team, TeamBuilder

MAX_TURNS_PER_SESSION: Final = 80  # MAOS rewrites the whole history with each turn; a new session keeps that bounded
MAX_TASKS_PER_AGENT: Final = 40
MAX_LATE_S: Final = 1.0
SHUTDOWN_S: Final = 15.0  # three times MAOS's busy timeout


@dataclass(frozen=True)
class Pace:
    """How fast to write: calls per second in all, over so many coroutines, with or without new agents and tasks."""

    rate_per_s: float
    concurrency: int
    churn: bool


class Workload:
    """Drives the team until told to stop."""

    def __init__(
        self, persistence: Persistence, recorder: Recorder, story: Story, builder: TeamBuilder, team: Team, pace: Pace
    ) -> None:
        self._maos = persistence
        self._call = recorder.call
        self._recorder = recorder
        self._story = story
        self._builder = builder
        self._team = team
        self._pace = pace
        self._messages = 0
        self._cost = 0.0
        actions: list[tuple[int, Callable[[Member], Awaitable[object]]]] = [
            (32, self._turn),
            (26, self._message),
            (20, self._progress),
            (5, self._finish),
            (4, self._status),
            (5, self._orchestration),
            (3, self._checkpoint),
            (5, self._value),
        ]
        if pace.churn:
            actions += [(2, self._new_agent), (4, self._new_task)]
        self._weights = [weight for weight, _ in actions]
        self._actions = [action for _, action in actions]

    async def run(self, stop: asyncio.Event) -> None:
        """Writes until `stop` is set; lets the calls under way finish, SHUTDOWN_S at most."""
        count = min(self._pace.concurrency, len(self._team.members))
        drivers = [asyncio.create_task(self._drive(number, count, stop)) for number in range(count)]
        await stop.wait()
        done, hanging = await asyncio.wait(drivers, timeout=SHUTDOWN_S)
        for driver in hanging:
            driver.cancel()
            self._recorder.note_error("shutdown", TimeoutError(f"a call did not end within {SHUTDOWN_S:g} s"))
        for driver in done:
            failure = driver.exception()
            if failure is not None:
                self._recorder.note_error("driver", failure)

    async def _drive(self, number: int, count: int, stop: asyncio.Event) -> None:
        period_s = count / self._pace.rate_per_s
        due_s = time.monotonic() + period_s * number / count
        while not stop.is_set():
            late_s = time.monotonic() - due_s
            if late_s > MAX_LATE_S:  # stalled or stopped: go on at the rate, do not make up for it
                due_s += late_s
            elif late_s < 0 and await _set_within(stop, -late_s):
                return
            due_s += period_s
            await self.act(self._team.members[number::count])

    async def act(self, members: list[Member]) -> None:
        """One piece of work, now, of one of these members; most make one call."""
        action = self._story.rng.choices(self._actions, self._weights)[0]
        try:
            await action(self._story.rng.choice(members))
        except OSError as error:  # the transcript's file system, not MAOS
            self._recorder.note_error("transcript", error)

    async def _turn(self, member: Member) -> None:
        rng, story = self._story.rng, self._story
        if member.turns >= MAX_TURNS_PER_SESSION:
            member.session_id, member.turns = story.uuid(), 0
            member.transcript = self._builder.transcript(member.session_id)
            await self._builder.create_session(member)
        if rng.random() < 0.3:
            role, content = "user", story.ask()
            member.transcript.append_user(content)
        else:
            role, content = "assistant", story.answer()
            with member.transcript.batch():
                if rng.random() < 0.5:
                    used = member.transcript.append_tool_use(rng.choice(words.TOOLS), {"file_path": story.path()})
                    member.transcript.append_tool_result(used, story.code(), is_error=rng.random() < 0.05)
                member.transcript.append_assistant(content)
        turn = {"role": role, "content": content, "timestamp": datetime.now().isoformat()}
        cost = round(rng.uniform(0.002, 0.06), 6)
        self._cost += cost
        update = self._maos.update_session(member.session_id, turn, cost)
        await self._call("update_session", update, member.session_id, turn)
        member.turns += 1

    async def _message(self, member: Member) -> None:
        rng = self._story.rng
        receiver = None if rng.random() < 0.2 else rng.choice(self._team.members).agent_id
        kind = "broadcast" if receiver is None else rng.choice(words.MESSAGE_TYPES)
        text = self._story.message()
        message = self._maos.save_message(member.agent_id, receiver, text, kind)
        await self._call("save_message", message, member.agent_id, {"to": receiver, "message": text, "type": kind})
        self._messages += 1

    async def _progress(self, member: Member) -> None:
        if not member.progress:
            return await self._message(member)
        task = self._story.rng.choice(list(member.progress))
        before = member.progress[task]
        # a finished task is reopened by a review
        progress = 35.0 if before >= 100.0 else min(95.0, round(before + self._story.rng.uniform(1, 12), 1))
        member.progress[task] = progress
        update = self._maos.update_task_progress(task, progress, "in_progress")
        await self._call("update_task_progress", update, task, {"progress": progress, "status": "in_progress"})
        return None

    async def _finish(self, member: Member) -> None:
        if not member.progress:
            return await self._message(member)
        task = self._story.rng.choice(list(member.progress))
        member.progress[task] = 100.0
        result = {"success": True, "output": self._story.result()}
        await self._call("complete_task", self._maos.complete_task(task, result), task, result)
        return None

    async def _status(self, member: Member) -> None:
        status = self._story.rng.choices(("active", "paused", "inactive"), (8, 1, 1))[0]
        update = self._maos.update_agent_status(member.agent_id, status)
        await self._call("update_agent_status", update, member.agent_id, {"status": status})

    async def _orchestration(self, _member: Member) -> None:
        key, now = self._team.orchestration_id, datetime.now().isoformat()
        update = self._maos.update_orchestration(
            key,
            total_cost=round(self._cost, 6),
            last_updated=now,
            active_agents=len(self._team.members),
            message_count=self._messages,
        )
        await self._call("update_orchestration", update, key, {"last_updated": now, "message_count": self._messages})

    async def _checkpoint(self, member: Member) -> None:
        # the same name each time, under a new id: MAOS replaces the row
        name = f"Auto-save for {member.agent_id}"
        checkpoint_id = f"auto-{member.agent_id}-{int(time.time() * 1000)}"
        data = self._team.checkpoint_data()
        await self._call(
            "save_checkpoint", self._maos.save_checkpoint(checkpoint_id, name, data), name, {"id": checkpoint_id}
        )

    async def _value(self, member: Member) -> None:
        rng = self._story.rng
        slot = rng.randrange(6)
        if slot < 3:
            key = f"embedding:{member.agent_id}:{slot}"
            value: dict[str, object] = {"model": "text-embedding-3-small", "vector": self._story.vector(64)}
        else:
            key = f"{('memory', 'context', 'artifact')[slot - 3]}:{member.agent_id}"
            value = {"fact": self._story.message(), "confidence": round(rng.random(), 3), "source": self._story.path()}
        await self._call("save", self._maos.save(key, value), key, value)

    async def _new_agent(self, member: Member) -> None:
        if len(self._team.members) >= MAX_AGENTS:
            return await self._message(member)
        self._team.members.append(await self._builder.new_member())
        return None

    async def _new_task(self, member: Member) -> None:
        if len(member.progress) >= MAX_TASKS_PER_AGENT:
            return await self._message(member)
        await self._builder.subtask(member)
        return None


async def _set_within(event: asyncio.Event, timeout_s: float) -> bool:
    try:
        await asyncio.wait_for(event.wait(), timeout_s)
    except TimeoutError:
        return False
    return True
