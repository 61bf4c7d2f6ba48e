"""Consoles under real terminals on a real headless engine: left, killed half-way, attached again."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from maos_ckpt.api.places import Listening, find_socket, socket_path, write_note
from maos_ckpt.api.remote import RemoteClient
from tests.console.terminal import Terminal
from tests.engine.support import wait_until
from tests.lab.mutate import mutate
from tests.lab.values import dump_exact
from tests.remote.forwarder import Forwarder
from tests.remote.headless import Headless, headless

#: One second on a quiet machine, from the start of the process to the words on the screen; this one may be busy.
ATTACHED_S_MAX = float(os.environ.get("MAOS_CKPT_TEST_ATTACH_S", "4.0"))


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Headless]:
    with headless(tmp_path_factory.mktemp("headless")) as one:
        yield one


def operation(client: RemoteClient) -> str:
    running = client.status().running
    return "" if running is None else running.operation


@contextlib.contextmanager
def lease_held(repository: Path) -> Iterator[None]:
    """No save gets further than to wait for its lease."""
    with (repository / "lease").open("r+b") as lease:
        fcntl.flock(lease, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def database_busy(database: Path) -> Iterator[None]:
    """No recovery gets further than to wait for the database."""
    connection = sqlite3.connect(database, isolation_level=None)
    with contextlib.closing(connection):
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


def test_q_leaves_the_engine_running_and_says_that_it_is_attached(engine: Headless) -> None:
    with engine.terminal() as terminal:
        terminal.until("attached")
        terminal.type("q")
        assert terminal.wait(5)
        assert terminal.exit_code == 0
        assert "Closing" not in terminal.words
    assert engine.alive
    with engine.client() as client:
        assert client.status().role == "engine"


def kill(terminal: Terminal, how: str) -> None:
    if how == "hang-up":
        terminal.hang_up()
    else:
        terminal.signal(signal.SIGKILL)
    assert terminal.wait(5)


@pytest.mark.parametrize("how", ["hang-up", "kill"])
def test_a_save_whose_console_is_killed_is_finished_and_shown_to_the_next_one(engine: Headless, how: str) -> None:
    with engine.client() as client:
        before = len(client.checkpoints())
        with lease_held(engine.repository):
            with engine.terminal() as terminal:
                terminal.until("attached")
                terminal.type("c")
                terminal.until("Checkpoint now")
                terminal.type(f"mid {how}\r")
                wait_until(lambda: operation(client) == "save", "the save to begin")
                kill(terminal, how)
            assert operation(client) == "save"
            with engine.terminal() as again:
                shown_s = again.until(".. SAVE")
                assert shown_s < ATTACHED_S_MAX
                again.type("q")
                assert again.wait(5)
            assert operation(client) == "save"
        wait_until(lambda: not operation(client), "the save to end")
        assert len(client.checkpoints()) == before + 1
        assert client.checkpoint("latest").description == f"mid {how}"
    assert engine.alive


def test_a_recovery_whose_console_is_killed_is_finished_and_shown_to_the_next_one(engine: Headless) -> None:
    with engine.client() as client:
        wanted = dump_exact(engine.database)
        point = client.save("the wanted state")
        mutate(engine.database.parent, 0.1, seed=6)
        assert dump_exact(engine.database) != wanted
        with database_busy(engine.database):
            with engine.terminal() as terminal:
                terminal.until(point.id[-6:])
                recover(terminal, point.id[-6:])
                wait_until(lambda: operation(client) == "restore", "the recovery to begin")
                kill(terminal, "hang-up")
            assert operation(client) == "restore"
            with engine.terminal() as again:
                shown_s = again.until(".. RECOVERY")
                assert shown_s < ATTACHED_S_MAX
                again.type("q")
                assert again.wait(5)
        wait_until(lambda: not operation(client), "the recovery to end")
        name, fields = next(one for one in client.recent_events(20) if one[0] == "RecoveryCompleted")
        assert (name, fields["reason"], fields["verified"]) == ("RecoveryCompleted", "late", True)
        # The fence against a late write of MAOS stays for a while, as a trigger.
        found = dump_exact(engine.database)
        assert {**found, "sqlite_master": []} == {**wanted, "sqlite_master": []}
    assert engine.alive


def recover(terminal: Terminal, word: str) -> None:
    """By keys: choose everything, plan, apply, with a reason and the typed id."""
    terminal.type("r")
    terminal.until("What to recover")
    terminal.type("\r")
    terminal.until("apply")
    terminal.type("a")
    terminal.until(f"Type {word} to confirm")
    terminal.type("late\r")
    # Enter moves to the next field, which nothing on the screen tells.
    terminal.pump(0.8)
    terminal.type(f"{word}\r")
    terminal.until("press enter")
    terminal.type("\r")


def test_a_lost_connection_is_shown_and_healed(engine: Headless, tmp_path: Path) -> None:
    way_path = tmp_path / "way.sock"
    with engine.client() as client:
        assert client.address.socket is not None
        connect = ("--connect", f"unix:{way_path}")
        with Forwarder(client.address.socket, way_path) as way, engine.terminal(*connect) as terminal:
            terminal.until("attached")
            way.cut()
            terminal.until("NO CONNECTION")
            saved = client.save("while away")
            way.open()
            began_s = time.monotonic()
            terminal.until("The engine answers again.")
            terminal.until(saved.id[-6:])
            assert time.monotonic() - began_s < 7
            assert terminal.words.rindex("SAFE") > terminal.words.rindex("NO CONNECTION")
            terminal.type("q")
            assert terminal.wait(5)
            assert terminal.exit_code == 0


def test_shift_q_asks_and_stops_the_engine_and_the_next_console_has_one_of_its_own(tmp_path: Path) -> None:
    with headless(tmp_path) as engine:
        with engine.terminal() as terminal:
            terminal.until("attached")
            terminal.type("Q")
            terminal.until("Stop the engine?")
            terminal.type("k")
            terminal.pump(0.5)
            assert engine.alive
            terminal.type("Q")
            terminal.pump(0.5)
            terminal.type("s")
            assert terminal.wait(15)
            assert terminal.exit_code == 0
        assert engine.process.wait(10) == 0
        leave_behind(engine.repository)
        with engine.terminal() as terminal:
            terminal.until("SAFE")
            assert "attached" not in terminal.words
            terminal.type("Q")
            terminal.pump(0.3)
            assert "Stop the engine" not in terminal.words
            terminal.type("q")
            assert terminal.wait(10)
            assert terminal.exit_code == 0


def leave_behind(repository: Path) -> None:
    """What an engine that was killed leaves: its socket, and the note that leads to it."""
    path = socket_path(repository)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    write_note(repository, Listening(1, str(path), (f"unix:{path}",)))
    assert find_socket(repository) == path
