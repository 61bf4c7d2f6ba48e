"""Recoveries into a MAOS that keeps writing, and recoveries that are killed."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from maos_ckpt.seams import SYSTEM
from maos_ckpt.sources.sqlite.held_image import capture_held
from maos_ckpt.sources.sqlite.live import hold, last_recovery, release_fence
from maos_ckpt.sources.sqlite.reread import differing
from maos_ckpt.sources.sqlite.write import apply_changes
from tests.lab.build import build_state
from tests.lab.mutate import mutate
from tests.lab.values import dump_exact
from tests.lab.writers import LiveMaos
from tests.sources.changes import changes_between

ROOT: Final = Path(__file__).resolve().parents[2]
ENVIRONMENT: Final = os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT / "engine"), str(ROOT)))}
RECOVERIES: Final = 50
KILLS: Final = 15


def copy_of(path: Path, target: Path) -> Path:
    with closing(sqlite3.connect(path, timeout=10)) as live, closing(sqlite3.connect(target)) as copy:
        live.backup(copy, pages=-1)
    return target


def change_to_wal(database: Path) -> None:
    """Changing the mode takes the whole file, and SQLite waits for nobody there: it takes several attempts."""
    with closing(sqlite3.connect(database, timeout=10)) as connection:
        for _ in range(500):
            with contextlib.suppress(sqlite3.OperationalError):
                assert connection.execute("PRAGMA journal_mode = WAL").fetchone() == ("wal",)
                return
            time.sleep(0.01)
    raise AssertionError("MAOS never left the database alone")


@pytest.mark.parametrize("wal", [False, True], ids=["rollback journal", "WAL"])
def test_fifty_recoveries_at_fifty_writes_a_second_give_maos_no_error(tmp_path: Path, wal: bool) -> None:
    stalls: list[float] = []
    attempts: list[int] = []
    with LiveMaos(tmp_path / "work", tmp_path / "claude", rate_per_s=50, concurrency=8) as maos:
        if wal:
            change_to_wal(maos.database)
        time.sleep(0.5)
        wanted = copy_of(maos.database, tmp_path / "wanted.db")
        for number in range(RECOVERIES):
            time.sleep(0.05)
            with hold(maos.database, SYSTEM) as held:
                image = capture_held(held, tmp_path, SYSTEM, lambda: None)
                changes = changes_between(image.path, wanted)
                assert changes
                apply_changes(held.connection, changes, sequences="set")
                assert differing(held.connection, changes) == []
                held.mark(f"r{number}")
            image.close()
            stalls.append(held.stall_s)
            attempts.append(held.attempts)
        release_fence(held, f"r{RECOVERIES - 1}")
        with hold(maos.database, SYSTEM) as held:
            image = capture_held(held, tmp_path, SYSTEM, lambda: None)
            changes = changes_between(image.path, wanted)
            apply_changes(held.connection, changes, sequences="set")
        image.close()
        with hold(maos.database, SYSTEM) as held:
            # Between two holds MAOS may write; under one it cannot: this one only looks.
            image = capture_held(held, tmp_path, SYSTEM, lambda: None)
        left = changes_between(image.path, wanted)
        image.close()
        report = maos.stop()
    assert report["errors"] == []
    assert len(left) < len(changes) + 20
    figures = f"stalls: mean {sum(stalls) / len(stalls):.3f} s, longest {max(stalls):.3f} s, attempts {max(attempts)}"
    assert max(stalls) < 4.0, figures
    assert isinstance(report["stall_max_s"], float)
    assert report["stall_max_s"] < 5.0, figures
    with closing(sqlite3.connect(maos.database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


@pytest.mark.parametrize("wal", [False, True], ids=["rollback journal", "WAL"])
def test_killed_at_random_moments_the_database_is_as_before_or_as_after(tmp_path: Path, wal: bool) -> None:
    rng = random.Random(11)
    state = build_state(tmp_path / "work", tmp_path / "claude", 3 << 20, seed=5)
    with closing(sqlite3.connect(state.database)) as connection:
        connection.execute(f"PRAGMA journal_mode = {'wal' if wal else 'delete'}")
    wanted = copy_of(state.database, tmp_path / "wanted.db")
    mutate(state.directory, 0.3, 7)
    spoilt = tmp_path / "spoilt.db"
    shutil.copyfile(state.database, spoilt)
    live = tmp_path / "live" / "maos.db"
    live.parent.mkdir()
    seen = {"before": 0, "after": 0}
    took_s = 0.3
    for number in range(KILLS):
        for old in live.parent.iterdir():
            old.unlink()
        shutil.copyfile(spoilt, live)
        command = [sys.executable, "-m", "tests.recovery.applier", str(live), str(wanted)]
        with subprocess.Popen(
            command, cwd=ROOT, env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            began = time.monotonic()
            process.stdin.write("\n")
            process.stdin.flush()
            if number == 0:
                assert process.stdout.readline() == "done\n"
                took_s = time.monotonic() - began
            else:
                time.sleep(rng.uniform(0, took_s * 1.2))
            process.kill()
        committed = last_recovery(live)
        target = wanted if committed == "r1" else spoilt
        seen["after" if committed == "r1" else "before"] += 1
        assert changes_between(live, target) == []
        with closing(sqlite3.connect(live)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert seen["before"] > 2
    assert seen["after"] > 0
    assert dump_exact(spoilt) != dump_exact(wanted)
