"""The console under a real pseudo-terminal: signals, hang-ups, hostile content, colours, first paint."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

import pytest

from tests.console.terminal import MOUSE_MODES, RESTORED, Terminal

CONSOLE = ["-m", "tests.console.frozen_console"]
#: Sequences that the console and Textual write themselves: cursor, colours, modes, and nothing else.
_OWN = re.compile(
    r"\x1b\[[0-9;:]*[mHJKABCDGhlu]|\x1b\[\?[0-9;]+[hl]|\x1b\[\?[0-9]+\$p|\x1b\[>[0-9]*u|\x1b\[<u|\x1b\[=[0-9;]*u"
    r"|\x1b\]22;[a-z]*\x07"
)


def assert_restored(terminal: Terminal) -> None:
    for sequence in RESTORED:
        assert sequence in terminal.text, f"{sequence!r} was not sent"
    assert terminal.text.rindex("\x1b[?1049l") > terminal.text.rindex("\x1b[?1049h")
    assert terminal.text.rindex("\x1b[?25h") > terminal.text.rindex("\x1b[?25l")


def test_q_leaves_with_zero_and_a_restored_terminal() -> None:
    with Terminal([*CONSOLE, "still"]) as terminal:
        terminal.until("KiB")
        terminal.type("q")
        assert terminal.wait(5)
        assert terminal.exit_code == 0
        assert_restored(terminal)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signals_restore_the_terminal_and_let_the_engine_finish(number: int, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    with Terminal([*CONSOLE, "slow", str(mark)]) as terminal:
        terminal.until("KiB")
        terminal.signal(number)
        began_s = time.monotonic()
        terminal.pump(0.6)
        assert_restored(terminal)
        assert terminal.wait(5)
        assert time.monotonic() - began_s >= 0.9
        assert terminal.exit_code == 0
        assert mark.read_text() == "closed"
        assert "Traceback" not in terminal.words


def test_a_dropped_connection_ends_the_console_but_not_the_save(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    with Terminal([*CONSOLE, "slow", str(mark)]) as terminal:
        terminal.until("KiB")
        terminal.hang_up()
        assert terminal.wait(5)
        assert terminal.exit_code == 0
        assert mark.read_text() == "closed"


def test_a_dropped_connection_does_not_spin_where_hang_ups_are_ignored(tmp_path: Path) -> None:
    """Under nohup SIGHUP arrives ignored; the end of stdin must still end the console."""
    mark = tmp_path / "mark"
    program = (
        "import signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN);"
        "from tests.console.frozen_console import main; sys.exit(main(['slow', sys.argv[1]]))"
    )
    with Terminal(["-c", program, str(mark)]) as terminal:
        terminal.until("KiB")
        before_s = terminal.cpu_s()
        terminal.hang_up()
        time.sleep(0.7)
        assert terminal.cpu_s() - before_s < 0.4
        assert terminal.wait(5)
        assert mark.read_text() == "closed"


def test_a_second_q_gives_the_terminal_back_while_the_engine_closes(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    with Terminal([*CONSOLE, "slow", str(mark)]) as terminal:
        terminal.until("KiB")
        terminal.type("q")
        terminal.until("Closing")
        terminal.type("q")
        terminal.until("finishing what runs")
        assert_restored(terminal)
        assert not mark.exists()
        assert terminal.wait(5)
        assert mark.read_text() == "closed"


def test_hostile_content_never_reaches_the_terminal_as_a_command() -> None:
    """Every screen shows keys, values, descriptions and events made of escape sequences, markup and bidi."""
    with Terminal([*CONSOLE, "hostile"], columns=140, rows=50) as terminal:
        terminal.until("KiB")
        for keys in (
            "\r",
            "\x1b",
            "d",
            "f",
            "\r",
            "\r",
            "jjj\r",
            "\x1b",
            "\x1b",
            "r",
            "\r",
            "n",
            "\x1b",
            "a",
            "\x1b",
            "\x1b",
            "\x1b",
            ":",
            "\x1b",
            "v",
            "\r",
            "\r",
            "?",
            "\x1b",
            "/own",
            "\r",
            "y",
        ):
            terminal.type(keys)
            terminal.pump(0.15)
        assert terminal.status is None
        terminal.pump(0.3)
        leftover = _OWN.sub("", terminal.text.replace("\x1b]52;c;", "", 1))
        for byte in ("\x1b", "\x9b", "\u202e", "\u200b", "\u2066", "\U000e0041", "\x08", "\x7f"):
            assert byte not in leftover, f"{byte!r} at {leftover[max(0, leftover.find(byte) - 80) :][:200]!r}"
        assert "aGFjaw==" not in "".join(re.findall(r"\x1b\]52;c;[^\x07]*", terminal.text))
        assert "[@click=app.quit]press[/]" in terminal.words
        assert "\\x1b]0;owned\\x07" in terminal.words
        terminal.type("\x11")
        assert terminal.wait(5)
        assert terminal.exit_code == 0


def test_an_unexpected_error_ends_in_a_short_text_and_a_log_file() -> None:
    with Terminal([*CONSOLE, "crash"]) as terminal:
        terminal.until("hit an error of its own")
        terminal.until(".log")
        found = re.search(r"Details: (\S+\.log)", terminal.words)
        assert found is not None
        report = Path(found.group(1))
        try:
            assert "ZeroDivisionError" in report.read_text()
            assert report.stat().st_mode & 0o777 == 0o600
        finally:
            report.unlink()
        terminal.type("q")
        assert terminal.wait(5)
        assert terminal.exit_code == 1
        assert "Traceback" not in terminal.words
        assert_restored(terminal)


def test_no_color_sends_no_colour_at_all() -> None:
    with Terminal([*CONSOLE, "still"], NO_COLOR="1") as terminal:
        terminal.until("KiB")
        terminal.type("r")
        terminal.until("What to recover")
        colours = [
            one
            for one in re.findall(r"\x1b\[([0-9;]*)m", terminal.text)
            if re.search(r"(^|;)(3[0-7]|4[0-7]|9[0-7]|10[0-7]|38|48)(;|$)", one)
        ]
        assert colours == []
        terminal.type("q")
        assert terminal.wait(5)


def test_an_empty_no_color_counts_as_unset() -> None:
    with Terminal([*CONSOLE, "still"], NO_COLOR="", COLORTERM="truecolor") as terminal:
        terminal.until("KiB")
        triples = {tuple(map(int, one)) for one in re.findall(r"38;2;(\d+);(\d+);(\d+)", terminal.text)}
        assert any(len(set(one)) > 1 for one in triples)


def test_the_mouse_is_left_alone() -> None:
    with Terminal([*CONSOLE, "still"]) as terminal:
        terminal.until("KiB")
        assert not any(mode in terminal.text for mode in MOUSE_MODES)


def test_first_paint_is_quick_and_a_resting_console_is_quiet() -> None:
    """0.6 s is the goal on a quiet machine; the bound here leaves room for a busy one."""
    with Terminal([*CONSOLE, "still"], columns=120, rows=40) as terminal:
        painted_s = terminal.until("Timeline")
        assert painted_s < float(os.environ.get("MAOS_CKPT_TEST_FIRST_PAINT_S", "2.0"))
        terminal.pump(1.5)
        sent, cpu_s = len(terminal.output), terminal.cpu_s()
        terminal.pump(4.0)
        assert (len(terminal.output) - sent) / 4 < 1024
        assert (terminal.cpu_s() - cpu_s) / 4 < 0.1
