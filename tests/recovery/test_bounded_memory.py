"""Checking a plan's references in little memory: the same findings, and memory that does not grow with the state."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from maos_ckpt.model import Checkpoint, Finding, Selection
from maos_ckpt.recovery.ancestry import Ancestry, first_circle
from maos_ckpt.recovery.missing import missing_dependencies
from maos_ckpt.recovery.references import reference_findings, still_referenced
from maos_ckpt.recovery.tally import AFFECTED_MAX
from maos_ckpt.sources.change import Change
from maos_ckpt.sources.sqlite import spill as spilling
from maos_ckpt.sources.sqlite.spill import NoRoomError, Spill
from maos_ckpt.states import State, StoredState
from tests.lab.build import build_state
from tests.recovery.test_references import EVERYTHING, Lab, agent, message, task

DIRT = (
    "DELETE FROM agents WHERE rowid % 4 = 1",
    "DELETE FROM tasks WHERE rowid % 5 = 2",
    "DELETE FROM sessions WHERE rowid % 3 = 0",
    "UPDATE messages SET from_agent = 'ghost-0000' || printf('%04x', id % 7) WHERE id % 6 < 2",
    "UPDATE messages SET to_agent = (SELECT max(id) FROM agents AS a WHERE a.rowid % 9 = messages.id % 9)",
    "UPDATE tasks SET parent_task_id = (SELECT max(id) FROM tasks AS other WHERE other.rowid < tasks.rowid)"
    " WHERE rowid % 2 = 0",
)


@pytest.fixture(scope="module")
def dirty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Lab, list[Checkpoint]]]:
    """Three saves: a state, the same one with references broken, and what is left when agents and tasks are lost."""
    folder = tmp_path_factory.mktemp("dirty")
    build_state(folder / "work", folder / "claude", 500_000, seed=3, transcript_bytes=100_000)
    (folder / "work").rename(folder / "built")
    lab = Lab(folder)
    (folder / "built" / "maos.db").rename(lab.layout.database)
    saves = [lab.save()]
    lab.run("PRAGMA foreign_keys = OFF", *DIRT)
    saves.append(lab.save())
    lab.run("DELETE FROM agents", "DELETE FROM tasks WHERE parent_task_id IS NULL")
    saves.append(lab.save())
    yield lab, saves
    lab.repository.close()


SELECTIONS = (
    Selection(),
    Selection(components=("agents",), exact=True),
    Selection(components=("agents", "tasks", "memory"), exact=True),
    Selection(components=("queue",)),
)


@pytest.mark.parametrize("selection", SELECTIONS)
@pytest.mark.parametrize(("live", "target"), [(0, 1), (1, 0), (2, 0), (0, 2), (1, 2)])
def test_findings_are_the_same_whatever_fits_into_memory(
    dirty: tuple[Lab, list[Checkpoint]], selection: Selection, live: int, target: int
) -> None:
    lab, saves = dirty
    planner = lab.plan(saves[live], saves[target], selection)

    def found(front_max: int) -> list[Finding]:
        return reference_findings(
            planner.live, planner.changes, running=True, whole=selection.whole, front_max=front_max
        )

    assert found(3) == found(50_000)
    needed = [missing_dependencies(planner.live, planner.target, planner.changes, front_max=one) for one in (3, 50_000)]
    assert needed[0] == needed[1]


def test_the_dirty_states_have_findings_of_many_kinds(dirty: tuple[Lab, list[Checkpoint]]) -> None:
    lab, saves = dirty
    checks = set()
    for live, target in ((0, 1), (1, 0), (2, 0), (0, 2)):
        planner = lab.plan(saves[live], saves[target], Selection(components=EVERYTHING, exact=True))
        checks |= {one.object for one in reference_findings(planner.live, planner.changes, running=True)}
    assert checks >= {"messages.from_agent", "tasks.parent_task_id", "sessions.agent_id", "agents"}


def grow(lab: Lab, number: int) -> tuple[State, Callable[[], Iterator[Change]]]:
    """A plan with several references a record to as many different records, most of which are nobody."""
    lab.run("PRAGMA foreign_keys = OFF", "DELETE FROM agents", "DELETE FROM tasks", "DELETE FROM messages")
    empty = lab.save()
    names = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {number})"
    lab.run(
        f"INSERT INTO agents (id, name, process_id) {names} SELECT printf('a-%08x', i), 'a', i FROM n",
        f"INSERT INTO tasks (id, description, parent_task_id) {names}"
        " SELECT printf('t-%08x', i), 'd', printf('u-%08x', i) FROM n",
        f"INSERT INTO messages (id, from_agent, to_agent, message, message_type) {names}"
        " SELECT i, printf('b-%08x', i), printf('c-%08x', i), 'm', 'info' FROM n",
    )
    planner = lab.plan(empty, lab.save(), Selection())
    changes = list(planner.changes())
    assert len(changes) > 3 * number
    return planner.live, lambda: iter(changes)


def test_memory_does_not_grow_with_the_plan(lab: Lab) -> None:
    def peak_bytes(number: int) -> int:
        live, changes = grow(lab, number)
        tracemalloc.start()
        try:
            assert reference_findings(live, changes, running=False, whole=True, front_max=50)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    # 1800 further records with their references alone would take some hundred kilobytes.
    once, four_times = peak_bytes(200), peak_bytes(800)
    assert four_times < once + 100_000


def test_many_broken_references_are_counted_one_by_one_and_the_first_records_named(lab: Lab) -> None:
    live, changes = grow(lab, 500)
    found = {one.object: one for one in reference_findings(live, changes, running=False, whole=True, front_max=10)}
    assert found["messages.to_agent"].message.startswith("500 references by messages.to_agent would lead to nobody")
    assert found["messages.to_agent"].affected == tuple(f"queue/messages/{number}" for number in range(1, 21))
    assert found["agents.process_id"].message.startswith("500 agents")
    assert len(found["agents.process_id"].affected) == AFFECTED_MAX


def test_without_room_for_temporary_files_a_plan_is_made_and_says_what_was_not_checked(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    live, changes = grow(lab, 2000)
    monkeypatch.setattr(spilling, "PAGES_MAX", 10)
    read = 0

    def counted() -> Iterator[Change]:
        nonlocal read
        for change in changes():
            read += 1
            yield change

    found = reference_findings(live, counted, running=False, whole=True, front_max=100)
    assert [one.object for one in found] == ["limit"]
    assert "no room" in found[0].message
    assert read == len(list(changes()))


def test_without_room_for_temporary_files_no_agent_is_removed_that_others_may_refer_to(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    live, changes = grow(lab, 1200)
    monkeypatch.setattr(spilling, "PAGES_MAX", 1)
    with pytest.raises(NoRoomError):
        still_referenced(live, changes)


def test_an_id_that_is_half_a_surrogate_pair_is_nobodys(lab: Lab) -> None:
    empty = lab.save()
    lab.run(
        agent("analyst-0000000a"),
        task("root", None, '["\\\\ud800-0000000a"]'),
        message(1, "analyst-0000000a"),
    )
    planner = lab.plan(empty, lab.save(), Selection())
    found = reference_findings(planner.live, planner.changes, running=False, whole=True)
    assert [one.object for one in found] == ["tasks.assigned_agents"]
    assert missing_dependencies(planner.live, planner.target, planner.changes) == {}


@pytest.mark.parametrize(
    ("parents", "circle"),
    [
        ([0], ()),
        ([0, 0, 1, 2], ()),
        ([0, 1], (1,)),
        ([0, 2, 3, 2], (2, 3)),
        ([0, 0, 1, 4, 5, 3], (3, 4, 5)),
    ],
)
def test_the_first_circle_is_found(parents: list[int], circle: tuple[int, ...]) -> None:
    assert first_circle(parents, 20) == circle
    assert first_circle(parents, 1) == circle[:1]


def test_a_long_line_of_ancestors_is_followed_in_no_more_time_than_many_short_ones(lab: Lab) -> None:
    live = StoredState(lab.repository, lab.save())
    order = list(range(20_000))
    random.Random(1).shuffle(order)
    with Spill() as spill:
        line = Ancestry(spill)
        for number in order:
            line.add(f"t{number}", f"t{number + 1}")
        assert line.circle(live, AFFECTED_MAX) == ()
        line.add("t20000", "t0")
        found = line.circle(live, AFFECTED_MAX)
    assert len(found) == AFFECTED_MAX
    assert all(one.startswith("tasks/tasks/t") for one in found)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    found = Lab(tmp_path)
    yield found
    found.repository.close()
