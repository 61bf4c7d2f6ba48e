"""The boundary between what agents write and the terminal."""

from __future__ import annotations

import re
import shlex
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from maos_ckpt_tui.safe_text import INPUT_PATTERN, clip, pad, safe_name, safe_text, wrap, wrap_command

TEXTS = st.text(st.characters(), max_size=60)  # lone surrogates included
_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain", "plain"),
        ("a\nb\tc\r", "a\\nb\\tc\\r"),
        ("\x1b]52;c;aGFjaw==\x07", "\\x1b]52;c;aGFjaw==\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("a\u200bb", "a\\u200bb"),
        ("\U000e0041", "\\U000e0041"),
        ("\ud800", "\\ud800"),
        ("日本 ⚠️", "日本 ⚠"),
        ("[/b] [@click=app.quit]x[/]", "[/b] [@click=app.quit]x[/]"),
    ],
)
def test_dangerous_characters_become_visible_escapes(raw: str, shown: str) -> None:
    assert safe_text(raw) == shown


@given(TEXTS)
def test_nothing_invisible_or_active_is_left(text: str) -> None:
    shown = safe_text(text)
    assert all(unicodedata.category(one) not in _INVISIBLE for one in shown)
    shown.encode()


@given(TEXTS)
def test_it_changes_nothing_twice(text: str) -> None:
    assert safe_text(safe_text(text)) == safe_text(text)


@given(TEXTS, st.integers(1, 40))
def test_clipped_text_fits_and_says_that_it_was_clipped(text: str, width: int) -> None:
    shown = safe_text(text, width)
    assert cell_len(shown) <= width
    assert shown == safe_text(text) or shown.endswith("…")


@given(TEXTS, st.integers(0, 40), st.booleans())
def test_padded_text_is_exactly_as_wide_as_asked(text: str, width: int, right: bool) -> None:
    assert cell_len(pad(safe_text(text), width, right=right)) == width


@given(TEXTS, st.integers(4, 40))
def test_wrapping_loses_nothing_and_fits(text: str, width: int) -> None:
    lines = wrap(text, width)
    assert all(cell_len(one) <= width for one in lines)
    assert "".join(lines).replace(" ", "") == safe_text(text).replace(" ", "")


def test_a_tower_of_accents_is_cut_down() -> None:
    shown = safe_text("a" + "\u0301" * 50)
    assert shown.count("\u0301") == 3
    assert "\\u0301" in shown


def test_ten_megabytes_are_clipped_without_looking_at_them_all() -> None:
    assert clip(safe_text("x" * 10_000_000, 20), 20) == "x" * 19 + "…"


@given(
    st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1), max_size=8), st.integers(10, 40)
)
def test_a_wrapped_command_is_the_same_command_when_pasted(words: list[str], width: int) -> None:
    command = shlex.join(words)
    pasted = "\n".join(wrap_command(command, width))
    assert shlex.split(pasted.replace("\\\n", "")) == words


@given(TEXTS)
def test_what_an_input_accepts_needs_no_escape(text: str) -> None:
    if re.fullmatch(INPUT_PATTERN, text):
        assert "\x1b" not in text
        assert not any(unicodedata.category(one) in {"Cc", "Cs"} for one in text)
        assert not any("\u202a" <= one <= "\u202e" or "\u2066" <= one <= "\u2069" for one in text)


@pytest.mark.parametrize("piece", ["a", "\n", "\x1b[31m", "\u202e", "日本", "e\u0301\u0301\u0301\u0301"])
@pytest.mark.parametrize("width", [4, 20, 60, 200])
def test_a_very_long_name_fits_and_says_how_long_it_is(piece: str, width: int) -> None:
    name = piece * (1_000_000 // len(piece))
    shown = safe_name(name, width)
    assert cell_len(shown) <= width
    assert safe_text(shown) == shown
    if width >= 20:
        assert f"({len(name):,}" in shown
    assert safe_name("agents", width) == safe_text("agents", width)
