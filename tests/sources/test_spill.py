"""Sets and maps that outgrow memory, and the foreign keys of a recovery that are checked with them."""

from __future__ import annotations

import os
import random
import sqlite3
import stat
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from maos_ckpt.codec.values import encode_key
from maos_ckpt.errors import StorageError
from maos_ckpt.sources.sqlite import spill as spilling
from maos_ckpt.sources.sqlite.foreign_keys import ForeignKeyDelta, Violation
from maos_ckpt.sources.sqlite.schema import read_schema
from maos_ckpt.sources.sqlite.spill import ROWS, TEXT, NoRoomError, Spill, SpilledMap


@pytest.fixture(params=[1, 7, 10_000])
def spill(request: pytest.FixtureRequest) -> Iterator[Spill]:
    with Spill(front_max=request.param) as found:
        yield found


def test_a_map_keeps_order_and_the_first_value_whatever_fits_into_memory(spill: Spill) -> None:
    rng = random.Random(5)
    given = [(rng.choice("aé\0\ud800z") + str(rng.randrange(300)), str(at).encode()) for at in range(2000)]
    expected: dict[str, bytes] = {}
    found = SpilledMap(spill, TEXT)
    assert not found
    for key, value in given:
        expected.setdefault(key, value)
        found.add(key, value)
        assert key in found
    assert found
    assert list(found.items()) == list(expected.items())
    assert [one for batch in found.batches() for one in batch] == sorted(expected, key=TEXT.encode)
    assert all(key in found for key in expected)
    assert "nobody" not in found


def test_keys_may_be_rows_of_any_values(spill: Spill) -> None:
    rows = [(None, 0), (1, 1), (2**63 - 1, 0), ("x", 1.5), (b"\0", 0)]
    found = SpilledMap(spill, ROWS)
    for row in rows * 2:
        found.add(row)
    assert [row for row, _ in found.items()] == rows


def test_two_maps_can_be_read_and_written_at_the_same_time(spill: Spill) -> None:
    one, other = SpilledMap(spill, TEXT), SpilledMap(spill, TEXT)
    for number in range(100):
        one.add(str(number))
    for key, _ in one.items():
        other.add(key + "!")
    assert [key for key, _ in other.items()] == [f"{number}!" for number in range(100)]


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells what is open")
def test_what_outgrows_memory_is_in_a_file_without_a_name_that_only_its_owner_reads() -> None:
    with Spill(front_max=1000) as spill:
        found = SpilledMap(spill, TEXT)
        for number in range(40_000):
            found.add(f"{number:0400}")
        fds = [one for one in Path("/proc/self/fd").iterdir() if _link(one).endswith("(deleted)")]
        modes = {stat.S_IMODE(os.stat(one).st_mode) for one in fds if os.stat(one).st_size > 5_000_000}
    assert modes == {0o600}


def _link(path: Path) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


def test_no_room_for_temporary_files_is_an_error_of_storage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spilling, "PAGES_MAX", 5)
    with Spill(front_max=100) as spill:
        found = SpilledMap(spill, TEXT)
        for number in range(99):
            found.add(f"{number:0400}")
        with pytest.raises(NoRoomError) as raised:
            found.add("the hundredth")
    assert isinstance(raised.value, StorageError)
    assert "TMPDIR" in raised.value.hint


@pytest.mark.parametrize("front_max", [2, 10_000])
def test_broken_foreign_keys_are_the_same_whatever_fits_into_memory(tmp_path: Path, front_max: int) -> None:
    with closing(sqlite3.connect(tmp_path / "a.db", isolation_level=None)) as connection, Spill(front_max) as spill:
        connection.execute("CREATE TABLE parent (id TEXT PRIMARY KEY)")
        connection.execute("CREATE TABLE child (id INTEGER PRIMARY KEY, up TEXT REFERENCES parent)")
        connection.executemany("INSERT INTO parent VALUES (?)", [(f"p{number}",) for number in range(50)])
        rows = [(number, f"p{number % 60}") for number in range(200)]
        connection.executemany("INSERT INTO child VALUES (?, ?)", rows)
        schema = read_schema(connection)
        delta = ForeignKeyDelta(connection, schema, spill)
        parent, child = schema.table("parent"), schema.table("child")
        assert parent is not None
        assert child is not None
        # The ten parents that were never there dangle before; of those that are removed here, p0 and p1, children stay.
        delta.references(parent, ("id",)).removed()
        connection.execute("DELETE FROM parent WHERE id IN ('p0', 'p1')")
        references = delta.references(child, ("id", "up"))
        for number in range(200, 260):
            row = (number, f"q{number % 30}")
            references.added(row, encode_key(row[:1]))
            connection.execute("INSERT INTO child VALUES (?, ?)", row)
        count, violations = delta.violations()
    orphans = 4 + 4
    assert count == 60 + orphans
    assert violations == [Violation("child", "parent", str(number)) for number in range(200, 220)]
