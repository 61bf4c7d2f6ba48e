"""Changes a fraction of a MAOS database's records the way a working MAOS does, by direct SQL."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Final

from tests.lab.prose import Prose
from tests.lab.rows import EPOCH, LOCAL_OFFSET

KEYS: Final = {
    "agents": "id",
    "sessions": "session_id",
    "tasks": "id",
    "messages": "id",
    "checkpoints": "id",
    "orchestrations": "id",
    "key_value_store": "key",
}
BUSY_TIMEOUT_S: Final = 5.0

Change = Callable[[sqlite3.Connection, object, Prose, str], None]


def mutate(directory: Path | str, fraction: float, seed: int, *, newest: bool = False) -> dict[str, list[str | int]]:
    """Changes `fraction` (0..1) of the records of every table in `directory/maos.db`, scattered evenly, or the newest.

    Appends turns to histories, moves statuses and progress, edits messages, rewrites stored values; adds and removes
    nothing. One transaction with the ordinary journal, so it may run beside a live MAOS. Deterministic for one state
    and seed. Returns the changed keys by table, in key order; at least one a table that has rows, unless 0 was asked.
    Raises ValueError for a fraction out of range, sqlite3.Error when the database is locked or is none.
    """
    if not 0.0 <= fraction <= 1.0:
        raise ValueError(f"fraction {fraction} is not between 0 and 1")
    database = (Path(directory) / "maos.db").resolve()
    prose = Prose(seed + 7_919)
    changed: dict[str, list[str | int]] = {}
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=rw", uri=True, timeout=BUSY_TIMEOUT_S)) as connection:
        connection.isolation_level = None
        connection.execute("BEGIN IMMEDIATE")
        present = {str(name) for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        for table, key in KEYS.items():
            if table not in present:
                continue
            chosen = _choose(connection, table, key, fraction, None if newest else prose.rng)
            for position, record in enumerate(chosen):
                moment = EPOCH + timedelta(days=30, milliseconds=137 * position) + LOCAL_OFFSET
                _CHANGES[table](connection, record, prose, moment.replace(tzinfo=None).isoformat())
            changed[table] = chosen
        connection.execute("COMMIT")
    return changed


def _choose(
    connection: sqlite3.Connection, table: str, key: str, fraction: float, rng: random.Random | None
) -> list[str | int]:
    """So many keys, in key order; without `rng` those of the rows that were inserted last."""
    order = key if rng is not None else "rowid DESC"
    keys: list[str | int] = [row[0] for row in connection.execute(f"SELECT {key} FROM {table} ORDER BY {order}")]
    count = 0 if fraction == 0 or not keys else max(1, round(len(keys) * fraction))
    if rng is None:
        return sorted(keys[:count])  # type: ignore[type-var]
    return [keys[position] for position in sorted(rng.sample(range(len(keys)), count))]


def _change_agent(connection: sqlite3.Connection, key: object, prose: Prose, now: str) -> None:
    status = prose.rng.choice(("active", "paused", "completed", "failed"))
    connection.execute("UPDATE agents SET status = ?, last_active = ? WHERE id = ?", (status, now, key))


def _change_session(connection: sqlite3.Connection, key: object, prose: Prose, now: str) -> None:
    found = connection.execute("SELECT conversation_history FROM sessions WHERE session_id = ?", (key,)).fetchone()
    content = prose.text(prose.rng.randrange(3, 12))
    turn = json.dumps({"role": "assistant", "content": content, "timestamp": now})
    # the old text is kept byte for byte, as when MAOS appends: json.dumps of the longer list gives exactly this
    history = f"[{turn}]" if found[0] in (None, "[]") else f"{found[0][:-1]}, {turn}]"
    connection.execute(
        "UPDATE sessions SET conversation_history = ?, turn_count = turn_count + 1, total_cost = total_cost + ?,"
        " updated_at = ? WHERE session_id = ?",
        (history, prose.rng.randrange(1, 90) / 1000, now, key),
    )


def _change_task(connection: sqlite3.Connection, key: object, prose: Prose, now: str) -> None:
    if prose.rng.random() < 0.4:
        result = json.dumps({"success": True, "output": prose.text(3)[:500]})
        connection.execute(
            "UPDATE tasks SET status = 'completed', progress = 100.0, result = ?, completed_at = ? WHERE id = ?",
            (result, now, key),
        )
    else:
        progress = prose.rng.randrange(1, 9_900) / 100
        connection.execute(
            "UPDATE tasks SET status = 'in_progress', progress = ?, started_at = ? WHERE id = ?", (progress, now, key)
        )


def _change_message(connection: sqlite3.Connection, key: object, prose: Prose, now: str) -> None:
    text = prose.text(1)
    connection.execute(
        "UPDATE messages SET acknowledged = 1, message = message || ? WHERE id = ?", (f" Edited at {now}: {text}", key)
    )


def _change_checkpoint(connection: sqlite3.Connection, key: object, prose: Prose, now: str) -> None:
    state = json.dumps({"phase": "review", "saved_at": now, "note": prose.text(2)})
    connection.execute(
        "UPDATE checkpoints SET orchestrator_state = ?, description = ? WHERE id = ?", (state, prose.text(1), key)
    )


def _change_orchestration(connection: sqlite3.Connection, key: object, prose: Prose, now: str) -> None:
    connection.execute(
        "UPDATE orchestrations SET total_cost = total_cost + ?, summary = ?, metadata = ? WHERE id = ?",
        (prose.rng.randrange(1, 900) / 1000, prose.text(6), json.dumps({"updated": now}), key),
    )


def _change_value(connection: sqlite3.Connection, key: object, prose: Prose, now: str) -> None:
    if str(key).startswith("embedding:"):
        value = f'{{"model": "text-embedding-3-small", "vector": {prose.vector(256)}}}'
    else:
        value = json.dumps({"text": prose.text(12), "revised": now})
    connection.execute("UPDATE key_value_store SET value = ?, updated_at = ? WHERE key = ?", (value, now, key))


_CHANGES: Final[dict[str, Change]] = {
    "agents": _change_agent,
    "sessions": _change_session,
    "tasks": _change_task,
    "messages": _change_message,
    "checkpoints": _change_checkpoint,
    "orchestrations": _change_orchestration,
    "key_value_store": _change_value,
}
