"""A headless engine as a process, and consoles that find it by themselves, each under a terminal of its own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from maos_ckpt.api.address import unix_address
from maos_ckpt.api.places import find_socket
from maos_ckpt.api.remote import RemoteClient
from maos_ckpt.environment import child_environment
from tests.console.terminal import ROOT, Terminal
from tests.engine.support import WAIT_S, wait_until
from tests.lab.build import build_state

CONSOLE = ["-m", "maos_ckpt_tui"]


@dataclass
class Headless:
    """One running engine on a MAOS directory of its own."""

    directory: Path
    process: subprocess.Popen[bytes]

    @property
    def database(self) -> Path:
        return self.directory / "team" / "maos.db"

    @property
    def repository(self) -> Path:
        return self.directory / "team" / ".maos-ckpt"

    def kill(self) -> None:
        """End it without any warning."""
        self.process.kill()
        self.process.wait()

    def start_again(self) -> None:
        """Another engine in the place of one that was killed; does not wait for it."""
        self.process = _engine(self.directory, 3600.0)

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def terminal(self, *more: str) -> Terminal:
        """A console that is told nothing of the engine."""
        source = ["--source", f"maos:{self.directory / 'team'}"]
        return Terminal([*CONSOLE, *source, *more], 100, 30, **_variables(self.directory))

    @contextlib.contextmanager
    def client(self) -> Iterator[RemoteClient]:
        """A client beside the consoles."""
        socket = find_socket(self.repository)
        assert socket is not None
        client = RemoteClient(unix_address(socket))
        client.start()
        try:
            yield client
        finally:
            client.close(WAIT_S)


def _variables(directory: Path) -> dict[str, str]:
    home = directory / "home"
    return {"HOME": str(home), "XDG_CONFIG_HOME": str(home / "config"), "XDG_STATE_HOME": str(home / "state")}


def _engine(directory: Path, interval_s: float) -> subprocess.Popen[bytes]:
    environment = {**child_environment(), **_variables(directory)}
    environment["PYTHONPATH"] += os.pathsep + str(ROOT)
    with (directory / "engine.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, *CONSOLE, "--headless", "--interval", str(interval_s)],
            cwd=directory / "team",
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


@contextlib.contextmanager
def headless(directory: Path, state_bytes: int = 150_000, interval_s: float = 3600.0) -> Iterator[Headless]:
    """`maos-ckpt --headless` on a new MAOS directory; ended with SIGTERM, which must be clean."""
    build_state(directory / "team", directory / "home" / ".claude", state_bytes, seed=3, transcript_bytes=40_000)
    one = Headless(directory, _engine(directory, interval_s))
    try:
        wait_until(lambda: find_socket(one.repository) is not None or not one.alive, "the engine's socket")
        with one.client() as client:
            wait_until(lambda: bool(client.checkpoints()), "the first checkpoint")
        yield one
    finally:
        one.process.terminate()
        try:
            code = one.process.wait(WAIT_S)
        except subprocess.TimeoutExpired:
            one.process.kill()
            code = one.process.wait()
        assert code == 0, (directory / "engine.log").read_text()
