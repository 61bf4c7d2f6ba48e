"""Captures of a MAOS that keeps writing: it never notices, and every capture is one moment."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest

from maos_ckpt.model import Row
from maos_ckpt.seams import SYSTEM
from maos_ckpt.sources.base import LOCK_BUDGET_S
from maos_ckpt.sources.maos.layout import Layout
from maos_ckpt.sources.maos.source import MaosSource
from maos_ckpt.sources.sqlite.cut import DatabaseImage
from tests.lab.schemas import create_schema
from tests.lab.writers import LiveMaos
from tests.sources.states import find, rows_of, sqlite_source, whole

CAPTURES = 30


def check_consistent(image: DatabaseImage) -> None:
    with closing(image.image.open()) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


@pytest.fixture
def source(tmp_path: Path) -> MaosSource:
    for name in ("work", "home", "private"):
        (tmp_path / name).mkdir()
    return MaosSource(Layout.of(tmp_path / "work", tmp_path / "home" / ".claude", tmp_path / "home"), SYSTEM)


@pytest.mark.parametrize("wal", [False, True])
def test_thirty_captures_beside_eight_writing_coroutines_cost_them_no_error(
    tmp_path: Path, source: MaosSource, wal: bool
) -> None:
    database, private = source.layout.database, tmp_path / "private"
    if wal:
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("PRAGMA journal_mode=WAL").fetchone()
            create_schema(connection, "0.9")
    locks_s: list[float] = []
    messages: list[list[Row]] = []
    with LiveMaos(source.layout.directory, source.layout.claude_home, rate_per_s=50, concurrency=8) as maos:
        for _ in range(CAPTURES):
            SYSTEM.clock.sleep(0.05)
            image = DatabaseImage.capture(database, private, SYSTEM, lambda: None)
            check_consistent(image)
            image.close()
            with closing(sqlite_source(database).open_cut(private)) as cut:
                assert whole(cut)
                assert ("pragma", "journal_mode", "", "wal" if wal else "delete") in rows_of(cut, "database/schema")
                messages.append(rows_of(cut, "database/messages"))
                locks_s.append(cut.lock_s)
        report = maos.stop()
    assert report["errors"] == []
    stall_s = report["stall_max_s"]
    assert isinstance(stall_s, float)
    assert stall_s < 2.0
    assert max(locks_s) < LOCK_BUDGET_S
    for earlier, later in pairwise(messages):
        assert len(later) >= len(earlier)
        assert [row[0] for row in later[: len(earlier)]] == [row[0] for row in earlier]
    assert len(messages[-1]) > len(messages[0])


def test_a_live_maos_is_captured_whole_without_its_noticing(tmp_path: Path, source: MaosSource) -> None:
    memo = b""
    with LiveMaos(source.layout.directory, source.layout.claude_home, rate_per_s=50, concurrency=8) as maos:
        for _ in range(10):
            SYSTEM.clock.sleep(0.1)
            with closing(source.open_cut(tmp_path / "private")) as cut:
                state = whole(cut)
                assert cut.lock_s < LOCK_BUDGET_S
                assert cut.skew_s < LOCK_BUDGET_S
                assert state["agents/agents"]
                lines = rows_of(cut, "memory/transcripts")
                assert lines
                for _, _, text in lines:
                    assert json.loads(str(text)), "a line is never torn"
                if memo:
                    ranges = cut.changed_ranges(find(cut, "memory/transcripts"), memo)
                    assert ranges is not None
                    assert sum(len(one.rows) for one in ranges) < len(lines)
                memo = cut.memo
        report = maos.stop()
    assert report["errors"] == []
