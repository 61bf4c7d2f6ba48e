"""The whole way, as an operator goes it: real processes on a real MAOS."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from maos_ckpt.environment import child_environment

ROOT = Path(__file__).parents[2]


class Operator:
    """Runs maos-ckpt against one MAOS directory."""

    def __init__(self, directory: Path, claude_home: Path, home: Path) -> None:
        self.directory = directory
        self.claude_home = claude_home
        self._environment = child_environment() | {"HOME": str(home)}

    def command(self, *arguments: str) -> list[str]:
        options = ["--source", f"maos:{self.directory}", "--claude-home", str(self.claude_home), "--json"]
        return [sys.executable, "-m", "maos_ckpt_tui", *arguments, *options]

    def try_(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments), cwd=ROOT, env=self._environment, capture_output=True, text=True, timeout=120
        )

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.command(*arguments),
            cwd=ROOT,
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def run(self, *arguments: str) -> Any:
        done = self.try_(*arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    for name in ("maos", "claude", "home"):
        (tmp_path / name).mkdir()
    return Operator(tmp_path / "maos", tmp_path / "claude", tmp_path / "home")
