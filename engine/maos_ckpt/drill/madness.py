"""What an agent that went mad does to a MAOS, and which records it did it to."""

from __future__ import annotations

import glob
import os
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path

from maos_ckpt.codec.values import display_key, encode_key
from maos_ckpt.drill.checks import reading
from maos_ckpt.drill.faults import corrupt_transcripts, scribbling

#: Records of one kind that it gets at; each is a pattern of the selection, and every pattern is looked for.
RECORDS_MAX = 8
_BAD_JSON = '{"plan": ["obey"'


@dataclass(slots=True)
class Deeds:
    """`agent` (untrusted text) and the records that it broke, as patterns of a selection."""

    agent: str
    other: str | None
    patterns: list[str] = field(default_factory=list)

    def name(self, collection: str, *key: str | int) -> None:
        """Note a record."""
        # Nothing in a key may act as a wildcard: only what the agent broke is put back.
        self.patterns.append(f"{collection}/{glob.escape(display_key(encode_key(key)))}")


def choose(database: Path) -> Deeds | None:
    """The agent with the most messages, and another one that stays sane; None where there are no agents."""
    with reading(database) as connection:
        found = connection.execute(
            "SELECT id FROM agents LEFT JOIN (SELECT from_agent, count(*) AS sent FROM messages GROUP BY from_agent) "
            "ON from_agent = id WHERE typeof(id) = 'text' AND id <> '' ORDER BY coalesce(sent, 0) DESC, id LIMIT 2"
        ).fetchall()
    if not found:
        return None
    return Deeds(found[0][0], found[1][0] if len(found) > 1 else None)


def work_on(database: Path, agent: str) -> None:
    """What another agent does after the checkpoint, and must not lose: progress, and a message."""
    with scribbling(database) as connection:
        connection.execute("UPDATE agents SET status = 'drill: at work' WHERE id = ?", (agent,))
        connection.execute(
            "INSERT INTO messages (from_agent, to_agent, message) VALUES (?, ?, 'drill: sent after the checkpoint')",
            (agent, agent),
        )


def go_mad(database: Path, projects: Path, deeds: Deeds) -> str:
    """Let the agent loose; one sentence about what it did."""
    with scribbling(database) as connection:
        session = _itself(connection, deeds)
        tasks = _tasks(connection, deeds)
        messages = _messages(connection, deeds)
        sessions = _sessions(connection, deeds)
    paths = [one for one in sorted(projects.rglob("*.jsonl")) if session and one.stem == session][:RECORDS_MAX]
    corrupt_transcripts(paths)
    for one in paths:
        path = os.fspath(one.relative_to(projects))
        deeds.patterns.append(f"memory/transcripts/{glob.escape(display_key(encode_key((path,))))}/*")
    return (
        f"One agent wrote broken JSON into its own row, {tasks} tasks and {sessions} conversations, deleted or"
        f" rewrote {messages} messages, and cut {len(paths)} transcripts."
    )


def _itself(connection: sqlite3.Connection, deeds: Deeds) -> str:
    (session,) = connection.execute("SELECT session_id FROM agents WHERE id = ?", (deeds.agent,)).fetchone()
    connection.execute(
        "UPDATE agents SET status = 'mad', metadata = ?, capabilities = ? WHERE id = ?",
        (_BAD_JSON, _BAD_JSON, deeds.agent),
    )
    deeds.name("agents/agents", deeds.agent)
    return session if isinstance(session, str) else ""


def _tasks(connection: sqlite3.Connection, deeds: Deeds) -> int:
    found = connection.execute(
        "SELECT id FROM tasks WHERE typeof(id) = 'text' AND (id = ? OR instr(assigned_agents, ?)) LIMIT ?",
        (f"task-{deeds.agent}", f'"{deeds.agent}"', RECORDS_MAX),
    ).fetchall()
    for (one,) in found:
        connection.execute(
            "UPDATE tasks SET status = 'failed', description = 'obey', result = ? WHERE id = ?", (_BAD_JSON, one)
        )
        deeds.name("tasks/tasks", one)
    return len(found)


def _messages(connection: sqlite3.Connection, deeds: Deeds) -> int:
    found = connection.execute(
        "SELECT id FROM messages WHERE from_agent = ? ORDER BY id LIMIT ?", (deeds.agent, RECORDS_MAX)
    ).fetchall()
    for number, (one,) in enumerate(found):
        if number % 2:
            connection.execute("DELETE FROM messages WHERE id = ?", (one,))
        else:
            connection.execute("UPDATE messages SET message = 'obey', to_agent = NULL WHERE id = ?", (one,))
        deeds.name("queue/messages", one)
    return len(found)


def _sessions(connection: sqlite3.Connection, deeds: Deeds) -> int:
    found = connection.execute(
        "SELECT session_id FROM sessions WHERE agent_id = ? AND typeof(session_id) = 'text' LIMIT ?",
        (deeds.agent, RECORDS_MAX),
    ).fetchall()
    for (one,) in found:
        connection.execute(
            "UPDATE sessions SET conversation_history = '[', turn_count = -1 WHERE session_id = ?", (one,)
        )
        deeds.name("memory/sessions", one)
    return len(found)
