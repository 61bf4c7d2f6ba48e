"""The exact DDL of maos-cli's schema families.

Facts, checked against the released wheels 0.8.0, 0.8.5, 0.8.9 and 0.9.4: all tables but `orchestrations` are the same
byte for byte from 0.3.2 on. The text is kept as SQLite stores it in `sqlite_master`, comments and indentation included,
so that a laboratory file cannot be told from one that MAOS made.
"""

from __future__ import annotations

import sqlite3
from textwrap import indent
from typing import Final, Literal, get_args

Family = Literal["0.3", "0.8", "0.9", "0.9-migrated"]
"""0.3: releases 0.3.2-0.8.0; 0.8: 0.8.4-0.8.8; 0.9: made by 0.8.9-0.9.4; 0.9-migrated: made by 0.8, opened by 0.9."""

FAMILIES: Final[tuple[Family, ...]] = get_args(Family)

_AGENTS = """CREATE TABLE {when}agents (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    type TEXT,
    session_id TEXT,
    process_id TEXT,
    status TEXT DEFAULT 'inactive',
    capabilities TEXT,  -- JSON array
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    last_active TIMESTAMP,
    metadata TEXT  -- JSON object
)"""

_SESSIONS = """CREATE TABLE {when}sessions (
    session_id TEXT PRIMARY KEY,
    agent_id TEXT NOT NULL,
    task TEXT,
    conversation_history TEXT,  -- JSON array
    turn_count INTEGER DEFAULT 0,
    total_cost REAL DEFAULT 0.0,
    status TEXT DEFAULT 'active',
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP,
    FOREIGN KEY (agent_id) REFERENCES agents(id) ON DELETE CASCADE
)"""

_TASKS = """CREATE TABLE {when}tasks (
    id TEXT PRIMARY KEY,
    parent_task_id TEXT,
    description TEXT NOT NULL,
    status TEXT DEFAULT 'pending',
    assigned_agents TEXT,  -- JSON array of agent IDs
    subtasks TEXT,  -- JSON array
    progress REAL DEFAULT 0.0,
    result TEXT,  -- JSON object
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    started_at TIMESTAMP,
    completed_at TIMESTAMP,
    FOREIGN KEY (parent_task_id) REFERENCES tasks(id) ON DELETE CASCADE
)"""

_MESSAGES = """CREATE TABLE {when}messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    from_agent TEXT NOT NULL,
    to_agent TEXT,  -- NULL for broadcasts
    message TEXT NOT NULL,
    message_type TEXT DEFAULT 'info',
    timestamp TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    acknowledged BOOLEAN DEFAULT 0,
    FOREIGN KEY (from_agent) REFERENCES agents(id) ON DELETE CASCADE,
    FOREIGN KEY (to_agent) REFERENCES agents(id) ON DELETE CASCADE
)"""

_CHECKPOINTS = """CREATE TABLE {when}checkpoints (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    description TEXT,
    orchestrator_state TEXT,  -- JSON object
    agent_sessions TEXT,  -- JSON object mapping agent_id -> session_id
    task_states TEXT,  -- JSON object
    message_history TEXT,  -- JSON array
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
)"""

_ORCHESTRATIONS_HEAD = """CREATE TABLE {when}orchestrations (
    id TEXT PRIMARY KEY,
    request TEXT NOT NULL,
    status TEXT DEFAULT 'running',
    agents TEXT,  -- JSON array of agent IDs
    batches TEXT,  -- JSON array of batch structure
    total_cost REAL DEFAULT 0.0,
    total_duration_ms INTEGER DEFAULT 0,
    successful_agents INTEGER DEFAULT 0,
    total_agents INTEGER DEFAULT 0,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    completed_at TIMESTAMP,
"""

_ORCHESTRATIONS_PROGRESS = """    last_updated TIMESTAMP,  -- For auto-save tracking
    active_agents INTEGER,    -- Current active count
    message_count INTEGER,    -- Total messages
"""

_ORCHESTRATIONS_TAIL = """    summary TEXT,
    metadata TEXT  -- JSON object
)"""

_INDEXES: Final = (
    "CREATE INDEX {when}idx_agents_status ON agents(status)",
    "CREATE INDEX {when}idx_sessions_agent ON sessions(agent_id)",
    "CREATE INDEX {when}idx_tasks_status ON tasks(status)",
    "CREATE INDEX {when}idx_messages_timestamp ON messages(timestamp)",
    "CREATE INDEX {when}idx_checkpoints_name ON checkpoints(name)",
)

_ORCHESTRATIONS_INDEX: Final = "CREATE INDEX {when}idx_orchestrations_status ON orchestrations(status)"

_KEY_VALUE_STORE: Final = """CREATE TABLE {when}key_value_store (
    key TEXT PRIMARY KEY,
    value TEXT,
    updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
)"""

COLUMNS: Final = {
    table: tuple(names.split())
    for table, names in {
        "agents": "id name type session_id process_id status capabilities created_at last_active metadata",
        "sessions": "session_id agent_id task conversation_history turn_count total_cost status created_at updated_at",
        "tasks": "id parent_task_id description status assigned_agents subtasks progress result created_at started_at"
        " completed_at",
        "messages": "id from_agent to_agent message message_type timestamp acknowledged",
        "checkpoints": "id name description orchestrator_state agent_sessions task_states message_history created_at",
        "orchestrations": "id request status agents batches total_cost total_duration_ms successful_agents total_agents"
        " created_at completed_at summary metadata",
        "key_value_store": "key value updated_at",
    }.items()
}
"""The columns that every family has, by table (`orchestrations` is missing in 0.3)."""

_MIGRATION: Final = (
    ("last_updated", "TIMESTAMP"),
    ("active_agents", "INTEGER"),
    ("message_count", "INTEGER"),
)

_IN_METHOD: Final = " " * 12  # MAOS writes its DDL inside a method, and SQLite keeps the indentation
_IN_SAVE: Final = " " * 16


def _shift(ddl: str, margin: str) -> str:
    first, rest = ddl.split("\n", 1)
    return f"{first}\n{indent(rest, margin)}"


def ddl(family: Family, *, key_value_store: bool = True) -> tuple[str, ...]:
    """The statements that make an empty file of `family`, in MAOS's order.

    `key_value_store` adds the table that MAOS makes on its first `save()` only.
    """
    tables = [_AGENTS, _SESSIONS, _TASKS, _MESSAGES, _CHECKPOINTS]
    indexes = list(_INDEXES)
    if family != "0.3":
        progress = _ORCHESTRATIONS_PROGRESS if family == "0.9" else ""
        tables.append(_ORCHESTRATIONS_HEAD + progress + _ORCHESTRATIONS_TAIL)
        indexes.append(_ORCHESTRATIONS_INDEX)
    statements = [_shift(table, _IN_METHOD) for table in tables] + indexes
    if family == "0.9-migrated":
        statements += [f"ALTER TABLE orchestrations ADD COLUMN {name} {kind}" for name, kind in _MIGRATION]
    if key_value_store:
        statements.append(_shift(_KEY_VALUE_STORE, _IN_SAVE))
    return tuple(statement.replace("{when}", "") for statement in statements)


def create_schema(connection: sqlite3.Connection, family: Family, *, key_value_store: bool = True) -> None:
    """Makes the tables and indexes of `family` in an empty database."""
    for statement in ddl(family, key_value_store=key_value_store):
        connection.execute(statement)


def master(connection: sqlite3.Connection) -> dict[str, str]:
    """name -> SQL of every object that has SQL, as SQLite stores it: what two schemas are compared by."""
    rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    return {str(name): str(sql) for name, sql in rows}
