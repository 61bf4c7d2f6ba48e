"""The one place where the untyped package maos-cli is imported, and the part of its class that the demo calls."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Protocol, cast

DATABASE_NAME: Final = "maos.db"
MISSING_EXIT_CODE: Final = 2


class MaosMissingError(Exception):
    """maos-cli cannot be imported here; the text is the one sentence to show."""


class Cursor(Protocol):
    """What aiosqlite gives back for a statement."""

    rowcount: int


class Connection(Protocol):
    """The connection that `transaction()` yields."""

    async def execute(self, sql: str, parameters: Sequence[object] = ()) -> Cursor:
        """Runs one statement."""
        ...


class Persistence(Protocol):
    """maos-cli 0.9.4's SqlitePersistence, as far as the demo needs it. Every method commits for itself."""

    async def initialize(self) -> None:
        """Opens the database and makes or migrates its tables."""
        ...

    def transaction(self) -> AbstractAsyncContextManager[Connection]:
        """MAOS's own transaction; all coroutines share it."""
        ...

    async def create_agent(
        self, agent_id: str, name: str, agent_type: str, capabilities: Sequence[str], metadata: Mapping[str, object]
    ) -> None:
        """INSERT INTO agents."""
        ...

    async def update_agent_session(self, agent_id: str, session_id: str, process_id: str | None) -> None:
        """Gives the agent its session and makes it active."""
        ...

    async def update_agent_status(self, agent_id: str, status: str) -> None:
        """UPDATE agents."""
        ...

    async def create_session(self, session_id: str, agent_id: str, task: str) -> None:
        """INSERT INTO sessions."""
        ...

    async def update_session(self, session_id: str, conversation_turn: Mapping[str, object], cost: float) -> None:
        """Reads, appends a turn, writes the whole history again; silent when the session is gone."""
        ...

    async def create_task(
        self, task_id: str, description: str, parent_task_id: str | None, assigned_agents: Sequence[str]
    ) -> None:
        """INSERT INTO tasks."""
        ...

    async def update_task_progress(self, task_id: str, progress: float, status: str | None) -> None:
        """UPDATE tasks."""
        ...

    async def complete_task(self, task_id: str, result: Mapping[str, object]) -> None:
        """UPDATE tasks to completed, with a result."""
        ...

    async def save_message(self, from_agent: str, to_agent: str | None, message: str, message_type: str) -> int:
        """INSERT INTO messages; the new id."""
        ...

    async def save_orchestration(
        self,
        orchestration_id: str,
        request: str,
        agents: Sequence[str],
        batches: Sequence[Sequence[str]],
        status: str,
        metadata: Mapping[str, object],
    ) -> None:
        """INSERT INTO orchestrations."""
        ...

    async def update_orchestration(
        self, orchestration_id: str, *, total_cost: float, last_updated: str, active_agents: int, message_count: int
    ) -> None:
        """UPDATE orchestrations."""
        ...

    async def save_checkpoint(self, checkpoint_id: str, name: str, checkpoint_data: Mapping[str, object]) -> None:
        """INSERT OR REPLACE INTO checkpoints."""
        ...

    async def save(self, key: str, data: object) -> None:
        """INSERT OR REPLACE INTO key_value_store, made when missing."""
        ...

    async def execute_query(self, query: str, params: Sequence[object]) -> list[dict[str, object]]:
        """Reads rows."""
        ...

    async def close(self) -> None:
        """Closes the connection and ends its thread."""
        ...


def open_persistence(database: Path) -> Persistence:
    """MAOS's persistence for `database`, not yet initialised, with all logging of this process silenced.

    Raises MaosMissingError when maos-cli, or click (which typer no longer brings and MAOS needs), is not installed.
    """
    logging.disable(logging.CRITICAL)  # MAOS logs every call; this process owes its caller a clean stdout and stderr
    try:
        if find_spec("click") is None:
            raise ImportError("click")
        from maos.interfaces.sqlite_persistence import (  # type: ignore[import-untyped,unused-ignore]  # no stubs exist
            SqlitePersistence,
        )
    except ImportError as error:
        raise MaosMissingError(
            f'The demo needs maos-cli, and "{error.name or error}" cannot be imported: pip install "maos-ckpt[demo]"'
        ) from error
    return cast(Persistence, SqlitePersistence(str(database)))
