"""The engine as a service: what its manager is told, its configuration read again, and its end."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from maos_ckpt.api.places import socket_path
from maos_ckpt.engine.duties import REASON_BUSY
from maos_ckpt.events import CheckpointCreated, EngineStarted, Event, OperationFailed, OperationProgressed, TicksMissed
from maos_ckpt.headless import PATIENCE_INTERVALS, PATIENCE_S, Pulse
from maos_ckpt.model import Progress
from maos_ckpt.scheduler import REASON_RUNNING
from maos_ckpt.systemd import Manager
from tests.cli.conftest import TIMEOUT_S, Cli
from tests.cli.test_doors import HEALTH, addresses
from tests.cli.test_service import Running, running
from tests.engine.clocks import VirtualClock


class ServiceManager:
    """A real socket in the place of systemd's."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(TIMEOUT_S)
        self.path = path
        self.told: list[str] = []

    def wait_for(self, line: str) -> str:
        """The next message with that line."""
        while True:
            message = self.socket.recv(4096).decode()
            self.told.append(message)
            if line in message.split("\n"):
                return message


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[ServiceManager]:
    made = ServiceManager(tmp_path / "notify")
    yield made
    made.socket.close()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_service_manager_is_told_of_each_step(cli: Cli, manager: ServiceManager) -> None:
    cli.variables |= {"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "600000"}
    with running(cli, "--headless", "--interval", "3600") as engine:
        manager.wait_for("READY=1")
        assert socket_path(cli.repository).is_socket(), "ready means that requests are answered"
        engine.wait_for("CheckpointCreated")
        until(lambda: "STATUS=1 checkpoints, the last one" in manager.wait_for("WATCHDOG=1"))
        engine.process.send_signal(signal.SIGHUP)
        reloading = manager.wait_for("RELOADING=1")
        assert int(reloading.split("MONOTONIC_USEC=")[1]) <= time.monotonic_ns() // 1000
        manager.wait_for("READY=1")
        assert engine.stop()[0] == 0
        manager.wait_for("STOPPING=1")


def test_without_a_manager_nothing_is_sent(tmp_path: Path) -> None:
    Manager("", 30.0).ready("x")
    gone = Manager(str(tmp_path / "gone"), 30.0)
    gone.alive("x")
    assert (Manager("", 30.0).stroke_s, gone.stroke_s) == (0.0, 15.0)


def test_a_status_is_one_line(manager: ServiceManager) -> None:
    Manager(str(manager.path), 0.0).ready("evil\nSTOPPING=1\x1b[0m" + "x" * 1000)
    told = manager.socket.recv(4096).decode()
    assert told.split("\n")[0] == "READY=1"
    assert len(told.split("\n")) == 2
    assert len(told) < 250


@pytest.mark.parametrize(
    ("event", "moves"),
    [
        (OperationProgressed(0, Progress("save", "reading")), True),
        (OperationFailed(0, "save", "source", "gone"), True),
        (CheckpointCreated(0, "cp_1", "schedule", 1, 1, 1, 0.1, 0.0, True), True),
        (TicksMissed(0, 1, REASON_BUSY), True),
        (TicksMissed(0, 1, REASON_RUNNING), False),
        (EngineStarted(0, "maos:x", 30.0), False),
    ],
)
def test_the_watchdog_is_stroked_only_while_checkpoints_get_on(event: Event, moves: bool) -> None:
    clock = VirtualClock()
    pulse = Pulse(clock)
    clock.sleep(PATIENCE_INTERVALS * 30 + PATIENCE_S - 1)
    assert pulse.beats(30)
    pulse(event)
    clock.sleep(2)
    assert pulse.beats(30) is moves
    clock.sleep(10_000)
    assert not pulse.beats(30)


def test_an_engine_that_hangs_is_not_called_alive(cli: Cli, manager: ServiceManager) -> None:
    cli.variables |= {"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "400000"}
    with running(cli, "--headless", "--interval", "3600") as engine:
        manager.wait_for("WATCHDOG=1")
        engine.process.send_signal(signal.SIGSTOP)
        time.sleep(0.3)
        manager.socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while manager.socket.recv(4096):
                pass
        manager.socket.settimeout(1.0)
        with pytest.raises(TimeoutError):
            manager.socket.recv(4096)
        engine.process.send_signal(signal.SIGCONT)


def test_sighup_reads_the_configuration_again(cli: Cli) -> None:
    file = cli.cwd / "maos-ckpt.toml"
    file.write_text('interval_seconds = 3600\nlog_format = "json"\n')
    with running(cli, "--headless", "--listen", "127.0.0.1:0") as engine:
        engine.wait_for("CheckpointCreated")
        tcp = addresses(cli)[1]
        assert httpx2.get(tcp + HEALTH, headers={"host": "new.example"}, verify=False).status_code == 421
        file.write_text(
            'interval_seconds = 0.5\nlog_format = "json"\nlog_levels = ["api=debug"]\nsystem = "other"\n'
            '[server]\nhosts = ["new.example"]\n'
        )
        engine.process.send_signal(signal.SIGHUP)
        engine.wait_for("CheckpointCreated")
        assert cli.ok("status", "--json").json["engine"]["interval_s"] == 0.5
        assert httpx2.get(tcp + HEALTH, headers={"host": "new.example"}, verify=False).status_code == 401
        file.write_text("interval_seconds = 'soon'\n")
        engine.process.send_signal(signal.SIGHUP)
        engine.wait_for("CheckpointCreated")
        file.write_text("log_levels = ['nothing=debug']\ninterval_seconds = 3600\n")
        engine.process.send_signal(signal.SIGHUP)
        engine.wait_for("CheckpointCreated")
        engine.process.send_signal(signal.SIGTERM)
        assert engine.process.wait(TIMEOUT_S) == 0
        assert engine.process.stderr is not None
        lines = [json.loads(line) for line in engine.process.stderr.read().splitlines()]
    said = [(one["level"], one["message"]) for one in lines]
    read = next(message for _, message in said if message.startswith("read the configuration again"))
    assert read.endswith("interval_seconds, log_levels, server.hosts")
    assert ("warning", "these change with the next start of the engine: system") in said
    kept = [message for level, message in said if level == "error"]
    assert len(kept) == 2
    assert all(message.startswith("the configuration stays as it was") for message in kept)
    events = [one["event"] for one in engine.seen]
    assert events.count("EngineStarted") == 1, "the engine went on"
    assert "OperationFailed" not in events


def test_a_lost_terminal_ends_an_engine_that_was_started_on_it(cli: Cli) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(cli.cwd)
        os.execve(cli.command()[0], cli.command("--headless", "--interval", "3600"), cli.environment())
    until(lambda: (cli.repository / "api" / "listening.json").exists())
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert not (cli.repository / "api" / "listening.json").exists()


def test_a_signal_that_was_to_be_ignored_stays_ignored(cli: Cli) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        engine = Running(cli, "--headless", "--interval", "3600")
    finally:
        signal.signal(signal.SIGHUP, before)
    try:
        engine.wait_for("CheckpointCreated")
        engine.process.send_signal(signal.SIGHUP)
        time.sleep(0.3)
        assert engine.process.poll() is None
        assert engine.stop()[0] == 0
    finally:
        if engine.process.poll() is None:
            engine.process.kill()
        engine.process.communicate()
