"""What is looked at after a rehearsed recovery: SQLite's own checks, and those that the operator brought along.

Everything here reads the scratch database only. An operator's statement can neither change it nor reach another file:
the connection is read-only and attaches nothing. An operator's program is a process of its own.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote as quote_url

from maos_ckpt.environment import program_environment
from maos_ckpt.errors import ConfigError
from maos_ckpt.model.drills import Assertion
from maos_ckpt.processes import SystemProcesses
from maos_ckpt.safe_text import clipped
from maos_ckpt.seams import Seams
from maos_ckpt.sources.commands import run_program

#: Between an operator's statement and what it should give.
ARROW = "=>"
#: An operator's statement may take so long, and give so many rows.
SQL_S_MAX = 30.0
SQL_ROWS_MAX = 100
#: An operator's program may take so long; so much of the end of what it prints is kept.
COMMAND_S_MAX = 300.0
COMMAND_BYTES_KEPT = 2000
_OPCODES_PER_LOOK = 20_000
_FAULTS_NAMED_MAX = 5
_TEXT_CHARACTERS_MAX = 300


@dataclass(frozen=True, slots=True)
class SqlCheck:
    """A statement, and its expected result as text: values joined by `, `, rows by `; `, NULL as `NULL`."""

    statement: str
    expected: str


def parse_check(text: str) -> SqlCheck:
    """`STATEMENT => EXPECTED`, as the configuration writes it; raises ConfigError for anything else."""
    statement, arrow, expected = text.rpartition(ARROW)
    if not arrow or not statement.strip():
        raise ConfigError(
            f"drill.sql: {text[:80]!r} does not say what to expect.",
            kept="No drill was begun.",
            hint=f"Write it as in: SELECT count(*) FROM agents WHERE name IS NULL {ARROW} 0",
            key="drill.sql",
        )
    return SqlCheck(statement.strip(), expected.strip())


@contextlib.contextmanager
def reading(database: Path) -> Iterator[sqlite3.Connection]:
    """A connection that reads one database and nothing else."""
    with contextlib.closing(sqlite3.connect(f"file:{quote_url(str(database))}?mode=ro", uri=True)) as connection:
        connection.execute("PRAGMA query_only = ON")
        connection.set_authorizer(_allow)
        yield connection


def _allow(action: int, *_: str | None) -> int:
    return sqlite3.SQLITE_DENY if action in (sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH) else sqlite3.SQLITE_OK


def integrity(database: Path) -> Assertion:
    """SQLite's own integrity check."""
    name = "SQLite finds the database sound"
    try:
        with reading(database) as connection:
            found = [str(row[0]) for row in connection.execute(f"PRAGMA integrity_check({_FAULTS_NAMED_MAX})")]
    except sqlite3.Error as error:
        return Assertion(name, False, str(error))
    return Assertion(name, found == ["ok"], "" if found == ["ok"] else "; ".join(found))


def dangling(database: Path) -> int | None:
    """Foreign keys that lead to nobody; None where the database cannot be asked."""
    with contextlib.suppress(sqlite3.Error), reading(database) as connection:
        return sum(1 for _ in connection.execute("PRAGMA foreign_key_check"))
    return None


def run_sql(database: Path, check: SqlCheck, seams: Seams) -> Assertion:
    """One of the operator's statements on the scratch database."""
    name = f"SQL: {check.statement}"
    deadline_s = seams.clock.monotonic_s() + SQL_S_MAX
    try:
        with reading(database) as connection:
            connection.set_progress_handler(lambda: seams.clock.monotonic_s() > deadline_s, _OPCODES_PER_LOOK)
            rows = connection.execute(check.statement).fetchmany(SQL_ROWS_MAX)
    except (sqlite3.Error, sqlite3.Warning) as error:
        return Assertion(name, False, str(error))
    found = "; ".join(", ".join("NULL" if one is None else str(one) for one in row) for row in rows)
    return Assertion(
        name,
        found == check.expected,
        f"{clipped(found, _TEXT_CHARACTERS_MAX)} (expected {clipped(check.expected, _TEXT_CHARACTERS_MAX)})",
    )


def run_command(command: tuple[str, ...], place: Path, variables: dict[str, str]) -> Assertion:
    """The operator's program, in the scratch directory; it passes by ending with 0.

    Args:
        variables: what it finds in its environment besides.
    """
    # A child of this process is none of the processes that a copy must not see.
    failed, words = run_program(
        command,
        place,
        COMMAND_S_MAX,
        SystemProcesses(),
        environment=program_environment() | variables,
        words_bytes_max=COMMAND_BYTES_KEPT,
    )
    told = (f"It {failed}.", words) if failed else (words,)
    return Assertion(f"Command: {' '.join(command)}", not failed, " ".join(filter(None, told)))
