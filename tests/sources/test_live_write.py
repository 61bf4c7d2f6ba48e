"""Holding a live database: its owner sees a pause and nothing else, whatever happens to us."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from maos_ckpt.errors import PermissionRefusedError, SourceError
from maos_ckpt.processes import ProcessInfo, SystemProcesses
from maos_ckpt.seams import SYSTEM
from maos_ckpt.sources.sqlite import probe
from maos_ckpt.sources.sqlite.guardian import Guardian
from maos_ckpt.sources.sqlite.held_image import capture_held
from maos_ckpt.sources.sqlite.live import hold
from tests.lab.writers import LiveMaos

ROOT: Final = Path(__file__).resolve().parents[2]
ENVIRONMENT: Final = os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT / "engine"), str(ROOT)))}
PATIENCE_S: Final = 20.0


def make(path: Path, *statements: str) -> Path:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements or (
            "CREATE TABLE t (id INTEGER PRIMARY KEY, v)",
            "INSERT INTO t VALUES (1, 'was')",
        ):
            connection.execute(statement)
    return path


def values(path: Path) -> list[object]:
    with closing(sqlite3.connect(path)) as connection:
        return [row[0] for row in connection.execute("SELECT v FROM t ORDER BY id")]


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def until(what: object, patience_s: float = PATIENCE_S) -> bool:
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        if what():  # type: ignore[operator]
            return True
        time.sleep(0.01)
    return False


@contextlib.contextmanager
def python(code: str, *arguments: str, user: int | None = None) -> Iterator[subprocess.Popen[str]]:
    """A Python process that has printed its first line."""
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        env=ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        user=user,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


HOLDER: Final = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], uri=True, isolation_level=None, timeout=0)
connection.execute(sys.argv[2])
print("ready", flush=True)
sys.stdin.read()
"""


def test_leaving_the_block_commits_and_an_error_in_it_rolls_back(tmp_path: Path) -> None:
    path = make(tmp_path / "x.db")
    with hold(path, SYSTEM) as held:
        held.connection.execute("UPDATE t SET v = 'is'")
    assert (held.stopped, held.attempts, held.stall_s, held.wal) == ((), 1, 0.0, False)
    assert values(path) == ["is"]
    with pytest.raises(ZeroDivisionError):
        _fail_after_writing(path)
    assert values(path) == ["is"]


def _fail_after_writing(path: Path) -> None:
    with hold(path, SYSTEM) as held:
        held.connection.execute("UPDATE t SET v = 'spoilt'")
        _ = 1 / 0


def test_maos_stands_still_while_held_and_runs_on_without_an_error(tmp_path: Path) -> None:
    with LiveMaos(tmp_path / "work", tmp_path / "claude") as maos:
        with hold(maos.database, SYSTEM) as held:
            assert [one.pid for one in held.stopped] == [maos.pid]
            assert state(maos.pid) == "T"
            time.sleep(0.3)
        assert state(maos.pid) != "T"
        assert 0.3 < held.stall_s < 3.0
        with pytest.raises(ZeroDivisionError), hold(maos.database, SYSTEM):
            _ = 1 / 0
        assert state(maos.pid) != "T"
        report = maos.stop()
    assert report["errors"] == []


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_nobody_else_can_write_while_held_whatever_we_open_and_close_beside(tmp_path: Path, mode: str) -> None:
    path = make(tmp_path / "x.db", f"PRAGMA journal_mode = {mode}", "CREATE TABLE t (id INTEGER PRIMARY KEY, v)")
    code = """
import sqlite3, sys
print("ready", flush=True)
for line in sys.stdin:
    try:
        with sqlite3.connect(sys.argv[1], timeout=0) as connection:
            connection.execute("INSERT INTO t (v) VALUES ('foreign')")
        print("written", flush=True)
    except sqlite3.OperationalError as error:
        print(error, flush=True)
"""
    with python(code, str(path)) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        with hold(path, SYSTEM) as held:
            assert held.wal is (mode == "wal")
            held.connection.execute("INSERT INTO t (v) VALUES ('ours')")
            os.pread(probe.live_descriptor(path), 100, 0)
            with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=0)) as reader:
                read = reader.execute if mode == "wal" else None
                if read is None:
                    with pytest.raises(sqlite3.OperationalError, match="database is locked"):
                        reader.execute("SELECT count(*) FROM t")
                else:
                    assert read("SELECT count(*) FROM t").fetchone() == (0,)
            for _ in range(3):
                other.stdin.write("\n")
                other.stdin.flush()
                assert other.stdout.readline() == "database is locked\n"
        other.stdin.write("\n")
        other.stdin.flush()
        assert other.stdout.readline() == "written\n"
    assert values(path) == ["ours", "foreign"]


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_the_image_of_a_held_database_is_the_state_before_the_recovery(tmp_path: Path, mode: str) -> None:
    many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9000) INSERT INTO t SELECT i, i"
    many += " FROM n"
    ddl = "CREATE TABLE t (id INTEGER PRIMARY KEY, v)"
    path = make(tmp_path / "x.db", f"PRAGMA journal_mode = {mode}", ddl, many)
    with closing(sqlite3.connect(path)) as owner:
        # A connection that stays open keeps the log of a WAL database from being folded into it.
        owner.execute("SELECT count(*) FROM t").fetchone()
        make(path, "UPDATE t SET v = 'latest' WHERE id = 1")
        with hold(path, SYSTEM) as held:
            image = capture_held(held, tmp_path, SYSTEM, lambda: None)
            held.connection.execute("UPDATE t SET v = 'recovered'")
    with closing(image.open()) as connection:
        assert connection.execute("SELECT v FROM t WHERE id IN (1, 9000)").fetchall() == [("latest",), (9000,)]
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    image.close()
    assert set(values(path)) == {"recovered"}


def test_what_is_missing_or_no_database_is_refused_before_anything_is_stopped(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="There is no database file"), hold(tmp_path / "none.db", SYSTEM):
        pass
    (tmp_path / "text.db").write_text("this is not a database, but it is long enough to be taken for one" * 40)
    with open(tmp_path / "text.db", "r+b"), python(HOLDER, ":memory:", "SELECT 1") as other:
        with pytest.raises(SourceError, match="no SQLite database"), hold(tmp_path / "text.db", SYSTEM):
            pass
        assert state(other.pid) != "T"


def _refusal_to(user: int, path: Path) -> str:
    """What `hold` says to another user; the interpreter itself may be out of that user's reach, so no exec."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setresuid(user, user, user)
            with hold(path, SYSTEM):
                os.write(write, b"held")
        except PermissionRefusedError as error:
            os.write(write, error.message.encode())
        finally:
            os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    with open(read) as pipe:
        return pipe.read()


@pytest.mark.parametrize("read_only", ["file", "directory"])
def test_what_cannot_be_written_is_refused_before_anything_is_stopped(read_only: str) -> None:
    user = 65534 if os.geteuid() == 0 else os.geteuid()
    with tempfile.TemporaryDirectory() as name:
        path = make(Path(name) / "x.db")
        with python(HOLDER, str(path), "SELECT 1") as owner:
            os.chmod(path, 0o444 if read_only == "file" else 0o666)
            os.chmod(name, 0o555 if read_only == "directory" else 0o777)
            assert f"The database's {read_only} " in _refusal_to(user, path)
            assert state(owner.pid) != "T"
        os.chmod(name, 0o755)


def test_a_lock_that_stays_is_given_up_with_the_holder_named_and_nobody_left_stopped(tmp_path: Path) -> None:
    path = make(tmp_path / "x.db")
    with python(HOLDER, str(path), "SELECT 1") as idle, python(HOLDER, str(path), "BEGIN IMMEDIATE") as writer:
        with pytest.raises(SourceError) as caught, hold(path, SYSTEM, wait_s=0.3):
            pass
        assert caught.value.exit_code == 6
        assert set(caught.value.data["pids"]) == {idle.pid, writer.pid}  # type: ignore[call-overload]
        assert f"(pid {writer.pid})" in caught.value.message
        assert "T" not in (state(idle.pid), state(writer.pid))


def test_processes_that_only_read_are_not_stopped(tmp_path: Path) -> None:
    path = make(tmp_path / "x.db")
    with python(HOLDER, f"{path.as_uri()}?mode=ro", "SELECT count(*) FROM t") as reader:
        with hold(path, SYSTEM) as held:
            assert held.stopped == ()
            assert state(reader.pid) != "T"
        assert [one.pid for one in SystemProcesses().holders(path)] == [reader.pid]


def test_a_process_that_its_user_has_stopped_stays_stopped(tmp_path: Path) -> None:
    path = make(tmp_path / "x.db")
    with python(HOLDER, str(path), "SELECT 1") as other:
        other.send_signal(signal.SIGSTOP)
        assert until(lambda: state(other.pid) == "T")
        with hold(path, SYSTEM) as held:
            assert held.stopped == ()
        assert state(other.pid) == "T"
    with python(HOLDER, str(path), "BEGIN IMMEDIATE") as other:
        other.send_signal(signal.SIGSTOP)
        assert until(lambda: state(other.pid) == "T")
        with pytest.raises(SourceError) as caught, hold(path, SYSTEM, wait_s=0.2):
            pass
        assert "was stopped in the middle of a transaction" in caught.value.hint
        assert state(other.pid) == "T"


def test_a_process_of_another_user_that_may_not_be_signalled_refuses(tmp_path: Path) -> None:
    path = make(tmp_path / "x.db")

    class Others(SystemProcesses):
        """The kernel's answer to a signal for another user's process; only root could make a real one here."""

        def stop(self, process: ProcessInfo) -> bool:
            raise PermissionError

    seams = type(SYSTEM)(SYSTEM.clock, SYSTEM.random, SYSTEM.fs, Others())
    with python(HOLDER, str(path), "SELECT 1") as other:
        with pytest.raises(PermissionRefusedError, match="belongs to another user"), hold(path, seams):
            pass
        assert state(other.pid) != "T"


HOLD_AND_WAIT: Final = """
import sys, time
from pathlib import Path
from maos_ckpt.seams import SYSTEM
from maos_ckpt.sources.sqlite.live import hold
with hold(Path(sys.argv[1]), SYSTEM) as held:
    held.connection.execute("UPDATE agents SET name = 'half'")
    print("ready", flush=True)
    time.sleep(60)
"""


def test_killed_while_it_holds_maos_it_leaves_maos_running_and_nothing_written_twenty_times(tmp_path: Path) -> None:
    with LiveMaos(tmp_path / "work", tmp_path / "claude") as maos:
        for _ in range(20):
            with python(HOLD_AND_WAIT, str(maos.database)) as holder:
                assert state(maos.pid) == "T"
                holder.kill()
                assert until(lambda: state(maos.pid) != "T", 2.0)
        calls = len(maos.oplog())
        assert until(lambda: len(maos.oplog()) > calls + 20)
        with closing(sqlite3.connect(maos.database, timeout=10)) as connection:
            assert connection.execute("SELECT count(*) FROM agents WHERE name = 'half'").fetchone() == (0,)
        report = maos.stop()
    assert report["errors"] == []


def _guardians() -> list[int]:
    found = SystemProcesses().matching("sqlite/guardian.py")
    return [one.pid for one in found if str(os.getpid()) in one.command]


def test_a_guardian_starts_fast_and_ends_with_its_owner_s_end_of_the_pipe(tmp_path: Path) -> None:
    assert until(lambda: not _guardians())
    took: list[float] = []
    for _ in range(5):
        began = time.monotonic()
        guardian = Guardian.start()
        took.append(time.monotonic() - began)
        assert len(_guardians()) == 1
        guardian.close()
        assert until(lambda: not _guardians(), 2.0)
    assert min(took) < 0.1


def test_a_guardian_continues_whom_it_watches_even_if_a_third_process_keeps_the_pipe_open(tmp_path: Path) -> None:
    code = """
import os, sys, time
from maos_ckpt.processes import SystemProcesses
from maos_ckpt.sources.sqlite.guardian import Guardian
guardian = Guardian.start()
process = SystemProcesses().describe(int(sys.argv[1]))
guardian.watch([process])
SystemProcesses().stop(process)
if os.fork() == 0:
    time.sleep(20)
    os._exit(0)
print("ready", flush=True)
time.sleep(60)
"""
    sleeper = "import time; print('ready', flush=True); time.sleep(60)"
    with python(sleeper) as victim, python(code, str(victim.pid)) as owner:
        assert until(lambda: state(victim.pid) == "T")
        owner.kill()
        owner.wait()
        assert until(lambda: state(victim.pid) != "T", 2.0)
        for child in SystemProcesses().matching("time.sleep(20)"):
            os.kill(child.pid, signal.SIGKILL)


def _read(fd: int, wanted: bytes, patience_s: float = PATIENCE_S) -> re.Match[bytes]:
    """Read from a terminal until a pattern has appeared."""
    data = b""
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        if select.select([fd], [], [], 0.05)[0]:
            data += os.read(fd, 1 << 16)
        if (found := re.search(wanted, data)) is not None:
            return found
    raise AssertionError(data)


JOB: Final = (
    "import sqlite3,os;c=sqlite3.connect('x.db');c.execute('SELECT 1 FROM t');print('PID',os.getpid(),flush=True)\n"
    "while True: print('got',input(),flush=True)"
)


@contextlib.contextmanager
def terminal(command: list[str], directory: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A program on a terminal of its own, and our end of that terminal."""
    master, slave = os.openpty()
    with subprocess.Popen(
        command,
        cwd=directory,
        env=ENVIRONMENT,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    ) as process:
        try:
            yield process, master
        finally:
            process.kill()
            os.close(master)
            os.close(slave)


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_a_maos_in_the_foreground_of_a_shell_keeps_its_terminal(tmp_path: Path) -> None:
    path = make(tmp_path / "x.db")
    (tmp_path / "job.py").write_text(JOB)
    with terminal(["bash", "--norc", "-i"], tmp_path) as (shell, master):
        os.write(master, f"{sys.executable} job.py\n".encode())
        found = _read(master, rb"PID (\d+)\r")
        for _ in range(3):
            with hold(path, SYSTEM) as held:
                assert [one.pid for one in held.stopped] == [int(found[1])]
                assert state(shell.pid) == "T"
        os.write(master, b"hello\n")
        _read(master, rb"got hello", 5.0)


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_the_shell_that_runs_the_recovery_itself_is_not_stopped(tmp_path: Path) -> None:
    (tmp_path / "chain.py").write_text(
        "import sys\nfrom maos_ckpt.processes import SystemProcesses\nprocesses = SystemProcesses()\n"
        "print('CHAIN', processes.terminal_chain(processes.describe(int(sys.argv[1]))), flush=True)\n"
    )
    with terminal(["bash", "--norc", "-i"], tmp_path) as (shell, master):
        os.write(master, f"sleep 60 & {sys.executable} chain.py $!\n".encode())
        _read(master, rb"CHAIN \[\]\r")
        os.write(master, b"kill %1\n")
        assert state(shell.pid) != "T"


@pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux")
def test_a_maos_in_the_foreground_of_tmux_keeps_its_terminal(tmp_path: Path) -> None:
    path = make(tmp_path / "x.db")
    (tmp_path / "job.py").write_text(JOB)

    def tmux(*arguments: str) -> str:
        command = ["tmux", "-S", str(tmp_path / "socket"), *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False).stdout

    tmux("-f", "/dev/null", "new-session", "-d", "-s", "s", "-x", "200", "bash --norc -i")
    try:
        tmux("send-keys", "-t", "s", f"{sys.executable} job.py", "Enter")
        assert until(lambda: re.search(r"PID \d+", tmux("capture-pane", "-p", "-t", "s")))
        for _ in range(3):
            with hold(path, SYSTEM) as held:
                assert len(held.stopped) == 1
        tmux("send-keys", "-t", "s", "hello", "Enter")
        assert until(lambda: "got hello" in tmux("capture-pane", "-p", "-t", "s"), 5.0)
    finally:
        tmux("kill-server")
