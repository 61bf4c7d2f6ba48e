"""What a plan says of work that is going on: tasks, messages, and processes of agents."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from maos_ckpt.model import Finding, Selection
from maos_ckpt.recovery.reference_rules import RUNNING_TASK
from tests.recovery.conftest import Site

SESSION = "0b5c4a9e-8f1d-4c3a-9b7e-2f6d1a0c5e48"


def in_flight(site: Site, **selection: object) -> dict[str, list[Finding]]:
    plan = site.plan(selection=Selection(**selection))  # type: ignore[arg-type]
    found: dict[str, list[Finding]] = {}
    for one in plan.findings:
        if one.kind == "in_flight":
            found.setdefault(one.object, []).append(one)
    return found


@pytest.mark.parametrize("status", sorted(RUNNING_TASK))
def test_whatever_a_running_task_is_called_that_it_is_set_back_is_told(site: Site, status: str) -> None:
    site.run("INSERT INTO tasks (id, description, status) VALUES ('t1', 'dig', 'pending')")
    site.save()
    site.run(f"UPDATE tasks SET status = '{status}'")
    (stopped,) = in_flight(site, components=("tasks",))["tasks"]
    assert stopped.affected == ("tasks/tasks/t1",)


def test_tasks_that_run_live_and_tasks_that_would_run_again_are_told(site: Site) -> None:
    site.run("INSERT INTO tasks (id, description, status) VALUES ('t1', 'dig', 'pending'), ('t2', 'fill', 'running')")
    site.save()
    site.run(
        "UPDATE tasks SET status = 'in_progress' WHERE id = 't1'",
        "UPDATE tasks SET status = 'completed' WHERE id = 't2'",
    )
    stopped, again = in_flight(site, components=("tasks",))["tasks"]
    assert (stopped.affected, again.affected) == (("tasks/tasks/t1",), ("tasks/tasks/t2",))
    assert stopped.message == (
        "1 task running live would be set back: what is being done on it is lost, or done once more."
    )
    assert again.message.startswith("1 task not running live would be running again")


def test_messages_that_nobody_will_read_and_messages_that_come_again_are_told(site: Site) -> None:
    site.run("INSERT INTO messages (id, from_agent, message, acknowledged) VALUES (1, 'a-0000000a', 'x', 0)")
    site.save()
    site.run(
        "UPDATE messages SET acknowledged = 1",
        "INSERT INTO messages (id, from_agent, message) VALUES (2, 'a-0000000a', 'y'), (3, 'a-0000000a', 'z')",
    )
    lost, again = in_flight(site, components=("queue",), exact=True)["messages"]
    assert (lost.affected, again.affected) == (("queue/messages/2", "queue/messages/3"), ("queue/messages/1",))
    assert lost.message.startswith("2 messages not yet acknowledged would be removed")
    assert "messages" in in_flight(site, components=("queue",))


@contextmanager
def claude(folder: Path, *arguments: str) -> Iterator[int]:
    """A process that is called claude."""
    program = folder / "bin" / "claude"
    program.parent.mkdir()
    program.symlink_to(sys.executable)
    command = [str(program), "-c", "import time; print(flush=True); time.sleep(60)", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process.pid
        finally:
            process.kill()


@pytest.mark.parametrize("by", ["process", "session"])
def test_agents_whose_process_runs_are_told_by_its_number_or_its_session(site: Site, tmp_path: Path, by: str) -> None:
    site.save()
    with claude(tmp_path, *([f"--resume={SESSION}"] if by == "session" else [])) as pid:
        number, session = (pid, "other") if by == "process" else (1, SESSION)
        site.run(f"UPDATE agents SET process_id = '{number}', session_id = '{session}' WHERE name = 'Ada'")
        (found,) = in_flight(site, components=("agents",))["agents"]
        assert found.affected == ("agents/agents/a-0000000a",)
        assert str(pid) in found.message
        assert in_flight(site, components=("tasks",)) == {}
    assert "agents" not in in_flight(site, components=("agents",))


def test_the_time_that_a_recovery_takes_is_reckoned_from_former_ones(site: Site) -> None:
    names = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)"
    site.run(f"INSERT INTO tasks (id, description) {names} SELECT i, 'd' FROM n")
    site.save()
    site.run("DELETE FROM tasks")
    done = site.recover()
    assert done.plan.summary.total >= 2000
    site.run("DELETE FROM tasks")
    # Planning itself takes some of it; writing takes as long as it took before.
    assert site.plan().estimated_s >= 0.9 * done.duration_s * 2000 / done.plan.summary.total
