"""An undo of a part: that part goes back, the rest stays recovered, and the undo itself can be undone."""

from __future__ import annotations

import pytest

from maos_ckpt.errors import NotFoundError
from maos_ckpt.model import Selection
from tests.recovery.conftest import Site

TASK = "INSERT INTO tasks (id, description, status) VALUES ('{}', 'x', 'pending')"


def tasks(site: Site) -> list[object]:
    return [row[0] for row in site.run("SELECT id FROM tasks ORDER BY id")]


@pytest.fixture
def recovered(site: Site) -> Site:
    """Ada was renamed and a task came; a whole recovery has taken both back."""
    site.save()
    site.run("UPDATE agents SET name = 'Eve' WHERE id = 'a-0000000a'", TASK.format("late"))
    assert site.recover().verified
    assert (site.agents(), tasks(site)) == (["Ada", "Bob"], [])
    return site


def test_one_component_is_taken_back_and_that_is_undone_alone(recovered: Site) -> None:
    plan = recovered.undo_plan(Selection(("agents",)))
    assert (plan.summary.modified, plan.summary.total) == (1, 1)
    undone = recovered.undo(plan.digest, Selection(("agents",)))
    assert undone.applied
    assert undone.verified
    assert (recovered.agents(), tasks(recovered)) == (["Eve", "Bob"], [])
    # What comes into other components by then is none of the next undo's business.
    recovered.run(TASK.format("new"))
    again = recovered.undo()
    assert again.verified
    assert (recovered.agents(), tasks(recovered)) == (["Ada", "Bob"], ["new"])


def test_single_records_are_taken_back(recovered: Site) -> None:
    assert recovered.undo(only=Selection(records=("tasks/tasks/la*",))).verified
    assert (recovered.agents(), tasks(recovered)) == (["Ada", "Bob"], ["late"])


def test_a_part_of_a_part_is_what_both_name(recovered: Site) -> None:
    recovered.undo(only=Selection(("agents",)))
    plan = recovered.undo_plan(Selection(("tasks",)))
    assert plan.summary.total == 0, "the last recovery, an undo of agents, touched no tasks"
    assert recovered.undo_plan(Selection(records=("agents/agents/a-*",))).summary.total == 1
    assert recovered.undo_plan(Selection(records=("agents/agents/b-*",))).summary.total == 0


def test_a_part_that_is_nothing_is_named(recovered: Site) -> None:
    with pytest.raises(NotFoundError) as caught:
        recovered.undo_plan(Selection(("agnets",)))
    assert caught.value.data["nearest"] == ["agents"]
    with pytest.raises(NotFoundError):
        recovered.undo(only=Selection(records=("agents/agents/nobody",)))
    assert recovered.agents() == ["Ada", "Bob"]


def test_a_plan_of_all_is_not_one_of_a_part(recovered: Site) -> None:
    recovered.run("DELETE FROM tasks")
    assert recovered.undo_plan().digest != recovered.undo_plan(Selection(("agents", "tasks"))).digest
