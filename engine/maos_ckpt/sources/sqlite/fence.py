"""The temporary trigger that a recovery leaves behind in its own transaction: fence and proof of the commit in one.

MAOS appends a turn by reading a conversation, adding to it in memory and writing all of it back. A coroutine that read
before a recovery and writes after it would overwrite what was put back (35 of 200 recoveries did so). The fence ignores
such a write for some seconds: one whose turn count does not follow the stored one, or whose text does not begin with
the stored text. It expires by itself, because its condition holds the time, so that nobody has to drop it for MAOS to
be right; and it names the recovery, so that a crashed one can tell whether its transaction had been committed.
"""

from __future__ import annotations

import re
import sqlite3
from typing import Final

from maos_ckpt.errors import UsageError
from maos_ckpt.sources.sqlite.schema import FENCE_PREFIX, quote

#: How long a fence holds. A turn in MAOS takes its read-modify-write within milliseconds; a stalled one some seconds.
FENCE_S: Final = 10.0
#: How long the owner may stand still behind the commit, while files are put back, before the fence begins to count.
FENCE_SLACK_S: Final = 60.0

_RECOVERY = re.compile(r"[0-9A-Za-z_.:-]{1,128}")
_MARK = re.compile(r"/\* maos-ckpt recovery ([0-9A-Za-z_.:-]{1,128}) \*/")
_FENCED_COLUMNS: Final = frozenset(("conversation_history", "turn_count"))

_STALE = """CAST(strftime('%s', 'now') AS INTEGER) < {expires_at_s} AND (
    NEW.turn_count IS NOT coalesce(OLD.turn_count, 0) + 1
    OR substr(NEW.conversation_history, 1, length(OLD.conversation_history) - 1)
       IS NOT substr(OLD.conversation_history, 1, length(OLD.conversation_history) - 1)
)"""


def create_fence(connection: sqlite3.Connection, recovery: str, *, expires_at_s: int) -> bool:
    """Create the trigger inside the open transaction; any former one is dropped.

    Where there is no `sessions` table of MAOS's form the trigger is a mark and nothing else, and so it is with
    `expires_at_s` 0 (seconds since 1970).

    Args:
        recovery: names the recovery; letters, digits and `_.:-`.

    Returns:
        False where the database has no table that could carry a trigger; then nothing marks the commit.

    Raises:
        UsageError: `recovery` holds other characters.
    """
    if _RECOVERY.fullmatch(recovery) is None:
        raise UsageError("A recovery's id holds a character that is not allowed in it.")
    connection.execute(f"DROP TRIGGER IF EXISTS main.{FENCE_PREFIX}")
    body = f"BEGIN SELECT RAISE(IGNORE) /* maos-ckpt recovery {recovery} */; END"
    columns = {str(row[1]).lower() for row in connection.execute("PRAGMA main.table_info(sessions)")}
    if columns >= _FENCED_COLUMNS and _is_table(connection, "sessions"):
        when = _STALE.format(expires_at_s=int(expires_at_s)) if expires_at_s > 0 else "0"
        table, event = "sessions", "UPDATE OF conversation_history"
    else:
        row = connection.execute(
            "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table'"
            " AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' LIMIT 1"
        ).fetchone()
        if row is None:
            return False
        table, event, when = str(row[0]), "UPDATE", "0"
    connection.execute(f"CREATE TRIGGER main.{FENCE_PREFIX} BEFORE {event} ON {quote(table)} WHEN {when} {body}")
    return True


def committed_recovery(connection: sqlite3.Connection) -> str | None:
    """The id of the recovery whose transaction was the last to be committed and not yet cleared up, or None."""
    row = connection.execute(
        "SELECT sql FROM main.sqlite_master WHERE type = 'trigger' AND name = ?", (FENCE_PREFIX,)
    ).fetchone()
    found = _MARK.search(str(row[0])) if row is not None else None
    return None if found is None else found[1]


def drop_fence(connection: sqlite3.Connection, recovery: str | None = None) -> bool:
    """Drop the trigger inside the open transaction; with `recovery` only where it is that one's. False: not there."""
    there = committed_recovery(connection)
    if there is None or recovery not in (None, there):
        return False
    connection.execute(f"DROP TRIGGER main.{FENCE_PREFIX}")
    return True


def _is_table(connection: sqlite3.Connection, name: str) -> bool:
    sql = "SELECT 1 FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND lower(name) = ?"
    return connection.execute(sql, (name,)).fetchone() is not None
