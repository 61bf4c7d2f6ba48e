"""The tree of changes, and what of two long values is shown."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from maos_ckpt.model import ChangeKind, FieldChange, RecordChange
from maos_ckpt_tui.changes import FIELD, RECORD, ChangeTree, around_difference, common_ends
from tests.console.fixtures import CHANGES


def test_rows_follow_component_collection_record_field() -> None:
    tree = ChangeTree(CHANGES)
    assert [row.level for row in tree.rows[:4]] == [0, 1, 2, 3]
    assert sum(row.level == RECORD for row in tree.rows) == len(CHANGES) == tree.records
    modified = [one for one in CHANGES if one.kind is ChangeKind.MODIFIED]
    assert sum(row.level == FIELD for row in tree.rows) == sum(len(one.fields) for one in modified)


def test_a_record_that_came_or_went_starts_folded_and_unfolds_to_its_values() -> None:
    tree = ChangeTree(CHANGES)
    row = next(one for one in tree.rows if one.name == "task-writer-0011aabb")
    assert row.folded
    tree.toggle(row.node)
    below = [one.field for one in tree.rows if one.level == FIELD and one.change is row.change]
    assert [(one.path, one.before, one.after) for one in below if one] == [
        ("description", "Write the release notes", None),
        ("status", "in_progress", None),
    ]


def test_folding_hides_what_is_below_and_nothing_else() -> None:
    tree = ChangeTree(CHANGES)
    before = len(tree.rows)
    agents = tree.rows[0]
    tree.toggle(agents.node)
    assert tree.rows[0].folded
    assert tree.rows[1].name == "tasks"
    tree.toggle(agents.node)
    assert len(tree.rows) == before
    tree.fold_records(True)
    assert not any(row.level == FIELD for row in tree.rows)
    assert sum(row.level == RECORD for row in tree.rows) == len(CHANGES)
    tree.fold_records(False)
    assert sum(row.level == FIELD for row in tree.rows) == sum(len(one.fields) for one in CHANGES)


def test_the_filter_finds_keys_fields_and_values() -> None:
    tree = ChangeTree(CHANGES)
    tree.filter("second file?")
    assert [row.name for row in tree.rows if row.level == RECORD] == ["session-reviewer-8f3a12cd-1795425000"]
    tree.filter("nothing holds this")
    assert tree.rows == []
    tree.filter("")
    assert tree.records == len(CHANGES)


def test_many_records_start_folded() -> None:
    changes = [RecordChange("c", "t", str(n), ChangeKind.MODIFIED, (FieldChange("f", "a", "b"),)) for n in range(100)]
    assert not any(row.level == FIELD for row in ChangeTree(changes).rows)


@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=10), st.text(max_size=10))
def test_common_ends_are_common_and_never_overlap(start: str, end: str, one: str, other: str) -> None:
    before, after = start + one + end, start + other + end
    first, last = common_ends(before, after)
    assert before[:first] == after[:first]
    assert last == 0 or before[-last:] == after[-last:]
    assert first + last <= min(len(before), len(after))
    assert first >= len(start) or first + last == min(len(before), len(after))


def test_a_difference_far_inside_a_long_value_comes_into_sight() -> None:
    text = "x" * 5000
    before, after = around_difference(text + "OLD" + text, text + "NEW" + text, 40)
    assert "OLD" in before[:40]
    assert "NEW" in after[:40]
