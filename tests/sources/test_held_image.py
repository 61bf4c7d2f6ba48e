"""Reading a held database in place: what was there, under a lock that nothing of it drops, and nothing is left open."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from maos_ckpt.errors import SourceError
from maos_ckpt.model import Descriptor
from maos_ckpt.seams import SYSTEM
from maos_ckpt.sources.base import Cut
from maos_ckpt.sources.sqlite.held_image import look_at_held
from maos_ckpt.sources.sqlite.live import Held, hold
from maos_ckpt.sources.sqlite.source import SqliteSource

#: Prints whether another process can get the lock.
TRY = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None)
try:
    connection.execute("BEGIN IMMEDIATE")
    print("free")
except sqlite3.OperationalError:
    print("locked")
"""


def lock_of(path: Path) -> str:
    return subprocess.run([sys.executable, "-c", TRY, str(path)], capture_output=True, text=True, check=True).stdout


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "live.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v)")
        connection.executemany("INSERT INTO t VALUES (?, ?)", ((number, "x" * 500) for number in range(400)))
    return path


def rows_of(held: Held, path: Path, directory: Path) -> list[object]:
    cut: Cut
    with closing(SqliteSource(path, SYSTEM).open_cut(directory, held)) as cut:
        found: Descriptor = next(one for one in cut.descriptors() if one.name == "t")
        return [row[1] for batch in cut.rows(found) for row in batch]


def test_it_is_read_in_place_and_the_lock_outlasts_its_readers(database: Path, tmp_path: Path) -> None:
    (tmp_path / "cut").mkdir()
    with hold(database, SYSTEM) as held:
        assert len(rows_of(held, database, tmp_path / "cut")) == 400
        assert list((tmp_path / "cut").iterdir()) == [], "nothing is copied"
        assert lock_of(database) == "locked\n"
        held.connection.execute("UPDATE t SET v = 'new'")
        held.commit()
        assert lock_of(database) == "free\n"
        with held.again():
            assert rows_of(held, database, tmp_path / "cut") == ["new"] * 400
            assert lock_of(database) == "locked\n"
        assert lock_of(database) == "free\n"
    names = [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if is_link(fd)]
    assert names.count(str(database)) == 1, "only the descriptor that is never closed"
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def is_link(fd: str) -> bool:
    try:
        return bool(os.readlink(f"/proc/self/fd/{fd}"))
    except OSError:
        return False


def test_a_reader_is_as_new_to_the_next_one(database: Path, tmp_path: Path) -> None:
    with hold(database, SYSTEM) as held:
        image = look_at_held(held, tmp_path, SYSTEM, lambda: None)
        with closing(image.open()) as first:
            first.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 100)
            first.text_factory = bytes
        with closing(image.open()) as second:
            assert second is first
            assert second.execute("SELECT v FROM t").fetchone() == ("x" * 500,)
            second.create_collation("mine", lambda a, b: 0)
        with closing(image.open()) as third:
            assert third is not second


def test_what_is_kept_of_it_is_a_copy(database: Path, tmp_path: Path) -> None:
    for name in ("cut", "kept"):
        (tmp_path / name).mkdir()
    before = database.read_bytes()
    with (
        hold(database, SYSTEM) as held,
        closing(SqliteSource(database, SYSTEM).open_cut(tmp_path / "cut", held)) as cut,
    ):
        assert cut.keep(tmp_path / "kept")
    (kept,) = (tmp_path / "kept").iterdir()
    assert kept.read_bytes() == before == database.read_bytes()
    assert kept.stat().st_ino != database.stat().st_ino


def test_the_lock_is_not_taken_again_where_another_file_stands_there(database: Path, tmp_path: Path) -> None:
    with hold(database, SYSTEM) as held:
        held.commit()
        os.replace(database, tmp_path / "moved.db")
        database.touch()
        with pytest.raises(SourceError), held.again():
            pytest.fail("another file stands there")
