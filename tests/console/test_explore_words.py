"""What Explore computes without a screen: conversations, trees of tasks, places in time, parts of a checkpoint."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from maos_ckpt.errors import ConflictError, StorageError
from maos_ckpt.model import ChangeKind, RecordChange
from maos_ckpt.model.changes import FieldChange
from maos_ckpt.model.contents import ShownRecord
from maos_ckpt_tui.explore import conversation, rows
from maos_ckpt_tui.explore.conversation import Budget, Turn, turns
from maos_ckpt_tui.explore.position import LIVE, NEWER, OLDER, Position
from maos_ckpt_tui.explore.reading import Entry, text
from maos_ckpt_tui.explore.things import Thing, export, turned
from maos_ckpt_tui.modals.file_name import suggested
from maos_ckpt_tui.viewmodel import ConsoleModel
from tests.console.fixtures import make_checkpoints
from tests.console.frozen_client import FrozenClient
from tests.console.frozen_records import FILE, RECORDS


def line(number: int, document: object) -> ShownRecord:
    whole = document if isinstance(document, str) else json.dumps(document)
    values = {"path": "s/f.jsonl", "line": number, "text": whole}
    return ShownRecord("memory", "transcripts", f"s/f.jsonl/{number}", json.dumps(values))


def said(*documents: object) -> list[Turn]:
    return turns((line(number, one) for number, one in enumerate(documents, 1)), Budget())


def test_a_transcript_reads_as_who_said_what() -> None:
    found = turns((one for one in RECORDS if one.collection == "transcripts"), Budget())
    assert [one.kind for one in found] == ["user", "thinking", "tool", "result", "agent", "tool", "result", "agent"]
    assert [one.line for one in found if one.error] == [7]
    assert found[2].name == "Read"
    assert found[2].text == "file_path: src/payments/limits.py"


@pytest.mark.parametrize(
    "document",
    ["", "no json", "[1, 2]", "null", '{"type": "user"', {"type": "user"}, {"type": 7}, {"message": []}, {}],
)
def test_a_line_that_is_none_of_claude_s_is_shown_as_it_is(document: object) -> None:
    (turn,) = said(document)
    assert turn.kind in ("damaged", "note", "user")
    assert turn.line == 1


def test_hostile_parts_are_turns_like_others() -> None:
    parts = [None, 7, {"type": ["x"]}, {"type": "text"}, {"type": "tool_use", "name": {}, "input": []}, "\x1b[2J"]
    assert len(said({"type": "assistant", "message": {"content": parts}})) == len(parts)
    many = said({"type": "user", "message": {"content": ["x"] * 1000}})
    assert len(many) == conversation.PARTS_MAX + 1
    assert "800 more" in many[-1].text
    assert said("[" * 100_000)[0].kind == "damaged"


def test_what_is_kept_of_a_conversation_is_bounded() -> None:
    budget = Budget()
    (turn,) = turns([line(1, {"type": "user", "message": {"content": "x" * 1_000_000}})], budget)
    assert len(turn.text) == conversation.TURN_CHARACTERS
    assert turn.cut == 1_000_000 - len(turn.text)
    budget.left = 0
    (turn,) = turns([line(2, {"type": "user", "message": {"content": "y" * 1000}})], budget)
    assert len(turn.text) == conversation.HEAD_CHARACTERS


def test_a_line_that_could_not_be_read_is_told() -> None:
    record = ShownRecord("memory", "transcripts", f"s/f.jsonl/{conversation.UNREAD_LINE}", '{"text": null}')
    (turn,) = turns([record], Budget())
    assert turn.error
    assert "could not be read" in turn.text


def entry(key: str, **values: object) -> Entry:
    return Entry("tasks", "tasks", key, values, b"")


def test_tasks_stand_below_their_parents_each_once_even_in_a_ring() -> None:
    given = [
        entry("c", parent_task_id="b", description="c"),
        entry("b", parent_task_id="a"),
        entry("a"),
        entry("orphan", parent_task_id="gone"),
        entry("x", parent_task_id="y"),
        entry("y", parent_task_id="x"),
        entry("self", parent_task_id="self", status="failed"),
    ]
    found = rows.tasks_rows(given, {})
    assert sorted(one.name for one in found) == sorted(one.key for one in given)
    levels = {one.name: one.level for one in found}
    assert (levels["a"], levels["b"], levels["c"], levels["orphan"], levels["self"]) == (0, 1, 2, 0, 0)
    assert [one.name for one in found if one.trouble] == ["self"]
    deep = [entry(str(number), parent_task_id=str(number - 1)) for number in range(3000)]
    assert len(rows.tasks_rows(deep, {})) == 3000


def test_agents_are_sorted_by_their_last_activity_and_what_was_not_counted_is_left_blank() -> None:
    given = [
        Entry("agents", "agents", key, {"last_active": at, "status": "active"}, b"")
        for key, at in (("old", "2026-01-01T00:00:00"), ("new", "2026-01-02T00:00:00"))
    ]
    found = rows.agents_rows(given, {"tasks": Counter(new=2)})
    assert [one.name for one in found] == ["new", "old"]
    assert [one.cells[4][0] for one in found] == ["2", "0"]
    assert [one.cells[5][0] for one in found] == ["", ""]


def test_one_goes_from_checkpoint_to_checkpoint_and_at_last_to_the_live_state() -> None:
    model = ConsoleModel()
    position = Position()
    position.settle(model)
    assert position.id == ""
    model.take_checkpoints(make_checkpoints(3))
    position.settle(model)
    newest, middle, oldest = (one.id for one in model.checkpoints)
    assert position.id == newest
    assert [position.step(model, OLDER) and position.id for _ in range(3)] == [middle, oldest, False]
    assert [position.step(model, NEWER) and position.id for _ in range(4)] == [middle, newest, LIVE, False]
    # One that was deleted meanwhile leads back to what there is.
    position.id = "cp_gone"
    assert position.step(model, OLDER)
    assert position.id == newest
    empty, nowhere = ConsoleModel(loaded=True), Position()
    nowhere.settle(empty)
    assert nowhere.live


def test_one_leaps_over_checkpoints_that_hold_the_same() -> None:
    model = ConsoleModel()
    model.take_checkpoints(make_checkpoints(20))
    roots = [one.root for found in model.checkpoints for one in found.collections if one.path == "agents/agents"]
    position, places = Position(model.checkpoints[0].id), []
    while position.leap(model, OLDER, {"agents/agents"}):
        places.append(position.number(model))
    assert places == [at for at in range(1, 20) if roots[at] != roots[at - 1]]
    assert 0 < len(places) < 19
    while position.leap(model, NEWER, {"agents/agents"}):
        pass
    assert position.live
    assert Position("cp_gone").leap(model, NEWER, {"agents/agents"})


def test_a_plan_s_change_turned_round_says_what_has_happened_since() -> None:
    change = RecordChange("a", "b", "c", ChangeKind.REMOVED, (FieldChange("x", "1", None, "1", None),))
    assert turned(change).kind is ChangeKind.ADDED
    assert turned(change).fields == (FieldChange("x", None, "1", None, "1"),)
    assert turned(turned(change)) == change


def test_a_thing_selects_what_belongs_to_it() -> None:
    assert Thing("agents", "agents", "a[1]").selection().agents == ("a[1]",)
    assert Thing("system", "orchestrations", "o").selection().orchestrations == ("o",)
    assert Thing("tasks", "tasks", "t*").selection().records == ("tasks/tasks/t[*]",)
    whole = Thing("memory", "transcript_files", "s/f.jsonl").selection()
    assert Thing("memory", "transcripts", "s/f.jsonl/12").selection() == whole
    assert "memory/transcripts/s/f.jsonl/*" in whole.records


def test_values_of_any_kind_are_texts() -> None:
    assert text(None) == ""
    assert text({"$clipped": "abc", "of": "text", "length": 9}) == "abc…"
    assert text({"$bytes": "AAAA"}) == "(3 bytes that are no text)"
    assert text([1, "ä"]) == '[1, "ä"]'


def test_an_export_writes_a_transcript_as_it_was_and_never_over_a_file(tmp_path: Path) -> None:
    client, to = FrozenClient(), tmp_path / "talk.jsonl"
    written = export(client, client.listed[0].id, Thing("memory", "transcript_files", FILE), to)
    lines = [json.loads(one.values_json)["text"] for one in RECORDS if one.collection == "transcripts"]
    assert to.read_text() == "".join(lines)
    assert written == to.stat().st_size
    assert to.stat().st_mode & 0o777 == 0o600
    with pytest.raises(ConflictError, match="already"):
        export(client, "live", Thing("tasks", "tasks", "root"), to)
    with pytest.raises(StorageError, match="cannot be written"):
        export(client, "live", Thing("tasks", "tasks", "root"), tmp_path / "no" / "where")
    with pytest.raises(Exception, match="not in this state"):
        export(client, "live", Thing("tasks", "tasks", "none"), tmp_path / "none.json")
    assert not (tmp_path / "none.json").exists()


def test_a_suggested_file_name_is_harmless() -> None:
    assert suggested(Thing("agents", "agents", "../../etc/\x1b[2Jpasswd"), LIVE) == "agents--etc-2Jpasswd-live.json"
    assert suggested(Thing("memory", "transcript_files", FILE), LIVE).endswith("-live.jsonl")
