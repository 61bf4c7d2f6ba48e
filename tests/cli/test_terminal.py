"""On a terminal: the question before a recovery, and progress."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import struct
import subprocess
import termios
from pathlib import Path

import pytest

from tests.cli.conftest import TIMEOUT_S, Cli
from tests.cli.support import damage, save, state
from tests.lab.build import build_state
from tests.lab.mutate import mutate


class Terminal:
    """Runs a command with a pseudo-terminal as its three streams."""

    def __init__(self, cli: Cli, *arguments: str, columns: int = 80) -> None:
        self.fd, side = pty.openpty()
        fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
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


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 4)])
def test_a_plan_that_moves_while_the_question_stands_is_applied_only_when_asked_again(
    cli: Cli, answer: str, code: int
) -> None:
    one = save(cli)
    wanted = state(cli)
    cli.execute("UPDATE agents SET status = 'lost' WHERE rowid = 1")
    terminal = Terminal(cli, "restore", one)
    terminal.read_until("[y/N]")
    cli.execute("UPDATE agents SET status = 'lost'")
    cli.execute("INSERT INTO agents(id, name, type, session_id, status) VALUES ('new-1', 'n', 't', 's', 'active')")
    moved = state(cli)
    agents = len(wanted[0]["agents"])
    terminal.type("y\n")
    terminal.read_until("Apply to what is there at the moment MAOS is stopped? [y/N]")
    assert f"MAOS moved on since you looked: now {agents + 1} records (+0 ~{agents} -1), you saw 1." in terminal.text
    assert state(cli) == moved
    terminal.type(answer)
    assert terminal.end() == code
    assert state(cli) == (moved if code else wanted)
    assert ("Nothing was changed" in terminal.text) == bool(code)


def test_what_is_applied_is_the_checkpoint_that_was_shown_although_latest_is_another_by_now(cli: Cli) -> None:
    save(cli)
    wanted = state(cli)
    damage(cli)
    terminal = Terminal(cli, "restore", "latest")
    terminal.read_until("[y/N]")
    mutate(cli.cwd, 0.3, seed=8)
    save(cli)
    terminal.type("y\n")
    terminal.read_until("is stopped? [y/N]")
    terminal.type("y\n")
    assert terminal.end() == 0
    assert state(cli) == wanted


def test_an_undo_that_is_about_another_recovery_by_now_is_refused(cli: Cli) -> None:
    one = save(cli)
    damage(cli)
    cli.ok("restore", one, "--component", "tasks", "--yes")
    terminal = Terminal(cli, "undo")
    terminal.read_until("[y/N]")
    cli.ok("restore", one, "--yes")
    recovered = state(cli)
    terminal.type("y\n")
    assert terminal.end() == 4
    assert terminal.text.count("[y/N]") == 1
    assert state(cli) == recovered


def test_a_plan_named_on_the_command_line_is_that_plan_or_none(cli: Cli) -> None:
    one = save(cli)
    damage(cli)
    digest = cli.ok("restore", one, "--dry-run", "--json").json["plan"]["digest"]
    mutate(cli.cwd, 0.3, seed=8)
    moved = state(cli)
    terminal = Terminal(cli, "restore", one, "--plan", digest[:12])
    assert terminal.end() == 4
    assert "[y/N]" not in terminal.text
    fresh = cli.ok("restore", one, "--dry-run", "--json").json["plan"]["digest"]
    terminal = Terminal(cli, "restore", one, "--plan", fresh[:12])
    terminal.read_until("[y/N]")
    mutate(cli.cwd, 0.3, seed=9)
    moved = state(cli)
    terminal.type("y\n")
    assert terminal.end() == 4
    assert terminal.text.count("[y/N]") == 1
    assert state(cli) == moved


@pytest.mark.parametrize(("answer", "left"), [("y\n", 1), ("n\n", 2), ("\x04", 2)])
def test_a_checkpoint_is_deleted_on_a_terminal_only_after_a_yes(cli: Cli, answer: str, left: int) -> None:
    ids = [save(cli) for _ in range(2)]
    terminal = Terminal(cli, "delete", "latest~1")
    terminal.read_until("[y/N]")
    assert f"Delete {ids[0]}, " in terminal.text
    terminal.type(answer)
    assert terminal.end() == 0
    assert len(cli.ok("list", "--json").json["checkpoints"]) == left
    assert ("Nothing was changed" in terminal.text) == (left == 2)


def test_nothing_is_asked_of_who_said_yes_or_has_no_terminal(cli: Cli) -> None:
    for _ in range(3):
        save(cli)
    cli.ok("delete", "latest")
    terminal = Terminal(cli, "delete", "latest", "--yes")
    assert terminal.end() == 0
    terminal = Terminal(cli, "prune", "--keep-last", "1")
    assert terminal.end() == 0
    assert "[y/N]" not in terminal.text
    cli.ok("pin", "latest")
    terminal = Terminal(cli, "delete", "latest")
    assert terminal.end() == 4
    assert "[y/N]" not in terminal.text


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_the_list_fits_the_terminal_and_not_the_pipe(cli: Cli, columns: int) -> None:
    one = cli.save(
        "-m", "a description that is rather long for a narrow window, as they are", "--tag", "before-upgrade"
    )
    cli.ok("pin", one["id"])
    cli.save()
    terminal = Terminal(cli, "list", columns=columns)
    assert terminal.end() == 0
    lines = terminal.text.splitlines()
    assert len(lines) == 3
    assert max(map(len, lines)) <= columns
    assert one["id"] in terminal.text
    assert "pinned" in terminal.text
    assert ("UTC" in terminal.text) == (columns == 200)
    assert ("a description" in terminal.text) == (columns > 40)
    piped = cli.ok("list").out.splitlines()
    assert "a description that is rather long for a narrow window" in piped[2]
    assert "UTC" in piped[2]


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
