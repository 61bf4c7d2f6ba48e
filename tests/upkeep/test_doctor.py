"""The doctor tries what a save is going to need, and says what to do about what fails."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from maos_ckpt import doctor
from maos_ckpt.config import load
from maos_ckpt.doctor import Check
from maos_ckpt.operations.checks import examine
from maos_ckpt.repository.lease import try_lock
from maos_ckpt.seams import SYSTEM, SystemClock

from .conftest import Shelf
from .test_retention import seams_with


def checks(shelf: Shelf, *, read_only: bool = False) -> dict[str, Check]:
    flags: dict[str, tuple[str, object]] = {
        "storage.local.path": ("--repo", str(shelf.path)),
        "claude_home": ("--claude-home", str(shelf.home)),
        "read_only": ("--read-only", read_only),
        "sources": ("--source", [shelf.source.spec]),
    }
    settings = load(cwd=shelf.directory, flags=flags, variables={}, config_home=shelf.directory)
    return {one.name: one for one in examine(settings, shelf.directory, SYSTEM)}


def database(shelf: Shelf) -> Path:
    return shelf.directory / "maos.db"


def failed(shelf: Shelf) -> dict[str, str]:
    return {name: one.detail for name, one in checks(shelf).items() if not one.ok}


def test_a_sound_system_passes_and_nothing_is_left_behind(shelf: Shelf) -> None:
    shelf.save()
    assert failed(shelf) == {}
    found = checks(shelf)
    assert {"lock", "database", "schema", "lease", "disk", "permissions", "clock", "repository"} <= set(found)
    assert "read lock held for 0." in found["lock"].detail
    assert "7 tables of a MAOS" in found["schema"].detail
    assert list((shelf.path / "tmp").iterdir()) == []


def test_a_source_that_stays_locked_is_named(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maos_ckpt.sources.sqlite.image.LOCK_WAIT_S", 0.2)
    with closing(sqlite3.connect(database(shelf), isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        assert "lock" in failed(shelf)["lock"]


def test_a_damaged_page_is_found_on_the_copy(shelf: Shelf) -> None:
    with closing(sqlite3.connect(database(shelf))) as connection:
        page = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'tasks'").fetchone()[0]
        size = connection.execute("PRAGMA page_size").fetchone()[0]
    with database(shelf).open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * 64)
    assert "restore" in failed(shelf)["database"]


def test_a_quick_check_ends_in_time(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "QUICK_CHECK_S", -1.0)
    monkeypatch.setattr(doctor, "_STEPS_PER_LOOK", 1)
    found = checks(shelf)["database"]
    assert found.ok
    assert "may take" in found.detail


def test_a_database_without_the_tables_of_a_maos_is_doubted(shelf: Shelf) -> None:
    with closing(sqlite3.connect(database(shelf))) as connection, connection:
        connection.execute("DROP TABLE tasks")
    assert "tasks" in failed(shelf)["schema"]


def test_whoever_holds_the_lease_for_long_is_named(shelf: Shelf) -> None:
    class Earlier(SystemClock):
        def now_ms(self) -> int:
            return super().now_ms() - 3_600_000

    for seams, ok in ((SYSTEM, True), (seams_with(Earlier()), False)):
        lock = try_lock(shelf.path / "lease", "save", seams)
        assert lock is not None
        found = checks(shelf)["lease"]
        lock.release()
        assert found.ok is ok
        assert "(save)" in found.detail
    assert checks(shelf)["lease"].detail == "the lease is free"
    assert "lease" not in checks(shelf, read_only=True)


def test_damaged_manifests_and_lost_marks_are_named_with_what_to_do(shelf: Shelf) -> None:
    shelf.save()
    marks = shelf.path / "marks"
    shutil.rmtree(marks)
    assert "next save" in failed(shelf)["repository"]
    marks.mkdir()
    next((shelf.path / "manifests").iterdir()).write_bytes(b"garbage")
    assert "verify --all" in failed(shelf)["repository"]


def test_the_disk_must_hold_the_next_saves(shelf: Shelf) -> None:
    free = shutil.disk_usage(shelf.path).free
    assert doctor.check_disk(shelf.path, 0).ok
    short = doctor.check_disk(shelf.path, free * 2)
    assert not short.ok
    assert "maos-ckpt prune" in short.detail


def test_a_clock_behind_the_newest_checkpoint_is_named(shelf: Shelf) -> None:
    newest = shelf.save()
    assert doctor.check_clock(SYSTEM, newest.created_at_ms).ok
    assert "set back" in doctor.check_clock(SYSTEM, newest.created_at_ms + 3_600_000).detail
