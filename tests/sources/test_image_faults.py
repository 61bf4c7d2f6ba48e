"""Captures that cannot be: each is one clear error, leaves nothing behind and holds no lock."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from maos_ckpt.errors import CkptError, PermissionRefusedError, SourceError, StorageError
from maos_ckpt.seams import SYSTEM
from maos_ckpt.sources.base import LOCK_STOP_S, LOCK_WAIT_S
from maos_ckpt.sources.sqlite import image, probe
from maos_ckpt.sources.sqlite.image import capture_image
from maos_ckpt.sources.sqlite.source import SqliteSource
from tests.sources.states import (
    CRASH_IN_TRANSACTION,
    HOLD_LOCK,
    HOLD_OPEN,
    TRY_WRITE,
    TestClock,
    another_process,
    as_nobody,
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


def test_an_interrupted_transaction_of_a_database_that_is_open_elsewhere_is_waited_for(
    database: Path, private: Path
) -> None:
    run_python(CRASH_IN_TRANSACTION, database)
    clock = TestClock()
    with (
        another_process(HOLD_OPEN, database) as other,
        pytest.raises(SourceError, match="interrupted transaction") as caught,
    ):
        SqliteSource(database, seams_with(clock)).open_cut(private)
    assert caught.value.data["pids"] == [other.pid]
    assert clock.slept_s >= LOCK_WAIT_S


def test_a_journal_that_names_further_files_is_refused(database: Path, private: Path) -> None:
    run_python(CRASH_IN_TRANSACTION, database)
    victim = database.parent / "victim"
    victim.write_text("mine")
    name = os.fsencode(victim)
    checksum = sum(name).to_bytes(4, "big")
    with open(f"{database}-journal", "ab") as journal:
        journal.write(b"\0\0\0\0" + name + len(name).to_bytes(4, "big") + checksum + probe.JOURNAL_MAGIC)
    with pytest.raises(SourceError, match="several databases"):
        sqlite_source(database).open_cut(private)
    assert victim.read_text() == "mine"
    assert snapshot(private) == {}


def test_a_lock_that_never_ends_is_reported_with_its_holder(database: Path, private: Path) -> None:
    clock = TestClock()
    with (
        another_process(HOLD_LOCK, database) as other,
        pytest.raises(SourceError, match="was locked for 10 s") as caught,
    ):
        SqliteSource(database, seams_with(clock)).open_cut(private)
    assert f"(pid {other.pid})" in caught.value.message
    assert caught.value.data["pids"] == [other.pid]
    assert LOCK_WAIT_S <= clock.slept_s < LOCK_WAIT_S + 1
    assert snapshot(private) == {}


def test_a_lock_that_ends_in_time_is_waited_out(database: Path, private: Path) -> None:
    code = HOLD_LOCK.replace("time.sleep(60)", "time.sleep(0.3); c.execute('COMMIT'); time.sleep(60)")
    with another_process(code, database):
        began_s = SYSTEM.clock.monotonic_s()
        with closing(sqlite_source(database).open_cut(private)) as cut:
            waited_s = SYSTEM.clock.monotonic_s() - began_s
            assert waited_s > 0.2
            assert cut.lock_s < 0.2, "the wait is not part of the time the lock was held"


def test_a_copy_that_takes_too_long_is_given_up_and_the_lock_freed(database: Path, private: Path) -> None:
    clock = TestClock(tick_s=LOCK_STOP_S)
    with pytest.raises(SourceError, match=r"longer than the 2\.5 s"):
        SqliteSource(database, seams_with(clock)).open_cut(private)
    assert snapshot(private) == {}
    assert run_python(TRY_WRITE, database) == "written\n"


def test_a_backup_that_takes_too_long_is_given_up(tmp_path: Path, private: Path) -> None:
    path = tmp_path / "live.db"
    make_rows(path, wal=True)
    with closing(sqlite3.connect(path)) as owner:
        owner.execute("SELECT * FROM t").fetchone()
        clock = TestClock(tick_s=image.WAL_READ_STOP_S)
        with pytest.raises(SourceError, match="took longer"):
            SqliteSource(path, seams_with(clock)).open_cut(private)
    assert snapshot(private) == {}


def test_a_file_that_is_replaced_again_and_again_is_given_up(database: Path, private: Path) -> None:
    def replace() -> None:
        shutil.copy(database, database.with_name("next"))
        os.replace(database.with_name("next"), database)

    with pytest.raises(SourceError, match="was replaced"):
        capture_image(database, private, SYSTEM, replace)
    assert snapshot(private) == {}


def test_a_full_disk_is_a_storage_error_and_leaves_nothing(
    database: Path, private: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "copy_file_range", full)
    with pytest.raises(StorageError, match="No space left"):
        sqlite_source(database).open_cut(private)
    assert snapshot(private) == {}
    assert run_python(TRY_WRITE, database) == "written\n"


def bad_inputs(tmp_path: Path) -> dict[str, tuple[Path, str]]:
    make_rows(tmp_path / "good.db", 2000)
    good = (tmp_path / "good.db").read_bytes()
    cases = {
        "missing": (None, "does not exist"),
        "empty": (b"", "is empty"),
        "text": (b"hello, world\n" * 100, "not a SQLite database"),
        "short": (good[:90], "not a SQLite database"),
        "truncated": (good[: len(good) // 2 // 4096 * 4096], "is cut off"),
        "odd page size": (good[:16] + b"\x01\x23" + good[18:], "is damaged in its header"),
        "schema": (good[:100] + bytes(range(256)) * 12 + good[3172:], "is damaged"),
    }
    found = {}
    for name, (data, match) in cases.items():
        path = tmp_path / f"{name}.db"
        if data is not None:
            path.write_bytes(data)
        found[name] = path, match
    (tmp_path / "folder.db").mkdir()
    os.mkfifo(tmp_path / "pipe.db")
    found["folder"] = tmp_path / "folder.db", "not a regular file"
    found["pipe"] = tmp_path / "pipe.db", "not a regular file"
    return found


def test_every_bad_input_is_one_clear_error_that_keeps_everything(tmp_path: Path, private: Path) -> None:
    for name, (path, match) in bad_inputs(tmp_path).items():
        with pytest.raises(SourceError, match=match) as caught:
            sqlite_source(path).open_cut(private)
        error = caught.value
        assert error.kept, name
        assert error.hint, name
        assert str(path) in error.message, name
        assert snapshot(private) == {}, name
        if name in ("missing", "empty", "short", "folder"):
            assert sqlite_source(path).token() == b"", name


def test_a_damaged_page_is_reported_with_its_table(tmp_path: Path, private: Path) -> None:
    path = tmp_path / "live.db"
    make_rows(path, 5000)
    with open(path, "r+b") as file:
        file.seek(path.stat().st_size // 2 // 4096 * 4096)
        file.write(b"\xa5" * 4096 * 20)
    with closing(sqlite_source(path).open_cut(private)) as cut, pytest.raises(SourceError, match="at table t"):
        rows_of(cut, "database/t")


def test_a_file_that_may_not_be_read_is_a_refused_permission(database: Path, private: Path) -> None:
    database.chmod(0)
    with as_nobody(), pytest.raises(PermissionRefusedError, match="refuses to read") as caught:
        sqlite_source(database).open_cut(private)
    assert caught.value.kept
    assert caught.value.hint


def test_more_databases_than_descriptors_can_be_captured_one_after_the_other(
    tmp_path: Path, private: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "DESCRIPTORS_MAX", 3)
    monkeypatch.setattr(probe, "_descriptors", {})
    for number in range(6):
        path = tmp_path / f"{number}.db"
        make_rows(path, 3)
        assert capture(sqlite_source(path), private)
    assert len(probe._descriptors) <= 3
    # Those that have a connection of this process on them stay.
    held = tmp_path / "0.db"
    with closing(sqlite3.connect(held, isolation_level=None)) as ours:
        ours.execute("BEGIN IMMEDIATE")
        for number in range(6):
            assert capture(sqlite_source(tmp_path / f"{number}.db"), private)
        assert run_python(TRY_WRITE, held) == "SQLITE_BUSY\n"


def test_the_descriptor_of_a_deleted_database_is_given_back(tmp_path: Path, private: Path) -> None:
    gone, next_one = tmp_path / "gone.db", tmp_path / "next.db"
    make_rows(gone, 3)
    make_rows(next_one, 3)
    capture(sqlite_source(gone), private)
    key = (gone.stat().st_dev, gone.stat().st_ino)
    assert key in probe._descriptors
    gone.unlink()
    capture(sqlite_source(next_one), private)
    assert key not in probe._descriptors


def test_errors_say_no_more_of_a_command_line_than_its_program(database: Path, private: Path) -> None:
    code = HOLD_LOCK + "# --api-key=hunter2"
    with another_process(code, database, "--api-key=hunter2"), pytest.raises(CkptError) as caught:
        SqliteSource(database, seams_with(TestClock())).open_cut(private)
    assert "hunter2" not in str(caught.value.message) + str(caught.value.data)
