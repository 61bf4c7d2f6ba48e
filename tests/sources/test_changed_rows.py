"""Page-guided reading: whatever was done to a database, the ranges turn the state before into the state after."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maos_ckpt.codec.values import encode_row
from maos_ckpt.errors import CkptError
from maos_ckpt.model import Descriptor
from maos_ckpt.sources.base import Cut, KeyRange, record_key
from maos_ckpt.sources.sqlite.pages import PageFile, UnusualPagesError, compare
from maos_ckpt.sources.sqlite.row_changes import DIRTY_SHARE_MAX
from tests.sources.churn import create, step
from tests.sources.states import sqlite_source, whole

State = dict[str, dict[bytes, bytes]]
STEPS = 5


def applied(descriptor: Descriptor, before: dict[bytes, bytes], ranges: list[KeyRange]) -> dict[bytes, bytes]:
    """The records that result from the ranges, which must be in order and hold their own rows."""
    after = dict(before)
    end = b""
    for one in ranges:
        assert end <= one.low < one.high
        end = one.high
        for key in [key for key in after if one.low <= key < one.high]:
            del after[key]
        for row in one.rows:
            key = record_key(descriptor, row)
            assert one.low <= key < one.high
            after[key] = encode_row(row[len(descriptor.keys) :])
    return after


class Follower:
    """Opens cut after cut and asks each for what changed since the one before."""

    def __init__(self, path: Path, folder: Path) -> None:
        self.path = path
        self.kept = folder / "kept"
        self.private = folder / "private"
        for one in (self.kept, self.private):
            one.mkdir()
        self.memo = b""
        self.state: State = {}
        self.shapes: dict[str, Descriptor] = {}
        self.guided = 0

    def follow(self) -> dict[str, int | None]:
        """Check one cut; the number of ranges by collection, None where it has to be read in full."""
        found: dict[str, int | None] = {}
        with closing(sqlite_source(self.path).open_cut(self.private)) as cut:
            after = whole(cut, sort=True)
            for descriptor in cut.descriptors():
                path = descriptor.path
                if self.shapes.get(path) != descriptor:
                    continue
                ranges = cut.changed_ranges(descriptor, self.memo, self.kept)
                found[path.removeprefix("database/")] = None if ranges is None else len(ranges)
                if ranges is not None:
                    assert applied(descriptor, self.state[path], ranges) == after[path], path
                    assert cut.count(descriptor) in (None, len(after[path]))
                    differing = self.state[path].items() ^ after[path].items()
                    assert len(ranges) == len({key for key, _ in differing}), path
                    self.guided += 1
            self.state, self.shapes = after, {one.path: one for one in cut.descriptors()}
            self.memo = cut.keep(self.kept)
        assert len(list(self.kept.iterdir())) == 1
        assert not list(self.private.iterdir())
        return found


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1 << 32), st.booleans())
def test_ranges_lead_from_each_state_to_the_next(
    tmp_path_factory: pytest.TempPathFactory, seed: int, wal: bool
) -> None:
    rng = random.Random(seed)
    folder = tmp_path_factory.mktemp("churn")
    with closing(create(folder / "t.db", rng, wal=wal)) as connection:
        follower = Follower(folder / "t.db", folder)
        for _ in range(STEPS):
            follower.follow()
            for _ in range(rng.choice((1, 1, 1, 3))):
                step(connection, rng)
        follower.follow()
    # Most tables are not touched by a step, and those at least need no reading.
    assert follower.guided >= STEPS


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Tables of 4,000 small rows, of 60 rows with long chains, with long keys in an index, and WITHOUT ROWID."""
    with closing(sqlite3.connect(tmp_path / "t.db", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE small (id TEXT PRIMARY KEY, v)")
        connection.execute("CREATE TABLE long (id INTEGER PRIMARY KEY, v, stamp)")
        connection.execute("CREATE TABLE packed (id TEXT PRIMARY KEY, v) WITHOUT ROWID")
        connection.execute("CREATE TABLE wide (id INTEGER PRIMARY KEY, v)")
        connection.execute("CREATE INDEX by_packed ON packed (v)")
        connection.execute("CREATE INDEX by_wide ON wide (v)")
        connection.execute("BEGIN")
        small = ((f"k{number:05}", "v" * (number % 90)) for number in range(4000))
        connection.executemany("INSERT INTO small VALUES (?, ?)", small)
        connection.executemany("INSERT INTO long VALUES (?, ?, 'old')", ((n, "l" * 30_000) for n in range(60)))
        connection.executemany("INSERT INTO wide VALUES (?, ?)", ((n, f"{n:04}" + "w" * 2500) for n in range(200)))
        packed = ((f"p{number:03}", "p" * (3000 if number % 9 == 0 else 20)) for number in range(300))
        connection.executemany("INSERT INTO packed VALUES (?, ?)", packed)
        connection.execute("COMMIT")
        yield connection


@pytest.fixture
def follower(tmp_path: Path, database: sqlite3.Connection) -> Follower:
    made = Follower(tmp_path / "t.db", tmp_path)
    made.follow()
    return made


NAMES = ("small", "long", "wide", "packed")


@pytest.mark.parametrize(
    ("work", "expected"),
    [
        ("SELECT 1", {}),
        ("UPDATE small SET v = 'other' WHERE rowid IN (7, 2000, 3999)", {"small": 3}),
        ("UPDATE small SET v = v || '' WHERE rowid < 500", {}),
        ("DELETE FROM small WHERE rowid BETWEEN 100 AND 120", {"small": 21}),
        ("UPDATE small SET id = 'x' || id WHERE rowid = 1000", {"small": 2}),
        ("UPDATE small SET rowid = 90000 WHERE rowid = 1000", {"small": 1}),
        ("INSERT INTO small SELECT 'n' || id, v FROM small LIMIT 90", {"small": 90}),
        # Of the same size, and behind the chain's first page: no leaf changes, only the last page of each chain.
        ("UPDATE long SET stamp = 'new' WHERE id IN (3, 40)", {"long": 2}),
        ("UPDATE long SET v = v || 'grown' WHERE id = 5", {"long": 1}),
        ("UPDATE long SET v = 'shrunk' WHERE id = 5", {"long": 1}),
        # The chains that change most are those of the index.
        ("UPDATE wide SET v = v || 'x' WHERE id = 5", {"wide": 1}),
        ("UPDATE packed SET v = 'q' WHERE id = 'p001'", {"packed": None}),
        ("UPDATE packed SET v = substr(v, 1, 2999) || 'q' WHERE id = 'p009'", {"packed": None}),
        ("CREATE INDEX extra ON small (v)", {}),
        ("UPDATE small SET v = 'most'", {"small": None}),
    ],
)
def test_what_is_read_is_what_changed(
    database: sqlite3.Connection, follower: Follower, work: str, expected: dict[str, int | None]
) -> None:
    database.execute(work)
    found = follower.follow()
    assert {name: found[name] for name in NAMES} == {name: expected.get(name, 0) for name in NAMES}


def test_a_table_that_moves_as_a_whole_is_read_in_full(database: sqlite3.Connection, follower: Follower) -> None:
    database.execute("DELETE FROM long WHERE id < 30")
    database.execute("VACUUM")
    assert follower.follow()["small"] is None
    assert set(follower.follow().values()) == {0}


def test_a_new_declaration_alone_asks_for_a_full_reading(database: sqlite3.Connection, follower: Follower) -> None:
    """A column's type decides how stored bytes are read, and can change while no page of the table does."""
    database.execute("CREATE TABLE typed (id INTEGER PRIMARY KEY, v INTEGER)")
    database.execute("INSERT INTO typed VALUES (1, 2)")
    follower.follow()
    database.execute("PRAGMA writable_schema=ON")
    database.execute("UPDATE sqlite_master SET sql = replace(sql, 'v INTEGER', 'v REAL') WHERE name = 'typed'")
    database.execute("PRAGMA writable_schema=RESET")
    found = follower.follow()
    assert (found["typed"], found["small"]) == (None, 0)


def test_pages_of_one_table_used_again_by_another_count_for_both(
    database: sqlite3.Connection, follower: Follower
) -> None:
    """The freed pages take rows of the same bytes: equal pages that belong to another table now."""
    database.execute("CREATE TABLE one (id INTEGER PRIMARY KEY, v)")
    database.execute("CREATE TABLE two (id INTEGER PRIMARY KEY, v)")
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)"
    rows = f"{numbers} SELECT i, hex(zeroblob(100)) FROM n"
    database.execute(f"INSERT INTO one {rows}")
    follower.follow()
    database.execute("BEGIN")
    database.execute("DELETE FROM one")
    database.execute(f"INSERT INTO two {rows}")
    database.execute("COMMIT")
    follower.follow()
    assert len(follower.state["database/two"]) == 300
    assert not follower.state["database/one"]


def test_more_than_the_share_is_left_to_a_full_reading(database: sqlite3.Connection, follower: Follower) -> None:
    assert DIRTY_SHARE_MAX < 0.5
    database.execute("UPDATE small SET v = 'half' WHERE rowid < 2000")
    assert follower.follow()["small"] is None


def test_the_page_of_file_locks_and_pointer_maps_hold_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA page_size=512")
        connection.execute("PRAGMA auto_vacuum=1")
        connection.execute("CREATE TABLE t (v)")
        connection.executemany("INSERT INTO t VALUES (?)", ((b"x" * 500,) for _ in range(400)))
        connection.commit()
    with closing(PageFile(path)) as file:
        # 102 entries of 5 bytes fit into 512: pages 2 and 105 and every 103rd are maps; 1 GiB / 512 is the lock page.
        found = [number for number in range(1, file.shape.pages) if file.is_never_data(number)]
        assert found[:3] == [2, 105, 208]
        assert file.is_never_data((1 << 30) // 512 + 1)
        assert not file.is_never_data((1 << 30) // 512 + 3)


def test_files_of_other_shapes_are_not_compared(tmp_path: Path) -> None:
    for number, pragma in enumerate(("page_size=1024", "page_size=4096", "encoding='UTF-16le'")):
        with closing(sqlite3.connect(tmp_path / f"{number}.db")) as connection:
            connection.execute(f"PRAGMA {pragma}")
            connection.execute("CREATE TABLE t (v)")
    (tmp_path / "3.db").write_bytes(b"no database")
    (tmp_path / "4.db").write_bytes((tmp_path / "1.db").read_bytes()[:-1])
    for number in (0, 2, 3, 4):
        with (
            pytest.raises(UnusualPagesError),
            closing(PageFile(tmp_path / "1.db")) as one,
            closing(PageFile(tmp_path / f"{number}.db")) as other,
        ):
            compare(one, other)


def _read(cut: Cut, descriptor: Descriptor) -> dict[bytes, bytes] | None:
    """All records of a collection; None where it is damaged."""
    records: dict[bytes, bytes] = {}
    try:
        for batch in cut.rows(descriptor, sort=True):
            records.update((record_key(descriptor, row), encode_row(row[len(descriptor.keys) :])) for row in batch)
    except CkptError:
        return None
    return records


# What a damaged file holds is a matter of opinion: always the same examples.
@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.integers(0, 1 << 32))
def test_a_damaged_live_file_gives_no_error_and_no_other_answer_than_a_full_reading(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    rng = random.Random(seed)
    folder = tmp_path_factory.mktemp("damage")
    path = folder / "t.db"
    with closing(create(path, rng, wal=False)) as connection:
        follower = Follower(path, folder)
        follower.follow()
        for _ in range(rng.randrange(3)):
            step(connection, rng)
        page_bytes = int(connection.execute("PRAGMA page_size").fetchone()[0])
        # It covers all columns, so that a reading in full may go by it, and damage to it would be no damage to rows.
        connection.execute("DROP INDEX IF EXISTS extra_packed")
    with path.open("r+b") as file:
        size = path.stat().st_size
        for _ in range(rng.choice((1, 2, 5))):
            # Anywhere, or in what a page begins with: its type, its count of cells, where they are.
            place = (
                rng.randrange(size)
                if rng.random() < 0.5
                else rng.randrange(size // page_bytes) * page_bytes + rng.randrange(40)
            )
            file.seek(max(place, 100))
            file.write(rng.randbytes(rng.choice((1, 1, 4))))
    try:
        cut = sqlite_source(path).open_cut(follower.private)
    except CkptError:
        return
    with closing(cut):
        for descriptor in cut.descriptors():
            if follower.shapes.get(descriptor.path) != descriptor:
                continue
            ranges = cut.changed_ranges(descriptor, follower.memo, follower.kept)
            full = _read(cut, descriptor)
            if ranges is None or full is None:
                continue
            after = applied(descriptor, follower.state[descriptor.path], ranges)
            # A save checks the count as well.
            assert after == full or cut.count(descriptor) != len(after)
