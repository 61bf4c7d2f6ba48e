"""Page-guided saves of a table that is a tree of many leaves, which are edited and not built anew."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from maos_ckpt.model import Checkpoint
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import SYSTEM
from maos_ckpt.sources.spec import open_source
from maos_ckpt.tree.cursor import records
from tests.upkeep.savers import Saver, roots

#: Some 3 MB, or 25 leaves.
ROWS = 9000
KEY = "k%05d"


def _churn(connection: sqlite3.Connection, rng: random.Random) -> None:
    """Scattered and clustered work on a table of many leaves, never on so much of it that it is read in full."""
    connection.execute("BEGIN")
    for _ in range(rng.choice((1, 30, 200))):
        where, text = KEY % rng.randrange(ROWS), rng.choice(("", "x", "longer " * rng.randrange(40)))
        match rng.randrange(6):
            case 0:
                connection.execute("DELETE FROM wide WHERE id = ?", (where,))
            case 1:
                connection.execute("INSERT OR IGNORE INTO wide VALUES (?, ?, ?)", (where + text[:3], 1, text))
            case 2:
                connection.execute("UPDATE wide SET number = number + 1 WHERE id = ?", (where,))
            case _:
                connection.execute("UPDATE wide SET text = substr(text, 1, 150) || ? WHERE id = ?", (text, where))
    low = rng.randrange(ROWS)
    if rng.random() < 0.3:
        connection.execute("DELETE FROM wide WHERE id BETWEEN ? AND ?", (KEY % low, KEY % (low + 200)))
    if rng.random() < 0.2:
        # A value that is moved out of its row.
        connection.execute("UPDATE wide SET text = ? WHERE id = ?", ("large " * 20_000, KEY % low))
    connection.execute("COMMIT")


@pytest.mark.parametrize("seed", range(3))
def test_both_ways_of_saving_give_the_same_roots_for_tables_of_many_leaves(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    with closing(sqlite3.connect(tmp_path / "t.db", isolation_level=None)) as connection:
        connection.execute(f"PRAGMA journal_mode={('DELETE', 'WAL')[seed % 2]}")
        connection.execute("CREATE TABLE wide (id TEXT NOT NULL PRIMARY KEY, number INTEGER, text TEXT)")
        rows = ((KEY % number, number, "text " * rng.randrange(120)) for number in range(ROWS))
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO wide VALUES (?, ?, ?)", rows)
        connection.execute("COMMIT")
        source = open_source(f"sqlite:{tmp_path / 't.db'}", claude_home=tmp_path, seams=SYSTEM)
        guided, full = Saver(tmp_path / "guided", source), Saver(tmp_path / "full", source)
        read_in_full = 0
        for number in range(6):
            checkpoint = guided.save()
            assert roots(checkpoint) == roots(full.save()), number
            assert verify(guided.repository, checkpoint)
            read_in_full += "database/wide" in guided.read
            full.forget()
            _churn(connection, rng)
        assert read_in_full == 1
        guided.repository.close()
        full.repository.close()


def verify(repository: Repository, checkpoint: Checkpoint) -> bool:
    """Whether every record of a checkpoint can be read back, as many as it says."""
    return all(sum(1 for _ in records(repository.chunks, one.root)) == one.records for one in checkpoint.collections)
