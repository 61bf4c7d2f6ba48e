"""Field-level changes: turns one by one, types kept apart, nothing parsed that is not worth it."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from maos_ckpt.fields import FIELDS_MAX, changed_fields, same_record
from maos_ckpt.model import CollectionKind, Descriptor, FieldChange

TURNS = [{"role": "user", "content": f"turn {i}"} for i in range(30)]
ROWID = Descriptor("tasks", "tasks", CollectionKind.TABLE, ("id",), ("rowid", "status", "progress"), "tasks", True)


def paths(before: dict[str, object], after: dict[str, object]) -> list[str]:
    return [one.path for one in changed_fields(before, after)]


def test_an_appended_turn_is_one_change() -> None:
    before = {"conversation_history": json.dumps(TURNS[:29]), "turn_count": 29}
    after = {"conversation_history": json.dumps(TURNS), "turn_count": 30}
    turn = '{"role": "user", "content": "turn 29"}'
    assert changed_fields(before, after) == (
        FieldChange("conversation_history[29]", None, turn, after_json=turn),
        FieldChange("turn_count", "29", "30", "29", "30"),
    )


def test_an_inserted_turn_does_not_change_those_behind_it() -> None:
    extra = {"role": "system", "content": "new"}
    changed = [*TURNS[:5], extra, *TURNS[5:]]
    assert paths({"h": json.dumps(TURNS)}, {"h": json.dumps(changed)}) == ["h[5]"]


def test_a_changed_word_in_a_turn_names_its_place() -> None:
    changed = json.loads(json.dumps(TURNS))
    changed[7]["content"] = "other"
    assert paths({"h": json.dumps(TURNS)}, {"h": json.dumps(changed)}) == ["h[7].content"]


def test_json_that_only_looks_different_falls_back_to_the_text() -> None:
    """The text is what is stored, so a reformatted document is a change even where its values are equal."""
    assert paths({"m": '{"a":1}'}, {"m": '{"a": 1}'}) == ["m"]


def test_integers_reals_texts_and_booleans_are_kept_apart() -> None:
    assert paths({"v": 1}, {"v": 1.0}) == ["v"]
    assert paths({"v": 1}, {"v": "1"}) == ["v"]
    assert paths({"v": 0.0}, {"v": -0.0}) == ["v"]
    assert paths({"v": '{"a": 1}'}, {"v": '{"a": true}'}) == ["v.a"]


def test_broken_and_hostile_json_is_compared_as_text() -> None:
    deep = "[" * 100_000
    assert paths({"v": deep}, {"v": deep + "]"}) == ["v"]
    assert paths({"v": '{"a": 1'}, {"v": '{"a": 1}'}) == ["v"]


def test_the_number_of_fields_is_bounded_and_says_so() -> None:
    before = json.dumps({f"k{i}": 0 for i in range(1000)})
    after = json.dumps({f"k{i}": 1 for i in range(1000)})
    found = changed_fields({"v": before}, {"v": after})
    assert len(found) == FIELDS_MAX + 1
    assert found[-1].path == "(800 more fields)"


def test_a_changed_hidden_rowid_is_no_difference() -> None:
    assert same_record((ROWID, (1, "done", 0.5)), (ROWID, (9, "done", 0.5)))
    assert not same_record((ROWID, (1, "done", 0.5)), (ROWID, (1, "done", 1)))


documents = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner, max_size=4),
    max_leaves=12,
)


@given(documents, documents)
def test_equal_documents_have_no_changes_and_different_ones_have_some(before: object, after: object) -> None:
    a, b = json.dumps(before), json.dumps(after)
    found = changed_fields({"v": a}, {"v": b})
    assert bool(found) == (a != b)
