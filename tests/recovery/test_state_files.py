"""The legacy StateManager's files: what a part of a checkpoint would leave without agent or parent."""

from __future__ import annotations

import json
from pathlib import Path

from maos_ckpt.model import Selection, Severity
from tests.recovery.conftest import Site


def write(site: Site, name: str, objects: object) -> Path:
    path = site.layout.directory / "maos_storage" / f"state_{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(objects, indent=2))
    return path


def task(agent: str | None = None, parent: str | None = None, after: tuple[str, ...] = ()) -> dict[str, object]:
    """As `Task.to_dict` of maos-cli makes it."""
    return {"agent_id": agent, "parent_task_id": parent, "dependencies": [{"task_id": one} for one in after]}


def test_references_between_the_files_are_told_as_a_delta(site: Site) -> None:
    write(site, "agents", {"a1": {}, "a2": {}})
    write(
        site, "tasks", {"t1": task("a1"), "t2": task("a2", "t1", ("t1",)), "t3": task("gone", "nobody", ("missing",))}
    )
    site.save()
    write(site, "agents", {"a1": {}})
    write(site, "tasks", {"t9": task("gone", "nobody", ("missing",))})
    found = {one.object: one for one in site.plan(selection=Selection(components=("tasks",))).findings}
    assert found["state_tasks.agent_id"].affected == ("t2", "t3")
    assert "(1 before, 2 after)" in found["state_tasks.agent_id"].message
    assert found["state_tasks.agent_id"].severity is Severity.WARNING
    assert "state_tasks.parent_task_id" not in found
    assert "state_tasks.dependencies" not in found
    assert not any(one.object.startswith("state_tasks") for one in site.plan().findings)


def test_parents_and_predecessors_count_and_broken_files_are_passed_over(site: Site) -> None:
    agents = write(site, "agents", {"a1": {}})
    write(site, "tasks", {"t2": task("a1", "t1", ("t1", "t1"))})
    site.save()
    agents.write_text('{"a1": ')
    write(site, "tasks", ["no", "object"])
    found = {one.object: one.affected for one in site.plan(selection=Selection(components=("tasks",))).findings}
    assert found["state_tasks.parent_task_id"] == ("t2",)
    assert found["state_tasks.dependencies"] == ("t2", "t2")
    assert found["state_tasks.agent_id"] == ("t2",)
