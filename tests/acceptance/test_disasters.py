"""What is recovered when more than a few rows are gone."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from maos_ckpt.environment import child_environment
from tests.acceptance.conftest import ROOT, Operator
from tests.lab.build import build_state
from tests.lab.values import dump_exact, make_hard_database


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_lost_database_and_lost_transcripts_come_back(operator: Operator) -> None:
    operator.directory.rmdir()
    build_state(operator.directory, operator.claude_home, 1_000_000, seed=5, transcript_bytes=200_000)
    before, said = dump_exact(operator.directory / "maos.db"), files_below(operator.claude_home)
    operator.run("save")
    (operator.directory / "maos.db").unlink()
    shutil.rmtree(operator.claude_home / "projects")
    planned = operator.run("restore", "latest", "--dry-run")["plan"]
    assert planned["summary"]["added"] > 800
    assert not (operator.directory / "maos.db").exists()
    done = operator.run("restore", "latest", "--yes", "--reason", "the disk was emptied")
    assert done["verified"] is True
    assert dump_exact(operator.directory / "maos.db") == before
    assert files_below(operator.claude_home) == said
    assert operator.run("save")["checkpoint"]["records"] > 800


def test_configuration_files_come_back(operator: Operator) -> None:
    operator.directory.rmdir()
    build_state(operator.directory, operator.claude_home, 300_000, seed=6)
    operator.run("save")
    config = operator.directory / ".maos" / "config.yaml"
    text = config.read_bytes()
    config.write_bytes(b"ruined: yes\n")
    found = operator.run("diff", "latest", "live")["changes"]
    assert [(one["component"], one["collection"], one["kind"]) for one in found] == [("system", "files", "modified")]
    assert operator.run("restore", "latest", "--component", "system", "--yes")["verified"] is True
    assert config.read_bytes() == text


@pytest.mark.parametrize("wal", [False, True])
def test_every_value_of_any_sqlite_file_survives_bit_for_bit(tmp_path: Path, wal: bool) -> None:
    path = tmp_path / "hard.db"
    make_hard_database(path, wal=wal)
    before = dump_exact(path)

    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        options = ["--source", f"sqlite:{path}", "--repo", str(tmp_path / "repository"), "--json"]
        return subprocess.run(
            [sys.executable, "-m", "maos_ckpt_tui", *arguments, *options],
            cwd=ROOT,
            env=child_environment() | {"HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        )

    command("save")
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA foreign_keys=OFF")
        names = [
            row[0]
            for row in connection.execute("SELECT name FROM pragma_table_list WHERE type='table' AND schema='main'")
            if not row[0].startswith("sqlite_")
        ]
        for name in names:
            quoted = '"' + name.replace('"', '""') + '"'
            connection.execute(f"DELETE FROM {quoted} WHERE random() % 2 = 0")
    connection.close()
    assert dump_exact(path) != before
    command("restore", "latest", "--yes")
    assert dump_exact(path) == before
    command("undo", "--yes")
    assert dump_exact(path) != before
