"""The command line as a real process on a small real MAOS state."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from maos_ckpt.environment import PREFIX, child_environment
from tests.lab.build import build_state

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 60.0
_PR_CAPBSET_DROP, _CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 24, 1, 2
#: What an agent might write to take over an operator's terminal.
HOSTILE = "\x1b]0;owned\x07 \x9b31m \u202eevil\u200b [bold]x[/y] \n second line"


def _obey_file_modes() -> None:
    """Between fork and exec: give up root's right to read and write everything, where tests run as root."""
    libc = ctypes.CDLL(None)
    for capability in (_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH):
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as one JSON document."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """Standard output as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def error(self) -> dict[str, Any]:
        """The error object on standard error."""
        found: dict[str, Any] = json.loads(self.err)["error"]
        return found


@dataclass
class Cli:
    """Runs `maos-ckpt` in a directory, with an environment of its own."""

    cwd: Path
    home: Path
    variables: dict[str, str] = field(default_factory=dict)
    obeys_modes: bool = False

    @property
    def claude_home(self) -> Path:
        """Where the transcripts are."""
        return self.home / ".claude"

    @property
    def database(self) -> Path:
        """The MAOS database."""
        return self.cwd / "maos.db"

    @property
    def repository(self) -> Path:
        """The default repository."""
        return self.cwd / ".maos-ckpt"

    def environment(self) -> dict[str, str]:
        """What the process gets; nothing of the machine's own settings."""
        inherited = {name: value for name, value in child_environment().items() if not name.startswith(PREFIX)}
        inherited["PYTHONPATH"] += os.pathsep + str(ROOT)
        return inherited | {
            "HOME": str(self.home),
            "XDG_CONFIG_HOME": str(self.home / "config"),
            "XDG_STATE_HOME": str(self.home / "state"),
            **self.variables,
        }

    def command(self, *arguments: str) -> list[str]:
        """The process's words."""
        return [sys.executable, "-m", "maos_ckpt_tui", *arguments]

    def run(self, *arguments: str, cwd: Path | None = None) -> Result:
        """Run to the end. A traceback anywhere is a failure of the test."""
        done = subprocess.run(
            self.command(*arguments),
            cwd=cwd or self.cwd,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
            preexec_fn=_obey_file_modes if self.obeys_modes else None,
        )
        assert "Traceback" not in done.stderr + done.stdout, done.stderr
        return Result(done.returncode, done.stdout, done.stderr)

    def ok(self, *arguments: str) -> Result:
        """Run a command that must succeed."""
        result = self.run(*arguments)
        assert result.code == 0, result.err
        return result

    def save(self, *more: str) -> dict[str, Any]:
        """Take a checkpoint; returns its JSON form."""
        saved: dict[str, Any] = self.ok("save", "--json", *more).json["checkpoint"]
        return saved

    def execute(self, statement: str, *values: object) -> None:
        """Change the MAOS database."""
        with contextlib.closing(sqlite3.connect(self.database)) as connection, connection:
            connection.execute(statement, values)

    @contextlib.contextmanager
    def nothing_lost(self) -> Iterator[None]:
        """What was saved before the block stays listed after it and verifies in full."""
        before = self.ok("list", "--json").json["checkpoints"]
        yield
        after = self.ok("list", "--json").json["checkpoints"]
        assert [one["id"] for one in after][-len(before) :] == [one["id"] for one in before]
        assert self.ok("verify", "--all", "--level", "full", "--json").json["ok"]

    def fails(self, code: int, *arguments: str) -> dict[str, Any]:
        """Run a command that must fail so, as text and as JSON; returns the error object."""
        text = self.run(*arguments)
        assert (text.code, text.out) == (code, ""), text
        assert text.err.startswith("error: "), text.err
        result = self.run(*arguments, "--json")
        assert (result.code, result.out) == (code, ""), result
        error = result.error
        assert set(error) == {"kind", "message", "kept", "hint", "data"}
        assert error["message"].endswith((".", "?")), error
        return error


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """The command line in a MAOS directory of some 150 KB, its transcripts in ~/.claude."""
    made = Cli(tmp_path / "team", tmp_path / "home")
    build_state(made.cwd, made.claude_home, 150_000, seed=5, transcript_bytes=40_000)
    return made


@pytest.fixture
def empty(tmp_path: Path) -> Cli:
    """The command line in an empty directory."""
    (tmp_path / "home").mkdir()
    (tmp_path / "empty").mkdir()
    return Cli(tmp_path / "empty", tmp_path / "home")
