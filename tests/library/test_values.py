"""Values of objects as records and back."""

from __future__ import annotations

import array
import dataclasses
import datetime
import enum
import json
import math
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maos_ckpt.codec.values import decode_row, encode_row
from maos_ckpt.sources.provider.values import DEPTH_MAX, Ext, ValueRefusedError, class_name, decode_value, encode_value


@dataclasses.dataclass(frozen=True, slots=True)
class Task:
    name: str
    retries: int = 3
    notes: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Loud:
    value: int

    def __post_init__(self) -> None:
        if self.value > 100:
            raise AssertionError("a record must not run this")


class Colour(enum.IntEnum):
    RED = 1


def there_and_back(value: object, **types: type) -> Any:
    known: dict[str, type] = dict(types)
    stored = decode_row(encode_row(encode_value(value, known)))
    return decode_value(stored[0], stored[1], "it", known)


def same(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return math.isnan(one) == math.isnan(other) and (math.isnan(one) or one.hex() == other.hex())
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        keys = len(one) == len(other) and all(map(same, one, other))
        return keys and all(map(same, one.values(), other.values()))
    return bool(one == other)


_KEYS = st.one_of(st.text(max_size=5), st.integers(-(1 << 70), 1 << 70), st.binary(max_size=3), st.just("$bytes"))
_LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-(1 << 80), 1 << 80), st.floats(), st.text(), st.binary(), st.datetimes()
)
VALUES = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.tuples(inner, inner), st.dictionaries(_KEYS, inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(VALUES)
def test_any_nesting_of_json_and_msgpack_types_comes_back_as_it_was(value: object) -> None:
    assert same(there_and_back(value), value)


@pytest.mark.parametrize(
    "value",
    [
        array.array("d", [1.5, math.inf]),
        array.array("q", [-1, 1 << 62]),
        bytearray(b"\0x"),
        Ext(7, b"body"),
        datetime.datetime(2026, 1, 2, 3, 4, 5, 6, datetime.UTC),
        {"deep": [Task("a", 1, ["n"]), (Task("b"),)]},
        Task("only"),
    ],
)
def test_arrays_bytes_times_and_dataclasses_come_back_as_what_they_were(value: object) -> None:
    back = there_and_back(value)
    assert type(back) is type(value)
    assert back == value


def test_views_of_memory_keep_their_format_and_shape() -> None:
    for view in (
        memoryview(b"abc"),
        memoryview(array.array("d", [1, 2, 3, 4])).cast("B").cast("d", [2, 2]),
        memoryview(b"abcdef")[::2],
    ):
        back = there_and_back({"view": view})["view"]
        assert (back.format, back.shape, back.tolist()) == (view.format, view.shape, view.tolist())


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({1, 2}, "^: a builtins.set"),
        ([{"a": [object()]}], r"^\[0\]\.a\[0\]: a builtins\.object"),
        ({"f": print}, r"^\.f: a builtins\.builtin"),
        (Task("x", 1, [1j]), r"^\.notes\[0\]: a builtins\.complex"),  # type: ignore[list-item]
        ({"kind": Task}, r"^\.kind: a builtins\.type"),
        ([Colour.RED], r"^\[0\]: a .*Colour"),
        ("\ud800", "^: text with half"),
        ({"k": 1 << 5000}, r"^\.k: an integer of more"),
    ],
)
def test_anything_else_is_refused_with_the_path_to_it(value: object, path: str) -> None:
    with pytest.raises(ValueRefusedError, match=path):
        encode_value(value, {})


def test_containers_in_themselves_and_too_deep_ones_are_refused() -> None:
    loop: list[object] = []
    loop.append({"again": loop})
    with pytest.raises(ValueRefusedError, match="holds itself"):
        encode_value(loop, {})
    deep: object = 1
    for _ in range(DEPTH_MAX + 1):
        deep = [deep]
    with pytest.raises(ValueRefusedError, match="containers inside"):
        encode_value(deep, {})


def test_a_record_names_a_class_and_imports_and_runs_nothing() -> None:
    value, form = encode_value(Loud(1), {})
    with pytest.raises(ValueRefusedError, match="not among the provider's types"):
        decode_value(value, form, "it", {})
    assert isinstance(value, str)
    loud = decode_value(value.replace('"value":1', '"value":500'), form, "it", {class_name(Loud): Loud})
    assert isinstance(loud, Loud)
    assert loud.value == 500
    before = set(sys.modules)
    with pytest.raises(ValueRefusedError):
        decode_value('{"$dataclass":["antigravity:Task",{}]}', "json", "it", {})
    assert set(sys.modules) == before


def test_a_dataclass_that_grew_gets_its_defaults_and_one_that_shrank_is_refused() -> None:
    name = class_name(Task)
    old = json.dumps({"$dataclass": [name, {"name": "a"}]})
    assert decode_value(old, "json", "it", {name: Task}) == Task("a")
    for fields in ({"name": "a", "gone": 1}, {"retries": 1}):
        with pytest.raises(ValueRefusedError, match=r"gone|needs"):
            decode_value(json.dumps({"$dataclass": [name, fields]}), "json", "it", {name: Task})


@settings(max_examples=150, deadline=None)
@given(st.recursive(st.one_of(st.none(), st.integers(), st.text()), lambda x: st.one_of(
    st.lists(x, max_size=3),
    st.dictionaries(st.sampled_from(["$array", "$view", "$map", "$tuple", "$ext", "$real", "$dataclass", "$bytes",
                                     "$ndarray", "$datetime", "$x", "a"]), x, max_size=2)), max_leaves=8))  # fmt: skip
def test_hostile_records_are_refused_or_values_and_never_anything_else(document: object) -> None:
    try:
        decode_value(json.dumps(document), "json", "it", {})
    except ValueRefusedError:
        return
