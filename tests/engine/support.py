"""A running engine, and waiting for what happens in other threads and processes."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from maos_ckpt.events import Event
from maos_ckpt.local import LocalClient
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.seams import SYSTEM

WAIT_S = 30.0


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait for `condition`; fails after `WAIT_S`."""
    deadline_s = SYSTEM.clock.monotonic_s() + WAIT_S
    while not condition():
        if SYSTEM.clock.monotonic_s() > deadline_s:
            raise AssertionError(f"waited {WAIT_S} s for {what}")
        SYSTEM.clock.sleep(0.01)


class Events:
    """A listener that keeps everything and can be waited on."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._events: list[Event] = []

    def __call__(self, event: Event) -> None:
        with self._lock:
            self._events.append(event)

    def of(self, kind: type[Event]) -> list[Event]:
        """Those of one kind, oldest first."""
        with self._lock:
            return [event for event in self._events if type(event) is kind]

    def wait_for(self, kind: type[Event], count: int = 1) -> list[Event]:
        """Wait until there are `count` of a kind."""
        wait_until(lambda: len(self.of(kind)) >= count, f"{count} {kind.__name__}, have {self._events[-5:]}")
        return self.of(kind)


@contextlib.contextmanager
def running(workspace: Workspace) -> Iterator[tuple[LocalClient, Events]]:
    """An engine on a workspace, with a listener; closed at the end."""
    client, events = LocalClient(workspace), Events()
    client.subscribe(events)
    client.start()
    try:
        yield client, events
    finally:
        assert client.close(WAIT_S)


def database(workspace: Workspace) -> Path:
    """The source's database."""
    return Path(workspace.source.removeprefix("maos:")) / "maos.db"


def names(client: LocalClient) -> list[str]:
    """Ids of all checkpoints, newest first."""
    return [one.id for one in client.checkpoints()]


LOCKER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=10)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.readline()
"""


@contextlib.contextmanager
def locked(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that keeps the database locked for the length of the block."""
    command = [sys.executable, "-c", LOCKER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        yield process
        process.communicate("\n", timeout=WAIT_S)
