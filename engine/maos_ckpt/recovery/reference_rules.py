"""What a record of a MAOS refers to, and what can be wrong with a record by itself.

SQLite enforces four of MAOS's references; the others stand in JSON, in parts of ids and in file names. Real data is
already dirty (a shipped database has dangling references of most kinds), so nothing here judges a state: callers
compare a state before with a state after.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple, Protocol

from maos_ckpt.model import Value


class Values(Protocol):
    """A record's values by column name, keys included."""

    def get(self, name: str) -> Value:
        """A column's value; None where there is no such column."""
        ...


#: Where a reference to a conversation leads: a row of `sessions`, or a transcript of that name.
CONVERSATIONS: Final = "conversations"
#: The tables of a MAOS that are referred to, and the component and collection of each.
COLLECTIONS: Final[dict[str, tuple[str, str]]] = {
    "agents": ("agents", "agents"),
    "tasks": ("tasks", "tasks"),
    "sessions": ("memory", "sessions"),
    "orchestrations": ("system", "orchestrations"),
}
#: Where a reference to a conversation may find it.
_CONVERSATION_PLACES: Final = (CONVERSATIONS, "sessions")
#: The collections that may refer to a record of a table.
REFERRING: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "agents": (
        ("memory", "sessions"),
        ("queue", "messages"),
        ("tasks", "tasks"),
        ("system", "orchestrations"),
        ("system", "checkpoints"),
    ),
    "tasks": (("tasks", "tasks"), ("system", "checkpoints")),
    "sessions": (("agents", "agents"), ("system", "checkpoints")),
    CONVERSATIONS: (("agents", "agents"), ("system", "checkpoints")),
    "orchestrations": (("system", "checkpoints"),),
}
#: References that SQLite enforces: they must not dangle.
HARD: Final = frozenset(("sessions.agent_id", "messages.from_agent", "messages.to_agent", "tasks.parent_task_id"))
#: JSON text that is parsed in one plan; beyond it records are not looked into.
JSON_BYTES_MAX: Final = 32 << 20

#: `<type>-<8 hex digits>`: what tells an agent's id from an agent's type, both of which stand in the same lists.
AGENT_ID = re.compile(r".+-[0-9a-f]{8}")
_SESSION_ID = re.compile(r"session-(.+)-(?:pending|\d+)")
MESSAGE_TYPES = frozenset(
    ("info", "request", "response", "broadcast", "coordination", "error", "discovery", "dependency")
)
#: What a task is that somebody works on, by those who write to MAOS's tables.
RUNNING_TASK: Final = frozenset(("active", "assigned", "in_progress", "retrying", "running", "started"))
_JSON_COLUMNS: Final = {
    "agents": ("capabilities", "metadata"),
    "sessions": ("conversation_history",),
    "tasks": ("assigned_agents", "subtasks", "result"),
    "orchestrations": ("agents", "batches", "metadata"),
    "checkpoints": ("orchestrator_state", "agent_sessions", "task_states", "message_history"),
}
_BAD: Final = object()

#: References that are a column's whole value: (column, check, table), by table.
PLAIN: Final[dict[str, tuple[tuple[str, str, str], ...]]] = {
    "agents": (("session_id", "agents.session_id", CONVERSATIONS),),
    "sessions": (("agent_id", "sessions.agent_id", "agents"),),
    "messages": (("from_agent", "messages.from_agent", "agents"), ("to_agent", "messages.to_agent", "agents")),
    "tasks": (("parent_task_id", "tasks.parent_task_id", "tasks"),),
}


class Reference(NamedTuple):
    """A record's reference: `check` names its kind, `table` where it leads, `id` to which record."""

    check: str
    table: str
    id: str


class Json:
    """Parses JSON columns until `JSON_BYTES_MAX` have been parsed; `exhausted` says that some were not."""

    def __init__(self) -> None:
        self._left_bytes = JSON_BYTES_MAX
        self.exhausted = False

    def parse(self, value: Value) -> Any:
        """The value behind a column; None where it holds none or was not parsed, `_BAD` where it is no JSON."""
        if not isinstance(value, str) or not value:
            return None
        self._left_bytes -= len(value)
        if self._left_bytes < 0:
            self.exhausted = True
            return None
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return _BAD


def references(table: str, values: Values, parse: Json) -> Iterator[Reference]:
    """What a record of `table` refers to."""
    for column, check, target in PLAIN.get(table, ()):
        value = values.get(column)
        if isinstance(value, str) and value:
            yield Reference(check, target, value)
    rule = _RULES.get(table)
    if rule is not None:
        yield from rule(values, parse)


def places(table: str) -> tuple[str, ...]:
    """The tables in any of which a reference to `table` finds its record."""
    return _CONVERSATION_PLACES if table == CONVERSATIONS else (table,)


def only_plain(table: str) -> bool:
    """Whether `PLAIN` says all about a table."""
    return table in PLAIN and table not in _RULES


def problems(table: str, values: Values, parse: Json) -> Iterator[str]:
    """What is wrong with a record by itself, as names of checks."""
    if table == "messages":
        if _text(values.get("message_type")) not in MESSAGE_TYPES:
            yield "messages.message_type is one that MAOS knows"
        return
    for column in _JSON_COLUMNS.get(table, ()):
        found = parse.parse(values.get(column))
        if found is _BAD:
            yield f"{table}.{column} is JSON"
        elif column == "conversation_history" and found is not None:
            if not isinstance(found, list):
                yield "sessions.conversation_history is a list"
            elif values.get("turn_count") != len(found):
                yield "sessions.turn_count counts the turns"
    if table == "sessions":
        infix = _SESSION_ID.fullmatch(_text(values.get("session_id")))
        if infix is not None and infix[1] != values.get("agent_id"):
            yield "sessions.session_id names its agent"
    elif table == "orchestrations":
        yield from _orchestration_problems(values, parse)


def _orchestration_problems(values: Values, parse: Json) -> Iterator[str]:
    agents, batches = parse.parse(values.get("agents")), parse.parse(values.get("batches"))
    if isinstance(agents, list) and isinstance(batches, list):
        inner = {one for batch in batches if isinstance(batch, list) for one in batch if isinstance(one, str)}
        if inner != {one for one in agents if isinstance(one, str)}:
            yield "orchestrations.batches hold its agents"
    done, total = values.get("successful_agents"), values.get("total_agents")
    if isinstance(done, int) and isinstance(total, int) and done > total:
        yield "orchestrations.successful_agents is at most total_agents"


def _task(values: Values, parse: Json) -> Iterator[Reference]:
    assigned = parse.parse(values.get("assigned_agents"))
    for one in assigned if isinstance(assigned, list) else ():
        if _is_agent(one):
            yield Reference("tasks.assigned_agents", "agents", one)
    name, _, agent = _text(values.get("id")).partition("-")
    if name == "task" and _is_agent(agent):
        yield Reference("tasks.id", "agents", agent)


def _orchestration(values: Values, parse: Json) -> Iterator[Reference]:
    agents = parse.parse(values.get("agents"))
    for one in agents if isinstance(agents, list) else ():
        yield from _one("orchestrations.agents", "agents", one)


def _checkpoint(values: Values, parse: Json) -> Iterator[Reference]:
    if _text(values.get("name")).startswith("orchestration_"):
        yield from _one("checkpoints.id", "orchestrations", values.get("id"))
    sessions = parse.parse(values.get("agent_sessions"))
    for agent, session in sessions.items() if isinstance(sessions, dict) else ():
        yield from _one("checkpoints.agent_sessions", "agents", agent)
        yield from _one("checkpoints.agent_sessions", CONVERSATIONS, session)
    tasks = parse.parse(values.get("task_states"))
    for one in tasks if isinstance(tasks, dict) else ():
        yield from _one("checkpoints.task_states", "tasks", one)
    messages = parse.parse(values.get("message_history"))
    for message in messages if isinstance(messages, list) else ():
        for end in ("from_agent", "to_agent") if isinstance(message, dict) else ():
            yield from _one("checkpoints.message_history", "agents", message.get(end))


def _one(check: str, table: str, value: object) -> Iterator[Reference]:
    if isinstance(value, str) and value:
        yield Reference(check, table, value)


def _is_agent(value: object) -> bool:
    return isinstance(value, str) and AGENT_ID.fullmatch(value) is not None


def _text(value: Value) -> str:
    return value if isinstance(value, str) else ""


_RULES: Final[dict[str, Callable[[Values, Json], Iterator[Reference]]]] = {
    "tasks": _task,
    "orchestrations": _orchestration,
    "checkpoints": _checkpoint,
}
