"""What is copied before the lock is put right under it, whatever happened to the file in between."""

from __future__ import annotations

import os
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from maos_ckpt.seams import SYSTEM
from maos_ckpt.sources.sqlite import ahead, probe
from maos_ckpt.sources.sqlite.ahead import CopyAhead
from maos_ckpt.sources.sqlite.image import capture_image

ROWS = 3000


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "live.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT)")
        rng = random.Random(1)
        connection.executemany("INSERT INTO t VALUES (?, ?)", ((at, rng.randbytes(200).hex()) for at in range(ROWS)))
    # As if nobody had written for an hour.
    then_s = path.stat().st_mtime - 3600
    os.utime(path, (then_s, then_s))
    return path


def execute(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for one in statements:
            connection.execute(one)


def change(path: Path) -> None:
    execute(path, "UPDATE t SET text = 'changed' WHERE id % 100 = 7")


def grow(path: Path) -> None:
    execute(path, "INSERT INTO t SELECT id + 100000, text FROM t")


def shrink(path: Path) -> None:
    execute(path, "DELETE FROM t WHERE id > 50", "VACUUM")


def other_pages(path: Path) -> None:
    execute(path, "PRAGMA page_size = 8192", "VACUUM")


def nothing(path: Path) -> None:
    """As it is."""


def finished(path: Path, copy: CopyAhead) -> None:
    fd = probe.live_descriptor(path)
    copy.finish(fd, os.fstat(fd).st_size, probe.fingerprint(path, frozen=True), lambda: None)


@pytest.mark.parametrize("between", [nothing, change, grow, shrink, other_pages])
def test_the_copy_is_the_file_as_it_is_under_the_lock(
    database: Path, tmp_path: Path, between: Callable[[Path], None]
) -> None:
    copy = CopyAhead(database, tmp_path / "copy.db", SYSTEM)
    copy.begin()
    between(database)
    finished(database, copy)
    assert (tmp_path / "copy.db").read_bytes() == database.read_bytes()


@pytest.mark.parametrize("settled", [True, False])
def test_only_what_moved_is_written_under_the_lock_and_nothing_where_the_file_stood(
    database: Path, tmp_path: Path, settled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not settled:
        os.utime(database)
    copy = CopyAhead(database, tmp_path / "copy.db", SYSTEM)
    copy.begin()
    compared: list[int] = []
    real = ahead.compare
    monkeypatch.setattr(ahead, "copy_range", None)
    monkeypatch.setattr(ahead, "compare", lambda *one: compared.append(1) or real(*one))
    finished(database, copy)
    # A file that was written to a moment ago is looked at again: its time may not show another change.
    assert len(compared) == (0 if settled else 1)
    change(database)
    finished(database, copy)
    assert len(compared) == (1 if settled else 2)
    assert (tmp_path / "copy.db").read_bytes() == database.read_bytes()


def test_a_transaction_that_spills_and_is_taken_back_during_the_copy_leaves_nothing_in_it(
    database: Path, tmp_path: Path
) -> None:
    before = database.read_bytes()
    with closing(sqlite3.connect(database, isolation_level=None)) as writer:
        writer.execute("PRAGMA cache_size = 5")
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE t SET text = text || 'spilled'")
        assert database.read_bytes() != before
        copy = CopyAhead(database, tmp_path / "copy.db", SYSTEM)
        copy.begin()
        writer.execute("ROLLBACK")
    assert (tmp_path / "copy.db").read_bytes() != before
    finished(database, copy)
    assert (tmp_path / "copy.db").read_bytes() == before


def test_a_disk_that_is_full_before_the_lock_is_told_under_it(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, times = ahead.copy_range, []

    def full_once(*arguments: object) -> None:
        times.append(1)
        if len(times) == 1:
            raise OSError(28, "No space left on device")
        real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(ahead, "copy_range", full_once)
    private = tmp_path / "private"
    private.mkdir()
    taken = capture_image(database, private, SYSTEM, lambda: None)
    assert taken.path.read_bytes() == database.read_bytes()
    taken.close()
