"""The fingerprint of a live state: taken without a lock, cheap, and different after every change."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from maos_ckpt.seams import SYSTEM
from maos_ckpt.sources.maos.layout import Layout
from maos_ckpt.sources.maos.source import MaosSource
from tests.sources.states import CRASH_IN_TRANSACTION, TRY_WRITE, capture, make_rows, run_python, sqlite_source

COMMITS = 40


@pytest.mark.parametrize("wal", [False, True])
def test_every_commit_changes_the_token_and_nothing_else_does(tmp_path: Path, wal: bool) -> None:
    path = tmp_path / "live.db"
    make_rows(path, wal=wal)
    source = sqlite_source(path)
    (tmp_path / "private").mkdir()
    with closing(sqlite3.connect(path, isolation_level=None)) as owner:
        owner.execute("UPDATE t SET v = -1 WHERE id = 'k00000'")
        seen = {source.token()}
        for number in range(COMMITS):
            # Same pages, same size, within one tick of the clock.
            owner.execute("UPDATE t SET v = ? WHERE id = 'k00000'", (number,))
            token = source.token()
            assert token
            assert token not in seen
            seen.add(token)
            owner.execute("SELECT * FROM t").fetchone()
            assert source.token() == token
        capture(source, tmp_path / "private")
        assert source.token() == token, "a capture changes nothing"


def test_a_log_that_starts_over_in_place_changes_the_token(tmp_path: Path) -> None:
    path = tmp_path / "live.db"
    make_rows(path, wal=True)
    source = sqlite_source(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as owner:
        seen = set()
        sizes = set()
        for number in range(COMMITS):
            owner.execute("UPDATE t SET v = ? WHERE id = 'k00000'", (number,))
            owner.execute("PRAGMA wal_checkpoint(RESTART)")
            seen.add(source.token())
            sizes.add(Path(f"{path}-wal").stat().st_size)
        assert len(sizes) < 5, "the log was overwritten, not extended"
        assert len(seen) == COMMITS


def test_a_transaction_that_may_be_half_in_the_file_gives_no_token(tmp_path: Path) -> None:
    path = tmp_path / "live.db"
    make_rows(path)
    source = sqlite_source(path)
    run_python(CRASH_IN_TRANSACTION, path)
    assert source.token() == b""
    assert run_python(TRY_WRITE, path) == "written\n"
    assert source.token()


@pytest.mark.parametrize("mode", ["PERSIST", "TRUNCATE"])
def test_a_journal_that_is_kept_between_transactions_does_not_hide_the_token(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "live.db"
    make_rows(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as owner:
        owner.execute(f"PRAGMA journal_mode={mode}")
        owner.execute("UPDATE t SET v = 1")
        assert Path(f"{path}-journal").exists()
        first = sqlite_source(path).token()
        assert first
        owner.execute("UPDATE t SET v = 2")
        assert sqlite_source(path).token() not in (b"", first)


def maos(tmp_path: Path, transcripts: int = 3) -> tuple[MaosSource, Path]:
    work, home = tmp_path / "work", tmp_path / "home"
    (work / ".maos").mkdir(parents=True)
    (work / ".claude" / "agents").mkdir(parents=True)
    (work / ".maos" / "config.yaml").write_text("a: 1\n")
    layout = Layout.of(work, home / ".claude", home)
    folder = layout.projects / layout.slugs[0]
    folder.mkdir(parents=True)
    for number in range(transcripts):
        (folder / f"{number}.jsonl").write_text("{}\n" * 10)
    make_rows(work / "maos.db")
    return MaosSource(layout, SYSTEM), folder


def test_every_part_of_a_maos_is_in_its_token(tmp_path: Path) -> None:
    source, folder = maos(tmp_path)
    work = source.layout.directory
    token = source.token()
    assert token
    assert source.token() == token
    seen = {token}

    def changed() -> bool:
        token = source.token()
        new = token != b"" and token not in seen
        seen.add(token)
        return new

    with closing(sqlite3.connect(work / "maos.db")) as owner:
        owner.execute("UPDATE t SET v = 1")
        owner.commit()
    assert changed()
    with open(folder / "0.jsonl", "a") as file:
        file.write("{}\n")
    assert changed()
    (folder / "1.jsonl").unlink()
    assert changed()
    (folder / "1.jsonl").write_text("{}\n" * 10)
    assert changed()
    (work / ".maos" / "config.yaml").write_text("a: 2\n")
    assert changed()
    (work / ".maos" / "config.yaml").chmod(0o600)
    assert changed()
    (work / ".claude" / "agents" / "new.md").write_text("")
    assert changed()
    (work / "maos.db").rename(work / "gone.db")
    assert changed()


def test_files_written_twice_within_one_tick_are_told_apart(tmp_path: Path) -> None:
    source, _ = maos(tmp_path)
    config = source.layout.directory / ".maos" / "config.yaml"
    for number in range(10):
        config.write_text(f"a: {number}\n")
        token = source.token()
        config.write_text(f"b: {number}\n")
        assert source.token() not in (b"", token)
