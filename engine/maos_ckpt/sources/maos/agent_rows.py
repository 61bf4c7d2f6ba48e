"""A short look into a MAOS's database: its agents by status, and what tells whose process is whose.

One read transaction of some milliseconds without waiting for long, read-only: MAOS is never held up by it. The database
must not be open anywhere else in this process, since closing it here drops this process's locks on it.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from maos_ckpt.sources.sqlite.faults import is_busy

#: How long a lock of MAOS is waited for; its own transactions take milliseconds.
WAIT_S: Final = 0.2
#: How long the look may take before it is given up, in steps of SQLite's machine: some 0.1 s.
_STEPS_MAX: Final = 2_000_000
#: Agents that are matched with processes, the newest.
AGENTS_MAX: Final = 10_000

_STARTED = re.compile(r"session-.+-(\d{1,12})")


@dataclass(frozen=True, slots=True)
class AgentRow:
    """An agent as MAOS notes it. `started_s`: when MAOS started its process, in seconds since 1970; None if never."""

    id: str
    session: str
    process: str
    task: str
    started_s: int | None


@dataclass(slots=True)
class AgentRows:
    """`statuses`: agents by status. `agents`: the newest, in the order in which they came. `problem`: why it is
    empty."""

    statuses: dict[str, int] = field(default_factory=dict)
    agents: list[AgentRow] = field(default_factory=list)
    problem: str = ""


def read_agents(database: Path) -> AgentRows:
    """The agents of a live database; says in `problem` why they could not be read."""
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, timeout=WAIT_S)) as connection:
            connection.text_factory = lambda data: data.decode("utf-8", "replace")
            connection.set_progress_handler(lambda: 1, _STEPS_MAX)
            return _read(connection)
    except sqlite3.Error as error:
        if is_busy(error):
            return AgentRows(problem="its database is locked at the moment")
        return AgentRows(problem="its database cannot be read now")


def _read(connection: sqlite3.Connection) -> AgentRows:
    connection.execute("BEGIN")
    found = AgentRows({str(status): number for status, number in connection.execute(_STATUSES)})
    started: dict[str, int] = {}
    for agent, session in connection.execute(_SESSIONS, (AGENTS_MAX,)):
        match = _STARTED.fullmatch(str(session))
        if match is not None:
            started.setdefault(str(agent), int(match[1]))
    rows = connection.execute(_AGENTS, (AGENTS_MAX,)).fetchall()
    for name, session, process, task in reversed(rows):
        found.agents.append(AgentRow(str(name), _text(session), _text(process), _text(task), started.get(str(name))))
    return found


def _text(value: object) -> str:
    return "" if value is None else str(value)


_STATUSES: Final = "SELECT coalesce(status, ''), count(*) FROM agents GROUP BY 1 ORDER BY 1"
_SESSIONS: Final = "SELECT agent_id, session_id FROM sessions ORDER BY rowid DESC LIMIT ?"
_AGENTS: Final = (
    "SELECT id, session_id, process_id, CASE WHEN json_valid(metadata) THEN json_extract(metadata, '$.task') END"
    " FROM agents ORDER BY rowid DESC LIMIT ?"
)
