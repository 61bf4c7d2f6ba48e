"""Every live MAOS of the machine is found, with whose process is whose, and MAOS does not feel it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec

from maos_ckpt import wire
from maos_ckpt.model import MaosProcess, ProcessReport
from maos_ckpt.processes import OpenFile, ProcessInfo, SystemProcesses
from maos_ckpt.seams import SYSTEM
from maos_ckpt.sources.maos.running import find_running
from tests.lab.puppet import PuppetMaos
from tests.lab.writers import LiveMaos
from tests.rescue.conftest import Operator
from tests.rescue.crash import TASKS, CrashedMaos

HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""


def maos_of(pid: int, claude_home: Path) -> MaosProcess:
    (found,) = [one for one in find_running(SYSTEM, claude_home).maos if one.pid == pid]
    return found


def test_a_maos_its_agents_processes_and_what_is_left_of_them_when_it_is_killed(tmp_path: Path) -> None:
    crashed = CrashedMaos(tmp_path)
    try:
        crashed.start()
        found = maos_of(crashed.pid, crashed.layout.claude_home)
        assert (found.directory, found.database) == (str(crashed.layout.directory), str(crashed.database))
        assert (found.database_state, found.agents, found.problem) == ("open", {"inactive": len(TASKS)}, "")
        assert abs(found.since_ms - SYSTEM.clock.now_ms()) < 60_000
        assert [one.pid for one in found.children] == crashed.agents_pids
        assert {one.known_by for one in found.children} == {"order of starting"}
        transcripts = {one.stem for one in crashed.layout.projects.rglob("*.jsonl")}
        assert {one.session for one in found.children} == transcripts
        operator = Operator(crashed.layout, tmp_path / "repository")

        crashed.kill()
        report = find_running(SYSTEM, crashed.layout.claude_home)
        assert [one for one in report.maos if one.pid == crashed.pid] == []
        orphans = [one for one in report.orphans if one.pid in crashed.agents_pids]
        assert {(one.pid, one.agent, one.session) for one in orphans} == {
            (one.pid, one.agent, one.session) for one in found.children
        }
        crashed.end_agents()
        # What the processes told is what the transcripts tell a rescue.
        noted = {
            one.key: field.after
            for one in operator.plan().changes
            for field in one.fields
            if field.path == "session_id"
        }
        assert noted == {one.agent: one.session for one in found.children}
    finally:
        crashed.close()


def test_a_database_that_is_not_where_maos_opened_it_is_told(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    with PuppetMaos(tmp_path / "work", tmp_path / "claude") as maos:
        path = tmp_path / "work" / "maos.db"

        def fate() -> tuple[str, bool]:
            found = maos_of(maos.pid, tmp_path / "claude")
            return found.database_state, not found.problem

        assert fate() == ("open", True)
        aside = path.rename(path.with_name("maos.db.old"))
        assert fate() == ("moved", True)
        aside.rename(path)
        copy = shutil.copy(path, tmp_path / "copy")
        path.unlink()
        assert fate() == ("deleted", False)
        shutil.move(copy, path)
        assert fate() == ("replaced", False)


def test_ten_looks_give_a_writing_maos_no_error_and_no_stall(tmp_path: Path) -> None:
    with LiveMaos(tmp_path / "work", tmp_path / "claude") as maos:
        for _ in range(10):
            found = maos_of(maos.pid, tmp_path / "claude")
            assert sum(found.agents.values()) == 12 or found.problem
        report = maos.stop()
    assert report["errors"] == []
    assert isinstance(report["stall_max_s"], float)
    assert report["stall_max_s"] < 2.0


def test_a_locked_database_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    with PuppetMaos(tmp_path / "work", tmp_path / "claude") as maos:
        command = [sys.executable, "-c", HOLD, str(tmp_path / "work" / "maos.db")]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"held\n"
            began_s = SYSTEM.clock.monotonic_s()
            found = maos_of(maos.pid, tmp_path / "claude")
            assert found.problem == "its database is locked at the moment"
            assert SYSTEM.clock.monotonic_s() - began_s < 3.0
            holder.communicate()


def test_processes_that_may_not_be_looked_into_are_counted_and_said(tmp_path: Path) -> None:
    class OfOthers(SystemProcesses):
        """The kernel's answer for another user's process; only root could make a real one here."""

        def open_files(self, process: ProcessInfo) -> list[OpenFile] | None:
            return None if process.pid == maos.pid else super().open_files(process)

    (tmp_path / "work").mkdir()
    with PuppetMaos(tmp_path / "work", tmp_path / "claude") as maos:
        seams = type(SYSTEM)(SYSTEM.clock, SYSTEM.random, SYSTEM.fs, OfOthers())
        report = find_running(seams, tmp_path / "claude")
        assert maos.pid not in [one.pid for one in report.maos]
        assert "may not be looked into" in report.notes[0]
        standing = SYSTEM.processes.standing(maos.pid)
        assert standing is not None
        assert (standing.parent, standing.user) == (os.getpid(), os.getuid())


def test_a_directory_whose_name_is_no_text_does_no_harm(tmp_path: Path) -> None:
    folder = os.path.join(os.fsencode(tmp_path), b"w\xff\x1b[31m")
    os.mkdir(folder)
    with (
        open(os.path.join(folder, b"maos.db"), "ab") as database,
        subprocess.Popen(["sleep", "60"], stdout=database, cwd=folder) as holder,
    ):
        report = find_running(SYSTEM, tmp_path / "claude")
        holder.kill()
    (found,) = [one for one in report.maos if one.pid == holder.pid]
    assert found.directory.endswith("/w\\xff\x1b[31m")
    assert found.problem == "its database cannot be read now"
    assert msgspec.msgpack.decode(wire.encode(report), type=ProcessReport) == report
