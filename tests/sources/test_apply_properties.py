"""Whatever a table holds and is to hold, applying the difference makes it so."""

from __future__ import annotations

import math
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from maos_ckpt.seams import SYSTEM
from maos_ckpt.sources.sqlite.live import hold
from maos_ckpt.sources.sqlite.reread import differing
from maos_ckpt.sources.sqlite.write import apply_changes
from tests.sources.changes import changes_between

DDL = (
    "CREATE TABLE plain (k TEXT PRIMARY KEY, u UNIQUE, v)",
    "CREATE TABLE folded (k TEXT COLLATE NOCASE, n, u TEXT UNIQUE COLLATE NOCASE, PRIMARY KEY (k, n)) WITHOUT ROWID",
    "CREATE TABLE numbered (id INTEGER PRIMARY KEY AUTOINCREMENT, v UNIQUE)",
    "CREATE TABLE keyless (a, b)",
    "CREATE TABLE hidden (rowid, oid, _rowid_)",
)

small = st.sampled_from([None, 0, 1, 2, 1.0, 2.5, -0.0, math.inf, "", "a", "A", "b", "1", b"", b"a", b"\xff"])
text = st.sampled_from(["", "a", "A", "b", "B", "c", "aa"])
number = st.sampled_from([0, 1, 2, 5, -1, 2**63 - 1, -(2**63)])
state = st.fixed_dictionaries(
    {
        "plain": st.lists(st.tuples(number, st.none() | text, small, small), max_size=8),
        "folded": st.lists(st.tuples(text, st.sampled_from([0, 1, 1.5, "1"]), st.none() | text), max_size=8),
        "numbered": st.lists(st.tuples(number, small), max_size=8),
        "keyless": st.lists(st.tuples(number, small, small), max_size=8),
        "hidden": st.lists(st.tuples(small, small, small), max_size=6),
    }
)
COLUMNS = {
    "plain": "rowid, k, u, v",
    "folded": "k, n, u",
    "numbered": "id, v",
    "keyless": "rowid, a, b",
    "hidden": "rowid, oid, _rowid_",
}


def make(path: Path, content: dict[str, list[tuple[object, ...]]]) -> Path:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in DDL:
            connection.execute(statement)
        for table, rows in content.items():
            places = ", ".join("?" * len(COLUMNS[table].split(",")))
            connection.executemany(f"INSERT OR IGNORE INTO {table} ({COLUMNS[table]}) VALUES ({places})", rows)
    return path


EMPTY: dict[str, list[tuple[object, ...]]] = {"plain": [], "folded": [], "numbered": [], "keyless": [], "hidden": []}


@settings(max_examples=50, deadline=None)
# The only record has the largest rowid there is, and has to make way.
@example(
    before=EMPTY | {"plain": [(2**63 - 1, "a", None, None)]},
    after=EMPTY | {"plain": [(2**63 - 1, None, None, None), (1, "a", None, None)]},
)
@given(before=state, after=state)
def test_any_state_becomes_any_other(
    before: dict[str, list[tuple[object, ...]]], after: dict[str, list[tuple[object, ...]]]
) -> None:
    with tempfile.TemporaryDirectory() as name:
        live, wanted = make(Path(name) / "live.db", before), make(Path(name) / "wanted.db", after)
        changes = changes_between(live, wanted)
        with hold(live, SYSTEM) as held:
            apply_changes(held.connection, changes, sequences="set")
            assert differing(held.connection, changes) == []
        assert changes_between(live, wanted) == []
        with closing(sqlite3.connect(live)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
