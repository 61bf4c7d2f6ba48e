"""Nothing that a terminal acts on, hides or turns around passes."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maos_ckpt.safe_text import safe_text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, größer, 漢字, 🙂", "plain text, größer, 漢字, 🙂"),
        ("a\nb\tc\rd", "a\\nb\\tc\\rd"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x9b31m\x7f", "\\x9b31m\\x7f"),
        ("x\u202egpj.exe", "x\\u202egpj.exe"),
        ("zero\u200bwidth\ufeff", "zero\\u200bwidth\\ufeff"),
        ("\U000e0041tag", "\\U000e0041tag"),
        ("lone \udcff surrogate", "lone \\udcff surrogate"),
        ("\u2028\u2029", "\\u2028\\u2029"),
        ("", ""),
    ],
)
def test_dangerous_characters_become_visible(text: str, shown: str) -> None:
    assert safe_text(text) == shown


@given(st.text(st.characters()))
def test_the_result_is_one_printable_line_that_can_be_encoded(text: str) -> None:
    shown = safe_text(text)
    shown.encode()
    assert not any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") for c in shown)
    assert safe_text(shown) == shown


def test_every_character_of_unicode_is_decided_without_error() -> None:
    everything = "".join(map(chr, range(0x110000)))
    assert "\x1b" not in safe_text(everything)
