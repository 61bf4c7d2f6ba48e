"""The plan view tells why a record comes along, what stays as it is, and what is in flight."""

from __future__ import annotations

from dataclasses import replace

from maos_ckpt.model import ChangeKind, Finding, MergePolicy, RecordChange, Selection, Severity
from maos_ckpt_tui.changes import ChangeTree
from maos_ckpt_tui.recovery import selection_words
from maos_ckpt_tui.screens.plan import PlanSummary
from maos_ckpt_tui.widgets.change_list import ChangeList
from maos_ckpt_tui.widgets.lines import Line
from tests.console.frozen_client import FrozenClient

REASON = "needed by tasks/tasks/t1: tasks.assigned_agents"


def text(lines: list[Line]) -> str:
    return "\n".join("".join(part for part, _ in line) for line in lines)


def test_what_is_kept_and_what_nobody_can_tell_is_counted_also_where_nothing_is_written() -> None:
    client = FrozenClient()
    plan = replace(client.plan(client.checkpoints()[0].id, Selection()), kept=3, conflicts=1)
    summary = PlanSummary("recover")
    summary._plan = plan
    assert "3 records and 1 conflict stay as they are live" in text(summary.build(100))
    nothing = replace(plan, summary=type(plan.summary)())
    summary._plan = nothing
    assert "nothing to do" not in text(summary.build(100))
    assert "1 conflict" in text(summary.build(100))
    summary._plan = replace(nothing, kept=0, conflicts=0)
    assert "nothing to do" in text(summary.build(100))


def test_work_in_flight_stands_among_the_findings() -> None:
    client = FrozenClient()
    flight = Finding(
        Severity.WARNING, "in_flight", "1 task running live would be set back", "tasks", ("tasks/tasks/t1",)
    )
    summary = PlanSummary("recover")
    summary._plan = replace(client.plan(client.checkpoints()[0].id, Selection()), findings=(flight,))
    assert "1 task running live would be set back" in text(summary.build(100))


def test_a_record_that_others_need_says_so_and_is_found_by_it() -> None:
    added = RecordChange("agents", "agents", "a-0000000a", ChangeKind.ADDED, (), REASON)
    plain = RecordChange("tasks", "tasks", "t1", ChangeKind.ADDED)
    changes = ChangeList()
    changes.changes = tree = ChangeTree((plain, added))
    shown = text([changes.row(number, 120) for number in range(len(tree.rows))])
    assert REASON in shown
    assert shown.count("needed by") == 1
    tree.filter("needed by")
    assert [row.change for row in tree.rows if row.change] == [added]


def test_every_kind_of_selection_has_words() -> None:
    chosen = Selection(agents=("a-1",), searches=("x",), orchestrations=("o",), fields=("tasks/tasks/t:status",))
    assert selection_words(chosen) == (
        'what contains "x", agent a-1, orchestration o, tasks/tasks/t:status (adds and changes, cuts transcripts back)'
    )
    words = selection_words(Selection(merge=MergePolicy.ADD_MISSING))
    assert words == "everything (adds what is missing, changes nothing)"
