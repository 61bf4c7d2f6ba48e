"""What is marked for a recovery, and what the engine is asked for then."""

from __future__ import annotations

from maos_ckpt.model import MergePolicy, Selection
from maos_ckpt.model.contents import RecordPage, ShownRecord
from maos_ckpt_tui.choosing import ALL, Choosing, Mark, Node
from maos_ckpt_tui.suspects import Suspect
from tests.console.fixtures import make_checkpoints


def _choosing(*suspects: Suspect) -> Choosing:
    return Choosing(make_checkpoints(1)[0], suspects)


def _row(choosing: Choosing, *place: str) -> Node:
    return next(one for one in choosing.rows if one.id == place)


def test_a_component_taken_out_of_everything_leaves_the_others_marked_and_everything_in_part() -> None:
    choosing = _choosing()
    choosing.toggle_all()
    assert choosing.selection(choosing.meant(None)) == Selection(exact=True)
    tasks = _row(choosing, "all", "tasks")
    assert choosing.mark(tasks) is Mark.FULL
    assert choosing.toggle(tasks) == ""
    assert (choosing.mark(tasks), choosing.mark(_row(choosing, *ALL))) == (Mark.NONE, Mark.PART)
    others = tuple(sorted(one for one in choosing.checkpoint.components if one != "tasks"))
    assert choosing.selection(choosing.meant(None)) == Selection(components=others)
    choosing.toggle(tasks)
    assert choosing.marks == {ALL}


def test_one_record_is_asked_for_by_its_own_key_even_where_that_reads_like_a_pattern() -> None:
    choosing = _choosing()
    component = _row(choosing, "all", "tasks")
    choosing.fold(component, True)
    collection = next(one for one in component.children if one.records)
    assert choosing.fold(collection, True)
    names = ("a*[1]", "b")
    page = RecordPage("cp", tuple(ShownRecord("tasks", collection.id[2], name, "{}") for name in names), "")
    choosing.take_page(collection, page)
    choosing.toggle(_row(choosing, *collection.id, "a*[1]"))
    assert choosing.mark(collection) is choosing.mark(component) is Mark.PART
    assert choosing.selection(choosing.meant(None)).records == (f"tasks/{collection.id[2]}/a[*][[]1]",)
    choosing.toggle(collection)
    assert choosing.toggle(_row(choosing, *collection.id, "b")) == ""
    assert choosing.mark(_row(choosing, *collection.id, "a*[1]")) is Mark.FULL


def test_a_collection_read_in_part_cannot_leave_one_record_out_and_says_so() -> None:
    choosing = _choosing()
    component = _row(choosing, "all", "tasks")
    choosing.fold(component, True)
    collection = next(one for one in component.children if one.records)
    choosing.fold(collection, True)
    choosing.take_page(collection, RecordPage("cp", (ShownRecord("tasks", collection.id[2], "a", "{}"),), "more"))
    choosing.toggle(collection)
    before = set(choosing.marks)
    assert "too many records" in choosing.toggle(_row(choosing, *collection.id, "a"))
    assert choosing.marks == before


def test_where_nothing_is_marked_the_row_at_the_cursor_is_meant_and_merging_is_never_exact() -> None:
    choosing = _choosing(Suspect("a-1", "its transcript lost lines"))
    first = choosing.rows[0]
    assert choosing.selection(choosing.meant(first)) == Selection(agents=("a-1",))
    choosing.add_text("mad")
    choosing.exact, choosing.merge = True, MergePolicy.KEEP_NEWER
    wanted = Selection(searches=("mad",), merge=MergePolicy.KEEP_NEWER)
    assert choosing.selection(choosing.meant(first)) == wanted
