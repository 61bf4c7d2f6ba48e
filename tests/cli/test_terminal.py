"""On a terminal: the question before a recovery, and progress."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import TIMEOUT_S, Cli
from tests.cli.support import damage, save, state
from tests.lab.build import build_state
from tests.lab.mutate import mutate


class Terminal:
    """Runs a command with a pseudo-terminal as its three streams."""

    def __init__(self, cli: Cli, *arguments: str) -> None:
        self.fd, side = pty.openpty()
        self.process = subprocess.Popen(
            cli.command(*arguments), cwd=cli.cwd, env=cli.environment(), stdin=side, stdout=side, stderr=side
        )
        os.close(side)
        self.text = ""

    def read_until(self, wanted: str) -> str:
        """Read until `wanted` shows, or the command ends."""
        while wanted not in self.text:
            readable, _, _ = select.select([self.fd], [], [], TIMEOUT_S)
            assert readable, self.text
            try:
                data = os.read(self.fd, 65_536)
            except OSError:
                break
            if not data:
                break
            self.text += data.decode("utf-8", "replace")
        return self.text

    def type(self, text: str) -> None:
        """Type something."""
        os.write(self.fd, text.encode())

    def end(self) -> int:
        """Read the rest; returns the exit code."""
        self.read_until("\0never")
        os.close(self.fd)
        return self.process.wait(TIMEOUT_S)


@pytest.mark.parametrize("answer", ["n\n", "\n", "nonsense\n", "\x04"])
def test_on_a_terminal_the_plan_is_shown_and_no_is_the_default(cli: Cli, answer: str) -> None:
    one = save(cli)
    damage(cli)
    before = state(cli)
    terminal = Terminal(cli, "restore", one)
    terminal.read_until("[y/N]")
    assert "MODIFIED" in terminal.text
    terminal.type(answer)
    assert terminal.end() == 0
    assert "Nothing was changed" in terminal.text
    assert state(cli) == before


def test_on_a_terminal_yes_applies_the_plan_that_was_shown(cli: Cli) -> None:
    one = save(cli)
    wanted = state(cli)
    damage(cli)
    terminal = Terminal(cli, "restore", one, "--reason", "typed")
    terminal.read_until("[y/N]")
    terminal.type("y\n")
    assert terminal.end() == 0
    assert "undo" in terminal.text
    assert state(cli) == wanted


def test_a_plan_that_moves_while_the_question_stands_is_not_applied(cli: Cli) -> None:
    one = save(cli)
    damage(cli)
    terminal = Terminal(cli, "restore", one)
    terminal.read_until("[y/N]")
    mutate(cli.cwd, 0.3, seed=8)
    moved = state(cli)
    terminal.type("y\n")
    assert terminal.end() == 4
    assert state(cli) == moved


def test_progress_is_one_line_that_is_wiped_and_never_among_the_data(cli: Cli, tmp_path: Path) -> None:
    large = Cli(tmp_path / "large", cli.home)
    build_state(large.cwd, cli.claude_home, 40 << 20, seed=3)
    terminal = Terminal(large, "save", "--json")
    assert terminal.end() == 0
    assert "save: " in terminal.text
    assert "\r\x1b[K" in terminal.text
    assert "/s" in terminal.text
    body = terminal.text.rpartition("\x1b[K")[2]
    assert json.loads(body)["checkpoint"]["records"] > 0
    piped = large.ok("save")
    assert piped.err == ""
