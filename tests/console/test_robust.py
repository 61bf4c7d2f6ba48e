"""The console in a real terminal that is resized, suspended, and whose modes crash."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from maos_ckpt_tui.modes import MODES
from tests.console.stream import foreign
from tests.console.terminal import RESTORED, Terminal
from tests.console.test_terminal import CONSOLE, assert_restored

SIZES = [(80, 24), (200, 50), (20, 5), (1, 1), (60, 20), (39, 11), (120, 40), (300, 90)]


def test_a_storm_of_resizes_in_every_mode_leaves_a_console_that_answers() -> None:
    chance = random.Random(3)
    with Terminal([*CONSOLE, "still"], 80, 24) as terminal:
        terminal.until("KiB")
        for mode in MODES:
            terminal.type(mode.key)
            for _ in range(12):
                terminal.resize(*chance.choice(SIZES))
                terminal.pump(chance.choice((0.0, 0.005, 0.02)))
        terminal.resize(80, 24)
        terminal.pump(0.4)
        assert not foreign(terminal.text, 300, 90)
        terminal.type("1")
        terminal.pump(0.2)
        terminal.type("q")
        assert terminal.wait(10)
        assert terminal.exit_code == 0
        assert_restored(terminal)


def test_suspended_it_gives_the_terminal_back_and_paints_again_when_resumed() -> None:
    with Terminal([*CONSOLE, "still"], 80, 24) as terminal:
        terminal.until("KiB")
        terminal.pump(0.3)
        before = len(terminal.text)
        terminal.signal(signal.SIGTSTP)
        assert _stopped(terminal), "it did not stop"
        told = terminal.text[before:]
        assert all(one in told for one in RESTORED), f"the terminal was not given back: {told[-200:]!r}"
        before = len(terminal.text)
        terminal.signal(signal.SIGCONT)
        terminal.pump(1.0)
        assert "\x1b[?1049h" in terminal.text[before:]
        assert "KiB" in terminal.words[-8000:]
        terminal.type("q")
        assert terminal.wait(10)
        assert terminal.exit_code == 0
        assert_restored(terminal)


def _stopped(terminal: Terminal) -> bool:
    end_s = time.monotonic() + 5
    while time.monotonic() < end_s:
        terminal.pump(0.05)
        if Path(f"/proc/{terminal.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] == "T":
            return True
    return False


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
def test_a_fault_in_a_mode_ends_in_the_panic_screen_and_a_way_back(mode: object, tmp_path: Path) -> None:
    name, key = mode.name, mode.key  # type: ignore[attr-defined]
    program = (
        "import sys\n"
        "from maos_ckpt_tui import console\n"
        "from maos_ckpt_tui.app import run_console\n"
        "from tests.console.frozen_client import FrozenClient\n"
        "def broken(self):\n"
        "    if self.current_mode == sys.argv[1] and self._ticked:\n"
        "        raise ZeroDivisionError('a fault in a mode, with \\x1b[31m content')\n"
        "    self._ticked = True\n"
        "console.ConsoleApp._ticked = False\n"
        "console.ConsoleApp._tick = broken\n"
        "sys.exit(run_console(FrozenClient()))\n"
    )
    with Terminal(["-c", program, name], 80, 24, TMPDIR=str(tmp_path)) as terminal:
        terminal.until("KiB")
        terminal.type(key)
        terminal.until("hit an error of its own")
        terminal.until("open the console again")
        assert "Traceback" not in terminal.words
        assert not foreign(terminal.text, 80, 24)
        before = len(terminal.output)
        terminal.type("r")
        terminal.pump(0.8)
        assert b"maos-ckpt" in terminal.output[before:]
        os.kill(terminal.pid, signal.SIGTERM)
        assert terminal.wait(10)
        assert_restored(terminal)
