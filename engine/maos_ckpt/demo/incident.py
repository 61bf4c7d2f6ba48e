"""An incident to recover from: an agent gone mad damages its tasks, those of others, the queue and its own memory.

`python -m maos_ckpt.demo.incident --dir DIR --claude-home DIR [--kind tasks|memory|queue] [--seed N]` works through
maos-cli's own classes, beside a running MAOS if need be, and prints one JSON document that names all it damaged. The
same state and seed give the same damage. Exit codes: 0 done, 1 nothing to damage or MAOS failed, 2 wrong usage or
maos-cli is missing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from maos_ckpt.demo import vocabulary as words
from maos_ckpt.demo.maos_access import DATABASE_NAME, MISSING_EXIT_CODE, MaosMissingError, Persistence, open_persistence
from maos_ckpt.demo.transcripts import TranscriptWriter, transcript_path

KINDS: Final = ("tasks", "memory", "queue")
MAX_OTHERS_CANCELLED: Final = 4
MAX_AGENTS_READ: Final = 100_000
MAX_TASKS_READ: Final = 500_000
MIN_TASKS_TO_LOSE: Final = 3
MESSAGES_EDITED: Final = 10
SPAM_MESSAGES: Final = {"tasks": 5, "memory": 0, "queue": 40}
NONSENSE_TURNS: Final = 2


class NothingToDamageError(Exception):
    """The database holds no agent with tasks of its own."""


@dataclass
class Damage:
    """What was damaged, by ids. Transcripts are named by path, with their size before in bytes."""

    kind: str
    seed: int
    agent_id: str
    tasks: list[str] = field(default_factory=list)
    tasks_of_others_cancelled: list[str] = field(default_factory=list)
    messages_added: list[int] = field(default_factory=list)
    messages_overwritten: list[int] = field(default_factory=list)
    sessions: list[str] = field(default_factory=list)
    transcripts: dict[str, int] = field(default_factory=dict)


class RogueAgent:
    """One agent of the database, chosen by seed, and the damage it does."""

    def __init__(self, persistence: Persistence, directory: Path, claude_home: Path, kind: str, seed: int) -> None:
        self._maos = persistence
        self._cwd = str(directory)
        self._home = claude_home
        self._rng = random.Random(f"maos demo incident {seed}")
        self._damage = Damage(kind, seed, "")
        self._session_id = ""

    async def run(self) -> Damage:
        """Does all of it; raises NothingToDamageError before any damage, and whatever MAOS raises."""
        own, others = await self._choose()
        if self._damage.kind == "tasks":
            await self._damage_tasks(own, others)
        if self._damage.kind == "queue":
            await self._overwrite_messages()
        await self._spam(SPAM_MESSAGES[self._damage.kind])
        if self._damage.kind != "queue":
            await self._damage_session()
            self._damage_transcript()
        return self._damage

    async def _choose(self) -> tuple[list[str], list[str]]:
        agents = await self._maos.execute_query(
            "SELECT id, session_id FROM agents ORDER BY id LIMIT ?", [MAX_AGENTS_READ]
        )
        rows = await self._maos.execute_query(
            "SELECT id, assigned_agents FROM tasks ORDER BY id LIMIT ?", [MAX_TASKS_READ]
        )
        by_agent: dict[str, list[str]] = {}
        for row in rows:
            assigned = _json_list(row["assigned_agents"])
            if len(assigned) == 1:
                by_agent.setdefault(assigned[0], []).append(str(row["id"]))
        # one with something to lose, where there is such a one: the damage should be worth a look
        enough = min(MIN_TASKS_TO_LOSE, max(map(len, by_agent.values()), default=1))
        candidates = [agent for agent in agents if len(by_agent.get(str(agent["id"]), ())) >= enough]
        if not candidates:
            raise NothingToDamageError("there is no agent with tasks of its own in this database")
        rogue = self._rng.choice(candidates)
        self._damage.agent_id = str(rogue["id"])
        self._session_id = str(rogue["session_id"] or "")
        others = [task for agent, tasks in sorted(by_agent.items()) if agent != rogue["id"] for task in tasks]
        return by_agent[self._damage.agent_id], others

    async def _damage_tasks(self, own: list[str], others: list[str]) -> None:
        async with self._maos.transaction() as connection:
            for task in own:
                await connection.execute("UPDATE tasks SET description = ? WHERE id = ?", (self._nonsense(), task))
        for task in own:
            await self._maos.complete_task(task, {"success": False, "output": self._nonsense()})
            await self._maos.update_task_progress(task, 0.0, "failed")
        self._damage.tasks = own
        cancelled = sorted(self._rng.sample(others, min(MAX_OTHERS_CANCELLED, len(others))))
        for task in cancelled:
            await self._maos.update_task_progress(task, 0.0, "cancelled")
        self._damage.tasks_of_others_cancelled = cancelled

    async def _overwrite_messages(self) -> None:
        rows = await self._maos.execute_query("SELECT id FROM messages ORDER BY id DESC LIMIT ?", [4 * MESSAGES_EDITED])
        known = sorted(int(str(row["id"])) for row in rows)
        chosen = sorted(self._rng.sample(known, min(MESSAGES_EDITED, len(known))))
        async with self._maos.transaction() as connection:
            for number in chosen:
                await connection.execute("UPDATE messages SET message = ? WHERE id = ?", (self._nonsense(), number))
        self._damage.messages_overwritten = chosen

    async def _spam(self, count: int) -> None:
        for _ in range(count):
            number = await self._maos.save_message(self._damage.agent_id, None, self._nonsense(), "broadcast")
            self._damage.messages_added.append(number)

    async def _damage_session(self) -> None:
        if not self._session_id:
            return
        turns = [
            {"role": "assistant", "content": self._nonsense(), "timestamp": datetime.now().isoformat()}
            for _ in range(NONSENSE_TURNS)
        ]
        async with self._maos.transaction() as connection:
            cursor = await connection.execute(
                "UPDATE sessions SET conversation_history = ?, turn_count = ?, updated_at = ? WHERE session_id = ?",
                (json.dumps(turns), len(turns), datetime.now().isoformat(), self._session_id),
            )
            if cursor.rowcount:
                self._damage.sessions.append(self._session_id)

    def _damage_transcript(self) -> None:
        path = transcript_path(self._home, self._cwd, self._session_id)
        if not self._session_id or not path.exists():
            return
        before = path.read_bytes()
        lines = before.splitlines(keepends=True)
        os.truncate(path, sum(len(line) for line in lines[: len(lines) // 3]))
        writer = TranscriptWriter(self._home, self._cwd, self._session_id, rng=self._rng)
        for _ in range(NONSENSE_TURNS):
            writer.append_assistant(self._nonsense())
        self._damage.transcripts[str(path)] = len(before)

    def _nonsense(self) -> str:
        rng = self._rng
        cries = ("KEEP GOING", "all of it is done", "ignore the plan", "rm the rm the rm", "42 42 42", "trust no tests")
        parts = [
            rng.choice((rng.choice(cries), rng.choice(words.NOUNS).upper(), rng.choice(words.VERBS))) for _ in range(9)
        ]
        return f"{' '.join(parts)} #{rng.getrandbits(32):08x}"


def _json_list(text: object) -> list[str]:
    try:
        found = json.loads(text) if isinstance(text, str) else []
    except ValueError:
        return []
    return [str(item) for item in found] if isinstance(found, list) else []


async def _run(persistence: Persistence, rogue: RogueAgent) -> Damage:
    try:
        await persistence.initialize()
        return await rogue.run()
    finally:
        await persistence.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m maos_ckpt.demo.incident", description="An agent gone mad.")
    parser.add_argument("--dir", type=Path, required=True, help="MAOS working directory; it must hold maos.db")
    parser.add_argument("--claude-home", type=Path, required=True, help="home of the transcripts, as ~/.claude")
    parser.add_argument("--kind", choices=KINDS, default="tasks")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    directory = options.dir.resolve()
    database = directory / DATABASE_NAME
    if not database.is_file():
        parser.error(f"there is no {DATABASE_NAME} in {directory}")
    try:
        persistence = open_persistence(database)
    except MaosMissingError as error:
        sys.stderr.write(f"{error}\n")
        return MISSING_EXIT_CODE
    rogue = RogueAgent(persistence, directory, options.claude_home.resolve(), options.kind, options.seed)
    try:
        damage = asyncio.run(_run(persistence, rogue))
    except Exception as error:  # noqa: BLE001 — MAOS raises classes of its own; the operator gets one sentence
        sys.stderr.write(f"The incident did not go through: {type(error).__name__}: {error}\n")
        return 1
    sys.stdout.write(json.dumps(asdict(damage), indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
