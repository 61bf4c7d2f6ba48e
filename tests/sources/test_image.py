"""Private images of live databases: consistent, unfelt, and without a trace in the source."""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from maos_ckpt.seams import SYSTEM
from maos_ckpt.sources.sqlite import ahead, copying, image
from maos_ckpt.sources.sqlite.image import capture_image
from maos_ckpt.sources.sqlite.source import SqliteSource
from tests.lab.values import make_hard_database
from tests.sources.states import (
    CRASH_IN_TRANSACTION,
    TRY_WRITE,
    TestClock,
    capture,
    make_rows,
    rows_of,
    run_python,
    seams_with,
    snapshot,
    sqlite_source,
)


@pytest.fixture
def private(tmp_path: Path) -> Path:
    directory = tmp_path / "private"
    directory.mkdir()
    return directory


@pytest.fixture
def database(tmp_path: Path) -> Path:
    (tmp_path / "live").mkdir()
    path = tmp_path / "live" / "a b%20?#'.db"
    make_rows(path)
    return path


def test_the_image_of_a_rollback_database_is_the_file_byte_for_byte(database: Path, private: Path) -> None:
    taken = capture_image(database, private, SYSTEM, lambda: None)
    assert taken.path.read_bytes() == database.read_bytes()
    assert stat.S_IMODE(taken.path.stat().st_mode) == 0o600
    assert taken.journal_mode == "delete"
    taken.close()
    taken.close()
    assert snapshot(private) == {}


@pytest.mark.parametrize("wal", [False, True])
def test_a_capture_leaves_every_file_of_the_source_as_it_was(tmp_path: Path, private: Path, wal: bool) -> None:
    live = tmp_path / "live"
    live.mkdir()
    make_hard_database(live / "hard.db", wal=wal)
    before = snapshot(live)
    assert capture(sqlite_source(live / "hard.db"), private)
    assert snapshot(live) == before


def test_rows_that_are_only_in_the_log_of_a_writing_process_are_captured_and_the_log_stays(
    tmp_path: Path, private: Path
) -> None:
    path = tmp_path / "live.db"
    make_rows(path, 10, wal=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as owner:
        owner.execute("PRAGMA wal_autocheckpoint=0")
        owner.execute("INSERT INTO t VALUES ('only in the log', 1)")
        main, log = path.read_bytes(), Path(f"{path}-wal").read_bytes()
        assert len(log) > 4096
        with closing(sqlite_source(path).open_cut(private)) as cut:
            assert len(rows_of(cut, "database/t")) == 11
            assert ("pragma", "journal_mode", "", "wal") in rows_of(cut, "database/schema")
        assert (path.read_bytes(), Path(f"{path}-wal").read_bytes()) == (main, log)


def test_the_last_process_that_looks_at_a_log_does_not_fold_it_in(tmp_path: Path, private: Path) -> None:
    path = tmp_path / "live.db"
    make_rows(path, 10, wal=True)
    run_python(
        "c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "c.execute(\"INSERT INTO t VALUES ('after', 1)\")\nos._exit(9)",
        path,
    )
    before = {name: data for name, data in snapshot(tmp_path).items() if not name.endswith("-shm")}
    assert "live.db-wal" in before
    with closing(sqlite_source(path).open_cut(private)) as cut:
        assert len(rows_of(cut, "database/t")) == 11
    assert {name: data for name, data in snapshot(tmp_path).items() if not name.endswith("-shm")} == before


def test_a_closed_wal_database_gets_no_new_files_from_being_captured(tmp_path: Path, private: Path) -> None:
    path = tmp_path / "closed.db"
    make_rows(path, 10, wal=True)
    assert sorted(snapshot(tmp_path)) == ["closed.db"]
    with closing(sqlite_source(path).open_cut(private)) as cut:
        assert len(rows_of(cut, "database/t")) == 10
        assert ("pragma", "journal_mode", "", "wal") in rows_of(cut, "database/schema")
    assert sorted(snapshot(tmp_path)) == ["closed.db"]


def test_a_log_without_its_index_is_folded_into_the_copy_only(tmp_path: Path, private: Path) -> None:
    path = tmp_path / "hard.db"
    make_hard_database(path, wal=True)
    before = snapshot(tmp_path)
    with closing(sqlite_source(path).open_cut(private)) as cut:
        assert rows_of(cut, "database/no_key")
        assert "folded into the checkpoint" in cut.notes[0]
    assert snapshot(tmp_path) == before


def test_an_interrupted_transaction_is_rolled_back_in_the_copy_only(database: Path, private: Path) -> None:
    expected = capture(sqlite_source(database), private)
    run_python(CRASH_IN_TRANSACTION, database)
    before = snapshot(database.parent)
    assert any(name.endswith("-journal") for name in before)
    with closing(sqlite_source(database).open_cut(private)) as cut:
        assert "rolled back in the checkpoint" in cut.notes[0]
    assert capture(sqlite_source(database), private) == expected
    assert snapshot(database.parent) == before


def test_a_writer_that_commits_during_a_stepwise_backup_is_not_in_it_and_does_not_restart_it(
    tmp_path: Path, private: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "live.db"
    make_rows(path, 2000, wal=True)
    monkeypatch.setattr(image, "PIECE_BYTES", 8 * 4096)
    with closing(sqlite3.connect(path, isolation_level=None)) as owner:
        owner.execute("SELECT * FROM t").fetchone()

        class Writing(TestClock):
            looks = 0

            def monotonic_s(self) -> float:
                self.looks += 1
                owner.execute("INSERT INTO t VALUES (?, 1)", (f"late {self.looks}",))
                return super().monotonic_s()

        clock = Writing()
        with closing(SqliteSource(path, seams_with(clock)).open_cut(private)) as cut:
            names = [row[0] for row in rows_of(cut, "database/t")]
        steps = clock.looks
        late = [name for name in names if str(name).startswith("late")]
        assert len(names) - len(late) == 2000
        assert len(late) < 5 < steps, "only what was committed before the read transaction began"


def test_no_other_process_writes_inside_our_transaction_while_captures_come_and_go(
    database: Path, private: Path
) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as ours:
        ours.execute("BEGIN IMMEDIATE")
        for _ in range(5):
            capture(sqlite_source(database), private)
            sqlite_source(database).token()
            assert run_python(TRY_WRITE, database) == "SQLITE_BUSY\n"
        ours.execute("INSERT INTO t VALUES ('ours', 1)")
        ours.execute("COMMIT")
    # The trap is real: a descriptor that is closed takes the lock with it.
    with closing(sqlite3.connect(database, isolation_level=None)) as ours:
        ours.execute("BEGIN IMMEDIATE")
        os.close(os.open(database, os.O_RDONLY))
        assert run_python(TRY_WRITE, database) == "written\n"


def test_writers_wait_while_the_view_is_frozen_and_go_on_afterwards(database: Path, private: Path) -> None:
    answers = []
    taken = capture_image(database, private, SYSTEM, lambda: answers.append(run_python(TRY_WRITE, database)))
    taken.close()
    assert answers == ["SQLITE_BUSY\n"]
    assert run_python(TRY_WRITE, database) == "written\n"


def test_a_file_that_is_replaced_during_the_capture_is_captured_as_the_new_one(database: Path, private: Path) -> None:
    other = database.with_name("other.db")
    make_rows(other, 7)
    moves = [other]

    def replace_once() -> None:
        for one in moves:
            os.replace(one, database)
        moves.clear()

    taken = capture_image(database, private, SYSTEM, replace_once)
    with closing(taken.open()) as connection:
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (7,)
    taken.close()


def test_a_journal_mode_that_changes_before_the_lock_is_taken_starts_over(
    database: Path, private: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as owner:
        real = ahead.CopyAhead.begin

        def switch(copy: ahead.CopyAhead) -> None:
            real(copy)
            owner.execute("PRAGMA journal_mode=WAL").fetchone()

        monkeypatch.setattr(ahead.CopyAhead, "begin", switch)
        taken = capture_image(database, private, SYSTEM, lambda: None)
        assert taken.journal_mode == "wal"
        taken.close()


def test_file_systems_without_copies_in_the_kernel_are_copied_by_reading(
    database: Path, private: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(os, "copy_file_range", refuse)
    monkeypatch.setattr(copying, "PIECE_BYTES", 10_000)
    taken = capture_image(database, private, SYSTEM, lambda: None)
    assert taken.path.read_bytes() == database.read_bytes()
    taken.close()
