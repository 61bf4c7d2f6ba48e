"""Terminals that can do less, lines that are slow, a mouse, and a console that is suspended: on a real terminal."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from maos_ckpt.config.types import Console
from maos_ckpt_tui.ascii_glyphs import to_ascii
from maos_ckpt_tui.looks import draws_unicode, looks_of
from maos_ckpt_tui.widgets.lines import line_width
from maos_ckpt_tui.widgets.mode_bar import ModeBar
from tests.console.terminal import MOUSE_MODES, RESTORED, Terminal

LOOKS = ["-m", "tests.console.frozen_console", "looks"]


@pytest.mark.parametrize(
    ("variables", "draws"),
    [
        ({"LANG": "C.UTF-8"}, True),
        ({"LANG": "de_DE.utf8@euro"}, True),
        ({"LANG": "C.UTF-8", "LC_ALL": "de_DE.ISO-8859-1"}, False),
        ({"LANG": "en_US.ISO-8859-15"}, False),
        ({"LANG": "C.UTF-8", "TERM": "linux"}, False),
        ({"LANG": "C.UTF-8", "TERM": "vt100"}, False),
        ({"LANG": "C.UTF-8", "TERM": "xterm-256color"}, True),
    ],
)
def test_ascii_is_taken_where_the_terminal_has_no_more(variables: dict[str, str], draws: bool) -> None:
    assert draws_unicode(variables) is draws
    assert looks_of(Console(), variables).ascii is not draws
    assert looks_of(Console(ascii="always"), variables).ascii
    assert not looks_of(Console(ascii="never"), variables).ascii


def test_every_glyph_of_the_console_has_a_likeness_of_the_same_width() -> None:
    sources = Path(__file__).parents[2].joinpath("maos_ckpt_tui").rglob("*.py")
    drawn = {one for path in sources if path.stem not in ("ascii_glyphs", "safe_text", "__init__")
             for one in path.read_text(encoding="utf-8") if not one.isascii()}  # fmt: skip
    # Combining marks and the like are ranges of a regular expression there, and never drawn.
    assert {one for one in drawn if to_ascii(one) == "?"} == set()
    assert to_ascii("日本⠿é") == "????*?"


@pytest.mark.parametrize("environment", [{"LC_ALL": "C"}, {"TERM": "linux"}])
def test_nothing_beyond_ascii_reaches_a_terminal_that_has_nothing_else(environment: dict[str, str]) -> None:
    plain = {"LC_ALL": "de_DE.ISO-8859-1"} if "LC_ALL" in environment else environment
    with Terminal([*LOOKS, "hostile"], **plain) as terminal:
        terminal.until("recover")
        for keys in (
            "?",
            "\x1b",
            ":",
            "\x1b",
            "L",
            "\x1b",
            "r",
            "\x1b",
            "d",
            "\x1b",
            "2",
            "3",
            "7",
            "8",
            "9",
            "1",
            "t",
        ):
            terminal.type(keys)
            terminal.pump(0.12)
        terminal.type("q")
        assert terminal.wait(5.0)
    assert "+---" in terminal.words or "--- " in terminal.words
    assert {byte for byte in terminal.output if byte > 0x7E} == set()


def test_a_slow_line_gets_fewer_and_smaller_paints_and_is_told_so() -> None:
    spent = {}
    for kind in ("plain", "low_bandwidth"):
        with Terminal([*LOOKS, kind], 120, 40) as terminal:
            terminal.until("recover")
            terminal.pump(0.4)
            first = len(terminal.output)
            terminal.pump(1.3)
            spent[kind] = (first, len(terminal.output) - first)
            assert ("LOW BANDWIDTH" in terminal.words) is (kind == "low_bandwidth")
            terminal.type("q")
            assert terminal.wait(5.0)
    assert spent["low_bandwidth"][0] < spent["plain"][0] * 0.8
    assert spent["low_bandwidth"][1] <= spent["plain"][1]


def test_the_mouse_works_where_it_is_wanted_and_is_let_go_again() -> None:
    with Terminal([*LOOKS, "mouse"]) as terminal:
        terminal.until("recover")
        assert "\x1b[?1000h" in terminal.text
        _click(terminal, _column_of("drills"), 1)
        terminal.until("SCENARIO")
        _click(terminal, _column_of("overview"), 1)
        terminal.pump(0.2)
        terminal.type("q")
        assert terminal.wait(5.0)
    assert terminal.exit_code == 0
    assert all(f"{mode}l" in terminal.text for mode in MOUSE_MODES[:1])


def test_a_suspended_console_gives_the_terminal_back_and_paints_everything_when_it_returns() -> None:
    with Terminal([*LOOKS, "shared"]) as terminal:
        terminal.until("recover")
        terminal.type("\x1a")
        _until_stopped(terminal)
        terminal.pump(0.1)
        assert all(one in terminal.text for one in RESTORED)
        terminal.output = b""
        terminal.signal(signal.SIGCONT)
        terminal.until("recover")
        for shown in ("maos-ckpt", "[1 Over", "Timeline", "Checkpoints", "recover"):
            assert shown in terminal.words
        terminal.type("q")
        assert terminal.wait(5.0)
    assert terminal.exit_code == 0


def test_a_console_with_an_engine_inside_is_not_suspended_and_says_why() -> None:
    with Terminal(LOOKS, 120) as terminal:
        terminal.until("recover")
        terminal.type("\x1a")
        terminal.until("Not suspended")
        terminal.type("q")
        assert terminal.wait(5.0)


def _column_of(wanted: str) -> int:
    """Where a mode stands in the mode bar of the overview at 80 columns."""
    parts = ModeBar("overview")._parts(80)
    at = next(index for index, (mode, _) in enumerate(parts) if mode.name == wanted)
    return sum(line_width(part) for _, part in parts[:at]) + 1


def _click(terminal: Terminal, column: int, row: int) -> None:
    at = f"{column + 1};{row + 1}"
    terminal.type(f"\x1b[<0;{at}M\x1b[<0;{at}m")


def _until_stopped(terminal: Terminal) -> None:
    end_s = time.monotonic() + 5.0
    while Path(f"/proc/{terminal.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "T":
        assert time.monotonic() < end_s, "it was never suspended"
        terminal.pump(0.02)
