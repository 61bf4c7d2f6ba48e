"""Values of a change as JSON: typed, nothing confused with anything else; and keys that no two records share."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maos_ckpt.codec.values import RAW_TEXT, RawText, display_key, encode_key, key_forms
from maos_ckpt.fields import SHOWN_CHARACTERS_MAX, changed_fields, json_value
from maos_ckpt.wire import encode


def typed(before: object, after: object) -> list[object]:
    """The after sides of a change of one column, as a program reads them."""
    found = changed_fields({"v": before}, {"v": after})
    encode(found)
    return [one.after if one.after_json is None else json.loads(one.after_json) for one in found]


@pytest.mark.parametrize(
    "value", [None, 5, 0, -3, 2**63 - 1, -(2**63), 2**53 + 1, 0.5, -0.0, 1e300, "5", "NULL", "", "é"]
)
def test_values_that_json_has_keep_their_type(value: object) -> None:
    (found,) = typed("other", value)
    assert (type(found), repr(found)) == (type(value), repr(value))


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        (b"\x00\xff", {"$bytes": "AP8="}),
        (RawText(RAW_TEXT, b"\xff"), {"$text": "/w=="}),
        (math.inf, {"$real": "inf"}),
        (-math.inf, {"$real": "-inf"}),
        (math.nan, {"$real": "nan"}),
    ],
)
def test_values_that_json_lacks_are_objects_and_the_same_everywhere(value: object, shape: object) -> None:
    assert typed("other", value) == [shape]
    assert json_value(value) == shape


def test_items_of_documents_are_typed_and_absent_is_not_null() -> None:
    before = json.dumps({"a": 1, "b": "x", "gone": None})
    after = json.dumps({"a": None, "b": {"c": [1, True]}, "huge": 10**40})
    found = {one.path: one for one in changed_fields({"v": before}, {"v": after})}
    assert found["v.a"].after_json == "null"
    assert json.loads(found["v.b"].after_json or "") == {"c": [1, True]}
    assert json.loads(found["v.huge"].after_json or "") == 10**40
    assert (found["v.gone"].before_json, found["v.gone"].after, found["v.gone"].after_json) == ("null", None, None)
    assert found["v.huge"].before is None


def test_documents_that_are_not_quite_json_stay_readable_and_can_be_sent() -> None:
    assert typed('{"a": 1}', '{"a": [NaN, -Infinity, 1e999]}') == [
        [{"$real": "nan"}, {"$real": "-inf"}, {"$real": "inf"}]
    ]
    assert typed('{"a": 1}', '{"a": "\\ud800"}') == ["\ud800"]
    assert typed('{"a": 1}', '{"a": ["\\ud800"]}') == [["\ud800"]]


@pytest.mark.parametrize(
    ("value", "of", "length"),
    [("x" * 10_000, "text", 10_000), (b"y" * 10_000, "bytes", 10_000), (json.dumps(["z" * 9_996]), "text", 10_000)],
)
def test_a_long_value_says_that_it_is_cut_and_how_long_it_is(value: object, of: str, length: int) -> None:
    (found,) = typed("other", value)
    assert isinstance(found, dict)
    assert (found["of"], found["length"]) == (of, length)
    (change,) = changed_fields({"v": "other"}, {"v": value})
    assert len(change.after or "") < SHOWN_CHARACTERS_MAX + 100


def test_a_long_item_of_a_document_says_that_it_is_cut() -> None:
    (found,) = typed(json.dumps({"a": 1}), json.dumps({"a": ["z" * 9_996]}))
    assert isinstance(found, dict)
    assert (found["of"], found["length"]) == ("json", 10_000)


parts = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.text(alphabet="NUL0159.e+-/'xtinfa ", max_size=5),
    st.sampled_from(["NULL", "5", "1e+16", "inf", "nan", "x'00'", "t'ff'", "", "'", "''", "a/b"]),
    st.binary(max_size=2),
    st.just(RawText(RAW_TEXT, b"\xff")),
)


@given(st.integers(1, 3).flatmap(lambda n: st.tuples(st.tuples(*[parts] * n), st.tuples(*[parts] * n))))
def test_two_keys_of_a_collection_are_never_shown_alike(pair: tuple[tuple[object, ...], tuple[object, ...]]) -> None:
    one, other = (encode_key(key) for key in pair)
    # All NaN are one key to SQLite, which stores none of them.
    if one != other and "nan" not in display_key(one):
        assert display_key(one) != display_key(other)


def test_ordinary_keys_stand_bare_and_odd_ones_may_be_typed_without_their_quotes() -> None:
    assert display_key(encode_key(("analyst-3",))) == "analyst-3"
    assert display_key(encode_key((17,))) == "17"
    assert display_key(encode_key(("slug/session.jsonl", 12))) == "slug/session.jsonl/12"
    assert key_forms(encode_key(("17",))) == ("'17'", "17")
    assert key_forms(encode_key(("it's",))) == ("'it''s'", "it's")
