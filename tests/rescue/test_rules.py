"""What counts as dead, and what is done about it, case by case; no change without a reason, and none that stays."""

from __future__ import annotations

import asyncio
import datetime
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from maos_ckpt.errors import NotFoundError, SourceError, UsageError
from maos_ckpt.model import Plan
from maos_ckpt.operations import rescues
from maos_ckpt.recovery.steps import Step
from maos_ckpt.seams import SYSTEM
from maos_ckpt.sources.maos.layout import Layout
from tests.lab.puppet import PuppetMaos
from tests.lab.schemas import create_schema
from tests.lab.values import dump_exact
from tests.recovery.conftest import Site
from tests.rescue.conftest import Operator, reasons

OLD = "2020-01-01T00:00:00.000000"


def now() -> str:
    """The time as MAOS writes it."""
    return datetime.datetime.now().isoformat()


@contextmanager
def process(name: str) -> Iterator[int]:
    """A real process that goes by this name."""
    sleep = shutil.which("sleep")
    assert sleep is not None
    with subprocess.Popen([name, "60"], executable=sleep) as running:
        try:
            yield running.pid
        finally:
            running.kill()


def dead_pid() -> int:
    with subprocess.Popen(["true"]) as done:
        done.wait()
    return done.pid


def agent(site: Site, name: str, **values: object) -> None:
    columns = {"id": name, "name": name, "created_at": "2026-01-01 00:00:00", "last_active": OLD, **values}
    with closing(site.connect()) as connection:
        marks = ", ".join("?" * len(columns))
        connection.execute(f"INSERT INTO agents ({', '.join(columns)}) VALUES ({marks})", list(columns.values()))


def after(plan: Plan) -> dict[str, dict[str, str | None]]:
    """The new values by record and field."""
    return {f"{one.collection}/{one.key}": {f.path: f.after for f in one.fields} for one in plan.changes}


def test_an_agent_is_dead_whose_process_is_gone_or_another_program_by_now(site: Site, operator: Operator) -> None:
    with process("claude") as claude, process("postgres") as other:
        agent(site, "gone-00000001", status="active", process_id=str(dead_pid()), last_active=now())
        agent(site, "other-00000001", status="active", process_id=str(other), last_active=now())
        agent(site, "reused-0000001", status="active", process_id=str(claude), last_active=OLD)
        agent(site, "handle-0000001", status="active", process_id="process_12ab", last_active=now())
        agent(site, "alive-00000001", status="active", process_id=str(claude), last_active=now())
        plan = operator.plan()
        dead = ("gone-00000001", "other-00000001", "reused-0000001", "handle-0000001")
        assert after(plan) == {f"agents/{one}": {"status": "paused", "process_id": "NULL"} for one in dead}
        assert all("is gone, or is another program by now" in one for one in reasons(plan).values())
        (alive,) = [one for one in plan.findings if one.kind == "alive"]
        assert alive.affected == (f"agents/agents/alive-00000001: its process claude 60 (pid {claude}) runs",)
        operator.rescue()
    # When the process is gone as well, its turn has come.
    assert set(after(operator.plan())) == {"agents/alive-00000001"}


def test_a_session_on_a_command_line_keeps_its_agent_alive(site: Site, operator: Operator) -> None:
    session = "0123abcd-0123-0123-0123-0123456789ab"
    agent(site, "a-00000001", status="active", session_id=session)
    # A shell that goes by the name of claude and sleeps, with the session among its words.
    words = ["claude", "-c", "sleep 60; true", "--resume", session]
    with subprocess.Popen(words, executable=shutil.which("bash"), start_new_session=True) as claude:
        assert operator.plan().summary.total == 0
        os.killpg(claude.pid, signal.SIGKILL)
        claude.wait()
    assert after(operator.plan())["agents/a-00000001"] == {"status": "paused"}


def test_tasks_end_with_their_agents_and_finished_agents_with_their_tasks(site: Site, operator: Operator) -> None:
    for name, status in (("dead-00000001", "active"), ("done-00000001", "active"), ("fail-00000001", "busy")):
        agent(site, name, status=status)
    agent(site, "idle-00000001", status="inactive")
    tasks = {
        "own": ("task-dead-00000001", "in_progress", ["dead-00000001"], 40.0),
        "done": ("task-done-00000001", "completed", ["done-00000001"], 100.0),
        "failed": ("task-fail-00000001", "failed", ["fail-00000001"], 0.0),
        "never begun": ("task-idle-00000001", "pending", ["idle-00000001"], 0.0),
        "begun": ("t1", "pending", ["idle-00000001", "dead-00000001"], 10.0),
        "of a type": ("t2", "in_progress", ["analyst"], 10.0),
    }
    with closing(site.connect()) as connection:
        for name, status, assigned, progress in tasks.values():
            sql = "INSERT INTO tasks (id, description, status, assigned_agents, progress) VALUES (?, 'x', ?, ?, ?)"
            connection.execute(sql, (name, status, json.dumps(assigned), progress))
    plan = operator.plan()
    found = {key: values for key, values in after(plan).items() if not key.startswith("orchestrations/")}
    assert found == {
        "agents/dead-00000001": {"status": "paused"},
        "agents/done-00000001": {"status": "completed"},
        "agents/fail-00000001": {"status": "failed"},
        "tasks/task-dead-00000001": {"status": "failed"},
        "tasks/t1": {"status": "failed"},
    }
    assert "dead-00000001 died at work on it" in reasons(plan)["tasks/task-dead-00000001"]


def test_an_orchestration_that_says_it_runs_is_paused_or_done(site: Site, operator: Operator) -> None:
    for name in ("one-00000001", "two-00000001"):
        agent(site, name)
    site.run("INSERT INTO tasks (id, description, status) VALUES ('task-one-00000001', 'x', 'completed')")
    rows = (("o1", '["one-00000001"]'), ("o2", '["one-00000001", "two-00000001"]'), ("o3", "[]"), ("o4", "not json"))
    for name, agents in rows:
        site.run(f"INSERT INTO orchestrations (id, request, agents) VALUES ('{name}', 'x', '{agents}')")
    assert after(operator.plan()) == {
        "orchestrations/o1": {"status": "completed"},
        "orchestrations/o2": {"status": "paused"},
    }


def test_orchestrations_are_told_apart_by_when_their_agents_came(site: Site, operator: Operator) -> None:
    whole = "0123abcd-0123-4123-8123-0123456789ab"
    times = ("00:00:00", "00:00:01", "00:10:00", "00:20:00")
    for at, time in enumerate(times):
        agent(site, f"dev-0000000{at}", created_at=f"2026-01-01 {time}", metadata=json.dumps({"task": f"work {at}"}))
        site.run(f"INSERT INTO tasks (id, description) VALUES ('task-dev-0000000{at}', 'x')")
    site.run(
        "INSERT INTO checkpoints (id, name, created_at) VALUES ('c1', 'auto-feedbeef-000030', '2026-01-01 00:00:30')",
        "INSERT INTO checkpoints (id, name, created_at) VALUES ('c2', 'Decomposition: do it', '2026-01-01 00:09:58')",
        f"INSERT INTO checkpoints (id, name, created_at) VALUES ('{whole}', 'orchestration_0123abcd',"
        " '2026-01-01 00:10:40')",
    )
    assert operator.rescue().verified
    rows = site.run("SELECT id, request, agents, created_at FROM orchestrations ORDER BY created_at")
    assert [json.loads(str(row[2])) for row in rows] == [
        ["dev-00000000", "dev-00000001"],
        ["dev-00000002"],
        ["dev-00000003"],
    ]
    assert [row[1] for row in rows] == ["work 0; work 1", "do it", "work 3"]
    assert str(rows[0][0]).startswith("feedbeef-")
    assert rows[1][0] == whole
    moment = datetime.datetime.fromisoformat(str(rows[0][3])).astimezone(datetime.UTC)
    assert moment.isoformat() == "2026-01-01T00:00:00+00:00"


def test_capabilities_that_stop_maos_from_loading_its_agents_are_mended_and_kept(
    site: Site, operator: Operator
) -> None:
    agent(site, "bad-00000001", type="tester", capabilities="[broken", metadata='{"task": "x"}')
    agent(site, "odd-00000001", type="tester", capabilities="[broken", metadata="broken")
    assert agents_restored(site.database) == 2
    assert [one.kind for one in operator.plan().findings] == ["unparseable"]
    operator.rescue()
    ((capabilities, metadata),) = site.run("SELECT capabilities, metadata FROM agents WHERE id = 'bad-00000001'")
    assert (capabilities, json.loads(str(metadata))) == (
        '["tester"]',
        {"task": "x", "capabilities_before_rescue": "[broken"},
    )
    site.run("DELETE FROM agents WHERE id = 'odd-00000001'")
    assert agents_restored(site.database) == 3


def agents_restored(database: Path) -> int:
    """How many agents maos-cli's message bus takes up."""

    async def restore() -> int:
        from maos.core.persistent_message_bus import PersistentMessageBus
        from maos.core.session_manager_lite import SessionManager
        from maos.interfaces.sqlite_persistence import SqlitePersistence

        maos = SqlitePersistence(str(database))
        await maos.initialize()
        try:
            bus = PersistentMessageBus(maos, SessionManager())
            await bus._restore_agents()
            return len(bus._active_agents)
        finally:
            await maos.close()

    return asyncio.run(restore())


def test_what_an_earlier_crash_left_is_mended_beside_a_running_maos_and_its_own_is_left_alone(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path)
    operator = Operator(site.layout, site.folder / "repository")
    agent(site, "relic-00000001", status="active", process_id=str(dead_pid()))
    site.run("INSERT INTO messages (from_agent, message, message_type) VALUES ('relic-00000001', 'x', 'handoff')")
    with PuppetMaos(site.layout.directory, site.layout.claude_home) as maos:
        maos.call("create_agent", "own-00000001", "Own", "tester", [], {})
        maos.call("update_agent_session", "own-00000001", "session_own", "process_1")
        maos.call("save_message", "own-00000001", None, "y", "handoff")
        result = operator.rescue()
        assert (result.applied, result.verified) == (True, True)
        assert result.stall_s > 0
        assert set(after(result.plan)) == {"agents/relic-00000001", "messages/1"}
        assert [one.kind for one in result.plan.findings if one.kind == "alive"] == ["alive"]
        maos.call("update_agent_status", "own-00000001", "paused")
    assert site.run("SELECT id, status FROM agents WHERE status <> 'inactive' ORDER BY id") == [
        ("own-00000001", "paused"),
        ("relic-00000001", "paused"),
    ]


class _CutOffError(BaseException):
    """What no handler of a recovery expects."""


class _CutOff:
    """Ends a recovery behind one of its steps, as abruptly as within one process can be."""

    def __init__(self, step: Step) -> None:
        self._step = step

    def reached(self, step: str) -> None:
        if step == self._step:
            raise _CutOffError


@pytest.mark.parametrize("step", [Step.SAVED, Step.MARKED, Step.COMMITTED, Step.DONE])
def test_a_rescue_that_is_cut_off_is_settled_by_the_next_operation(site: Site, operator: Operator, step: Step) -> None:
    agent(site, "a-00000001", status="active")
    before = dump_exact(site.database)
    cut_off = replace(operator.workspace, seams=replace(SYSTEM, steps=_CutOff(step)))
    with pytest.raises(_CutOffError):
        rescues.rescue(cut_off, None, "test", 10, lambda step: None)
    committed = step in (Step.COMMITTED, Step.DONE)
    # The next one settles it first; then there is something left to mend, or not.
    assert operator.rescue().applied is not committed
    assert site.run("SELECT status FROM agents WHERE id = 'a-00000001'") == [("paused",)]
    assert operator.undo().verified
    assert dump_exact(site.database) == before


def test_a_damaged_database_is_not_rescued_but_said_to_be_damaged(site: Site, operator: Operator) -> None:
    agent(site, "a-00000001", status="active")
    operator.plan()
    site.database.write_bytes(site.database.read_bytes()[:5000] + b"\xff" * 8000)
    for attempt in (operator.plan, operator.rescue):
        with pytest.raises(SourceError, match="damaged"):
            attempt()


def test_what_is_no_maos_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    layout = Layout.of(tmp_path / "work", tmp_path / "claude", tmp_path)
    with closing(sqlite3.connect(layout.database)) as connection:
        connection.execute("CREATE TABLE t (x)")
    operator = Operator(layout, tmp_path / "repository")
    with pytest.raises(NotFoundError, match="not written by a MAOS"):
        operator.plan()
    with pytest.raises(NotFoundError, match="not written by a MAOS"):
        operator.rescue()
    with pytest.raises(NotFoundError, match="is not in the live state"):
        operator.resume_point("nobody")
    layout.database.unlink()
    with pytest.raises(NotFoundError, match="no database"):
        operator.plan()


def test_an_older_maos_without_orchestrations_is_rescued_as_far_as_it_goes(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    layout = Layout.of(tmp_path / "work", tmp_path / "claude", tmp_path)
    with closing(sqlite3.connect(layout.database, isolation_level=None)) as connection:
        create_schema(connection, "0.3")
        connection.execute("INSERT INTO agents (id, name, status) VALUES ('a-00000001', 'a', 'active')")
        connection.execute("INSERT INTO tasks (id, description) VALUES ('task-a-00000001', 'x')")
    operator = Operator(layout, tmp_path / "repository")
    assert after(operator.rescue().plan) == {"agents/a-00000001": {"status": "paused"}}


def test_an_agent_is_refused_for_a_plain_database(tmp_path: Path) -> None:
    from maos_ckpt.operations.workspace import Workspace

    site = Site(tmp_path)
    base = site.workspace
    plain = Workspace(tmp_path / "plain", f"sqlite:{site.database}", base.claude_home, base.config, base.seams)
    with pytest.raises(UsageError, match="is no MAOS"):
        rescues.plan(plain, 10, lambda step: None)


ODD = (
    None,
    "",
    "active",
    "inactive",
    "[",
    "{}",
    '["a-1"]',
    7,
    1.5,
    b"\xff",
    "é",
    "2026-01-01 00:00:00",
    OLD,
    "task-",
    '{"task": "\\ud800"}',
    float("inf"),
    float("-inf"),
    "0001-01-01 00:00:00",
    "9999-12-31 23:59:59",
    "\0",
)
COLUMNS = {
    "agents": (
        "name",
        "type",
        "session_id",
        "process_id",
        "status",
        "capabilities",
        "created_at",
        "last_active",
        "metadata",
    ),
    "tasks": ("description", "status", "assigned_agents", "progress", "completed_at"),
    "sessions": ("session_id", "total_cost", "task"),
    "messages": ("message_type", "acknowledged", "message"),
    "orchestrations": ("request", "status", "agents", "batches", "metadata"),
    "checkpoints": ("name", "created_at", "orchestrator_state"),
}


@pytest.mark.parametrize("seed", range(6))
def test_whatever_the_tables_hold_a_rescue_ends_what_it_plans_and_undo_brings_all_of_it_back(
    site: Site, operator: Operator, seed: int
) -> None:
    rng = random.Random(seed)
    names = [f"dev-{at:08x}" for at in range(8)]
    with closing(site.connect()) as connection:
        for at, name in enumerate(names):
            agent(site, name, status="active", metadata='{"task": "x"}')
            task = (f"task-{name}", json.dumps(rng.sample(names, 2)), rng.choice(("running", "pending", "completed")))
            connection.execute(
                "INSERT INTO tasks (id, description, assigned_agents, status) VALUES (?, 'x', ?, ?)", task
            )
            connection.execute(
                "INSERT INTO sessions (session_id, agent_id) VALUES (?, ?)", (f"session-{name}-{at * 1000}", name)
            )
            kind = rng.choice(("info", "handoff"))
            connection.execute(
                "INSERT INTO messages (from_agent, message, message_type) VALUES (?, 'x', ?)", (name, kind)
            )
        connection.execute("INSERT INTO orchestrations (id, request) VALUES ('o', 'x')")
        connection.execute("INSERT INTO checkpoints (id, name) VALUES ('c', 'auto-00000000-000000')")
        for table, columns in COLUMNS.items():
            for column in columns:
                for (rowid,) in connection.execute(f"SELECT rowid FROM {table}").fetchall():
                    if rng.random() < 0.3:
                        sql = f"UPDATE OR IGNORE {table} SET {column} = ? WHERE rowid = ? AND {column} IS NOT ?"
                        value = rng.choice(ODD)
                        try:
                            connection.execute(sql, (value, rowid, value))
                        except sqlite3.IntegrityError:
                            assert value is None
    before = dump_exact(site.database)
    plan = operator.plan()
    result = operator.rescue(plan.digest)
    assert (result.applied, result.verified) == (True, True)
    new = {table: set(rows) - set(before[table]) for table, rows in dump_exact(site.database).items()}
    assert {table: len(rows) for table, rows in new.items() if rows} == collections(plan)
    assert operator.plan().summary.total == 0
    assert operator.undo().verified
    assert dump_exact(site.database) == before
    assert operator.plan().digest == plan.digest


def collections(plan: Plan) -> dict[str, int]:
    """How many records of each table the plan changes."""
    return dict(Counter(one.collection for one in plan.changes))


def test_all_of_a_long_rescue_can_be_read_with_the_reasons(site: Site, operator: Operator) -> None:
    for number in range(3):
        agent(site, f"a-0000000{number}", status="active")
    with rescues.open_plan(operator.workspace, 1, lambda step: None) as opened:
        changes = list(opened.changes())
        assert (len(opened.plan.changes), opened.plan.truncated) == (1, True)
    assert len(changes) == opened.plan.summary.total >= 3
    assert all(one.reason for one in changes)
    assert opened.plan.digest == operator.plan().digest
