"""The short version of `tests.console.fuzz_terminal`, and what its reader of streams tells apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.console.fuzz_terminal import fuzz
from tests.console.hostile import KINDS, hostile_texts
from tests.console.hostile_state import build_hostile
from tests.console.stream import foreign

NAMES = 48


def test_nothing_hostile_reaches_the_terminal_from_any_mode(tmp_path: Path) -> None:
    state = build_hostile(tmp_path, hostile_texts(NAMES, seed=11), line_bytes=200_000)
    report = fuzz(state, NAMES, seed=11, steps=2, pages=0, keys_max=1)
    assert sum(map(len, report.seen.values())) > 0, "no hostile name was shown at all"


@pytest.mark.parametrize("kind", ["title", "csi colour", "csi cursor", "mouse on", "osc 8 link", "dcs", "c1", "c0"])
def test_the_reader_finds_each_of_them_in_a_stream(kind: str) -> None:
    assert foreign(f"\x1b[1;1H\x1b[0;38;2;1;2;3mfine{KINDS[kind]('zq0001')}", 80, 24)


def test_the_reader_takes_what_the_console_sends() -> None:
    assert not foreign(
        "\x1b[?1049h\x1b[?25l\x1b[24;80H\x1b[1;38;2;255;0;1;48;5;7mwords 日本\x1b[0m\x1b[?2026$p\r\n", 80, 24
    )
