"""References that a plan leaves as they are need no look-up: what is said of the others is the same."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from maos_ckpt.model import Finding, Selection, Trigger
from maos_ckpt.operations import checkpoints, recoveries
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.recovery.references import ReferenceCheck
from tests.engine.conftest import workspace  # noqa: F401 - a fixture
from tests.lab.mutate import mutate

ROUNDS = 6
#: An agent that tasks name before it is there.
LATE = "late-0123abcd"
SELECTIONS = (
    Selection(),
    Selection(components=("tasks",), exact=True),
    Selection(components=("agents", "tasks"), exact=True),
)


def change(directory: Path, rng: random.Random) -> None:
    """Agents go, tasks get other ones, some of whom nobody knows yet, and one of those comes."""
    with closing(sqlite3.connect(directory / "maos.db")) as connection, connection:
        connection.execute("DELETE FROM agents WHERE id = ?", (LATE,))
    mutate(directory, 0.1, rng.randrange(1000))
    with closing(sqlite3.connect(directory / "maos.db")) as connection, connection:
        agents = [row[0] for row in connection.execute("SELECT id FROM agents ORDER BY id")]
        for name in rng.sample(agents, min(5, len(agents) - 1)):
            connection.execute("DELETE FROM agents WHERE id = ?", (name,))
        for row in connection.execute("SELECT id FROM tasks ORDER BY id").fetchall():
            if rng.random() < 0.3:
                named = [rng.choice([*agents, LATE, LATE, "nobody-0123abcd"]) for _ in range(rng.randrange(3))]
                text = "[" + ", ".join(f'"{one}"' for one in named) + "]"
                connection.execute("UPDATE tasks SET assigned_agents = ? WHERE id = ?", (text, row[0]))


def let_come(directory: Path) -> None:
    """The agent that was named is there, and one task that names it moves on."""
    with closing(sqlite3.connect(directory / "maos.db")) as connection, connection:
        connection.row_factory = sqlite3.Row
        one = dict(connection.execute("SELECT * FROM agents LIMIT 1").fetchone()) | {"id": LATE}
        places = ", ".join("?" * len(one))
        connection.execute(f"INSERT INTO agents ({', '.join(one)}) VALUES ({places})", tuple(one.values()))
        connection.execute("UPDATE tasks SET progress = 12.5 WHERE assigned_agents LIKE ?", (f"%{LATE}%",))


def findings(workspace: Workspace, selection: Selection) -> list[Finding]:  # noqa: F811
    with recoveries.open_plan(workspace, "latest", selection, 10, lambda step: None) as opened:
        return list(opened.plan.findings)


def test_what_does_not_change_is_not_looked_up_and_changes_no_finding(
    workspace: Workspace,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = random.Random(5)
    directory = Path(workspace.source.removeprefix("maos:"))
    told = 0
    for _ in range(ROUNDS):
        change(directory, rng)
        checkpoints.save(workspace, Trigger.MANUAL, "", (), lambda step: None)
        let_come(directory)
        for selection in SELECTIONS:
            found = findings(workspace, selection)
            with monkeypatch.context() as every:
                every.setattr(ReferenceCheck, "_matters", lambda *_: True)
                assert findings(workspace, selection) == found
            told += sum(one.kind == "references" for one in found)
    assert told > ROUNDS
