"""Rows of a believable MAOS database, a unit of about one mebibyte at a time, from a seed alone."""

from __future__ import annotations

import base64
import json
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from maos_ckpt.demo import vocabulary as words
from tests.lab.prose import Prose
from tests.lab.schemas import COLUMNS

Row = tuple[object, ...]

UNIT_BYTES: Final = 1 << 20
AGENTS_PER_UNIT: Final = 40
SUBTASKS_PER_UNIT: Final = 170
MESSAGES_PER_UNIT: Final = 880
CHECKPOINTS_PER_UNIT: Final = 14
ORCHESTRATIONS_PER_UNIT: Final = 9
VALUES_PER_UNIT: Final = 25
MAX_REMEMBERED: Final = 2_000
MAX_TRANSCRIPTS: Final = 256
LOCAL_OFFSET: Final = timedelta(hours=2)  # MAOS mixes UTC and local times in one row; so does this
EPOCH: Final = datetime(2025, 9, 1, 6, 0, 0, tzinfo=UTC)


@dataclass(frozen=True)
class AgentRef:
    """What other rows need to know of an agent."""

    agent_id: str
    kind: str
    session_id: str
    task: str


class Rows:
    """Draws units of rows for all tables. References always point to rows drawn before; memory stays bounded."""

    def __init__(self, seed: int) -> None:
        self._prose = Prose(seed)
        self._rng = self._prose.rng
        self._now = EPOCH
        self._recent: deque[AgentRef] = deque(maxlen=MAX_REMEMBERED)
        self._message_id = 0
        self.first_agents: list[AgentRef] = []

    def unit(self, scale: float, *, large_sessions: bool = True) -> dict[str, list[Row]]:
        """The rows of about `scale` mebibytes of database, by table; the first unit holds one of each at least."""
        drawn: dict[str, list[Row]] = {table: [] for table in COLUMNS}
        at_least = 0 if self._recent else 1
        for _ in range(self._count(AGENTS_PER_UNIT * scale, at_least)):
            agent = self._agent(drawn)
            self._sessions(drawn, agent, large_sessions)
            self._tasks(drawn, agent, self._count(SUBTASKS_PER_UNIT / AGENTS_PER_UNIT, at_least))
        if self._recent:
            drawn["messages"] += [self._message() for _ in range(self._count(MESSAGES_PER_UNIT * scale, at_least))]
            drawn["checkpoints"] += [
                self._checkpoint() for _ in range(self._count(CHECKPOINTS_PER_UNIT * scale, at_least))
            ]
            drawn["orchestrations"] += [
                self._orchestration() for _ in range(self._count(ORCHESTRATIONS_PER_UNIT * scale, at_least))
            ]
            drawn["key_value_store"] += [self._value() for _ in range(self._count(VALUES_PER_UNIT * scale, at_least))]
        return drawn

    def _count(self, expected: float, at_least: int) -> int:
        whole = int(expected)
        return max(at_least, whole + (self._rng.random() < expected - whole))

    def _tick(self) -> datetime:
        self._now += timedelta(microseconds=self._rng.randrange(40_000, 900_000))
        return self._now

    def _utc(self) -> str:
        return self._tick().strftime("%Y-%m-%d %H:%M:%S")

    def _local(self) -> str:
        return (self._tick() + LOCAL_OFFSET).replace(tzinfo=None).isoformat()

    def _some_agents(self, count: int) -> list[AgentRef]:
        return [self._recent[self._rng.randrange(len(self._recent))] for _ in range(count)]

    def _agent(self, drawn: dict[str, list[Row]]) -> AgentRef:
        rng = self._rng
        kind = rng.choice(words.AGENT_TYPES)
        agent = AgentRef(f"{kind}-{rng.getrandbits(32):08x}", kind, self._prose.uuid(), self._prose.text(1))
        self._recent.append(agent)
        if len(self.first_agents) < MAX_TRANSCRIPTS:
            self.first_agents.append(agent)
        status = rng.choices(("active", "inactive", "completed", "failed", "paused"), (30, 25, 35, 6, 4))[0]
        process = self._prose.uuid() if status == "active" else None
        drawn["agents"].append(
            (
                agent.agent_id,
                agent.agent_id,
                kind,
                agent.session_id,
                process,
                status,
                f'["{kind}"]',
                self._utc(),
                self._local(),
                f'{{"task": "{agent.task}"}}',
            )
        )
        return agent

    def _sessions(self, drawn: dict[str, list[Row]], agent: AgentRef, large: bool) -> None:
        rng = self._rng
        if rng.random() < 0.2:
            drawn["sessions"].append(
                (
                    f"session-{agent.agent_id}-pending",
                    agent.agent_id,
                    agent.task,
                    None,
                    0,
                    0.0,
                    "active",
                    self._utc(),
                    self._local(),
                )
            )
        if large and rng.random() < 0.013:
            size_bytes = rng.randrange(100_000, 320_000)
        else:
            size_bytes = min(30_000, 800 + int(rng.expovariate(1 / 6_200)))
        turns: list[str] = []
        while size_bytes > 0:
            turn = self.turn("user" if len(turns) % 2 == 0 else "assistant")
            turns.append(turn)
            size_bytes -= len(turn)
        drawn["sessions"].append(
            (
                agent.session_id,
                agent.agent_id,
                agent.task,
                f"[{', '.join(turns)}]",
                len(turns),
                round(rng.uniform(0.002, 0.06) * len(turns), 6),
                rng.choice(("active", "completed", "completed")),
                self._utc(),
                self._local(),
            )
        )

    def turn(self, role: str) -> str:
        """One turn of a conversation, as json.dumps writes it."""
        rng = self._rng
        content = self._prose.text(rng.randrange(2, 7) if role == "user" else rng.randrange(6, 30))
        if role == "assistant" and rng.random() < 0.2:
            stem, name = rng.choice(words.STEMS), rng.choice(words.STEMS)
            content += (
                f"\\n\\n```python\\ndef {stem}_{name}(amount_minor: int, key: str) -> str:\\n"
                f"    if amount_minor > {rng.randrange(100, 99_999)}:\\n        raise {stem.title()}Error(key)\\n"
                f"    return f'{name}:{{key}}:{rng.getrandbits(32):08x}'\\n```"
            )
        return f'{{"role": "{role}", "content": "{content}", "timestamp": "{self._local()}"}}'

    def _tasks(self, drawn: dict[str, list[Row]], agent: AgentRef, subtasks: int) -> None:
        root = f"task-{agent.agent_id}"
        children = [self._prose.uuid() for _ in range(subtasks)]
        drawn["tasks"].append(self._task(root, None, agent.task, [agent.agent_id], children))
        for child in children:
            # decomposers assign agent types instead of ids: real data is dirty in exactly this way
            assigned = [agent.agent_id] if self._rng.random() < 0.8 else [self._rng.choice(words.AGENT_TYPES)]
            drawn["tasks"].append(self._task(child, root, self._prose.text(1), assigned, []))

    def _task(self, task_id: str, parent: str | None, text: str, assigned: list[str], children: list[str]) -> Row:
        rng = self._rng
        status = rng.choices(("completed", "in_progress", "pending", "failed"), (55, 20, 20, 5))[0]
        done = status == "completed"
        output = self._prose.sized(rng.randrange(90, 420)) if done else ""
        return (
            task_id,
            parent,
            text,
            status,
            json.dumps(assigned),
            json.dumps(children) if children else None,
            100.0 if done else float(rng.randrange(0, 95)) if status == "in_progress" else 0.0,
            f'{{"success": true, "output": "{output}"}}' if done else None,
            self._utc(),
            None if status == "pending" else self._local(),
            self._local() if done else None,
        )

    def _message(self) -> Row:
        rng = self._rng
        sender, receiver = self._some_agents(2)
        broadcast = rng.random() < 0.2
        text = self._prose.text(1 if rng.random() < 0.5 else rng.randrange(2, 5))
        if rng.random() < 0.03:
            text = f"✅ {text} → «{rng.choice(words.NOUNS)}»"
        self._message_id += 1
        kind = "broadcast" if broadcast else rng.choice(words.MESSAGE_TYPES)
        to_agent = None if broadcast else receiver.agent_id
        return (self._message_id, sender.agent_id, to_agent, text, kind, self._utc(), int(rng.random() < 0.1))

    def _checkpoint(self) -> Row:
        rng = self._rng
        short = f"{rng.getrandbits(32):08x}"
        agents = self._some_agents(rng.randrange(4, 13))
        name = rng.choice((f"auto-{short}-{self._tick():%H%M%S}", f"orchestration_{short}", f"Auto-save for {short}"))
        if rng.random() < 0.15:  # what MAOS itself stores
            return (self._prose.uuid(), name, "", "{}", "{}", "{}", "[]", self._utc())
        state = {
            "orchestration": self._prose.uuid(),
            "phase": rng.choice(("plan", "build", "review")),
            "pending": len(agents),
        }
        tasks = {
            f"task-{a.agent_id}": {
                "agent": a.agent_id,
                "status": "in_progress",
                "progress": rng.randrange(100),
                "task": a.task,
            }
            for a in agents
        }
        history = [
            {"from": a.agent_id, "to": None, "message": self._prose.text(2), "timestamp": self._utc()}
            for a in agents * 2
        ]
        return (
            self._prose.uuid(),
            name,
            self._prose.text(1),
            json.dumps(state),
            json.dumps({a.agent_id: a.session_id for a in agents}),
            json.dumps(tasks),
            json.dumps(history),
            self._utc(),
        )

    def _orchestration(self) -> Row:
        rng = self._rng
        agents = [a.agent_id for a in self._some_agents(rng.randrange(3, 10))]
        done = rng.random() < 0.7
        cut = rng.randrange(1, len(agents))
        return (
            self._prose.uuid(),
            f"{rng.choice(words.REQUESTS)}. {self._prose.text(3)}",
            "completed" if done else "running",
            json.dumps(agents),
            json.dumps([agents[:cut], agents[cut:]]),
            round(rng.uniform(0.1, 9.0), 6),
            rng.randrange(20_000, 3_600_000) if done else 0,
            len(agents) - rng.randrange(2) if done else 0,
            len(agents),
            self._local(),
            self._local() if done else None,
            self._prose.text(8) if done else None,
            json.dumps({"branch": f"feature/{rng.choice(words.STEMS)}-{rng.getrandbits(24):06x}", "approved": done}),
        )

    def _value(self) -> Row:
        rng = self._rng
        agent = self._some_agents(1)[0].agent_id
        serial = f"{rng.getrandbits(40):010x}"
        shape = rng.random()
        if shape < 0.5:
            vector = self._prose.vector(rng.choice((256, 256, 384)))
            key, value = f"embedding:{agent}:{serial}", f'{{"model": "text-embedding-3-small", "vector": {vector}}}'
        elif shape < 0.7:
            data = base64.b64encode(rng.randbytes(rng.randrange(900, 4_000))).decode("ascii")
            key, value = f"artifact:{serial}", f'{{"encoding": "base64", "data": "{data}"}}'
        elif shape < 0.85:
            key, value = f"context:{agent}:{serial}", f'{{"text": "{self._prose.sized(rng.randrange(1_000, 6_000))}"}}'
        else:
            key, value = f"memory:{agent}:{serial}", json.dumps({"fact": self._prose.text(2), "weight": rng.random()})
        return (key, value, self._local())
