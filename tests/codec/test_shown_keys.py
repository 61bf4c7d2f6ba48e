"""A glob's range never leaves a key out that the glob matches."""

from __future__ import annotations

import glob

from hypothesis import given
from hypothesis import strategies as st

from maos_ckpt.codec.shown_keys import key_ranges
from maos_ckpt.codec.values import RAW_TEXT, RawText, display_key, encode_key, key_forms
from maos_ckpt.diff import matches
from maos_ckpt.model import CollectionKind, Descriptor, Value

DESCRIPTOR = Descriptor("memory", "transcripts", CollectionKind.TABLE, ("path", "line"), ("text",), "transcripts")
PARTS = st.one_of(
    st.none(),
    st.integers(-(1 << 40), 1 << 40),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text("ab/'x0t1-.*[]\0ä", max_size=8),
    st.binary(max_size=3),
    st.just(RawText(RAW_TEXT, b"\xff\xfe")),
)


def within(pattern: str, key: bytes) -> bool:
    ranges = key_ranges(DESCRIPTOR, pattern)
    return ranges is None or any(low <= key and (high is None or key < high) for low, high in ranges)


@given(PARTS, PARTS, st.data())
def test_whatever_matches_is_in_a_range(first: Value, second: Value, data: st.DataObject) -> None:
    key = encode_key((first, second))
    for form in key_forms(key):
        cut = data.draw(st.integers(0, len(form)))
        for pattern in (form, form[:cut] + "*", glob.escape(form[:cut]) + "*", glob.escape(form)):
            path = f"memory/transcripts/{pattern}"
            if matches(path, DESCRIPTOR, key):
                assert within(path, key), (path, display_key(key))


def test_a_file_s_lines_are_a_range_and_another_collection_s_pattern_means_nothing_here() -> None:
    pattern = "memory/transcripts/slug/0f-1.jsonl/*"
    assert within(pattern, encode_key(("slug/0f-1.jsonl", 7)))
    assert not within(pattern, encode_key(("slug/0e-1.jsonl", 7)))
    assert not within(pattern, encode_key(("slug/zz.jsonl", 7)))
    assert key_ranges(DESCRIPTOR, "agents/agents/*") is None
