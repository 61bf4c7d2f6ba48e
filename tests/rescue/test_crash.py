"""A real MAOS is killed at work; after a rescue its own classes take up what they did not before."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from maos_ckpt.errors import ConflictError, PlanMovedError
from maos_ckpt.model import RESCUE, ChangeKind
from tests.lab.values import dump_exact
from tests.rescue.conftest import Operator, reasons
from tests.rescue.crash import REQUEST, TASKS, CrashedMaos


def as_maos_sees_it(database: Path) -> dict[str, Any]:
    """What maos-cli's own classes load when a MAOS is started again."""

    async def load() -> dict[str, Any]:
        from maos.core.persistent_message_bus import PersistentMessageBus
        from maos.core.session_manager_lite import SessionManager
        from maos.interfaces.sqlite_persistence import SqlitePersistence

        maos = SqlitePersistence(str(database))
        await maos.initialize()
        bus = PersistentMessageBus(maos, SessionManager())
        try:
            return {
                "agents": await bus._restore_agents(),
                "statuses": {name: one["status"] for name, one in bus._active_agents.items()},
                "sessions": {name: one["session_id"] for name, one in bus._active_agents.items()},
                "messages": await bus._restore_pending_messages(),
                "resumable": await bus._restore_orchestrations(),
                "orchestrations": await maos.list_orchestrations(),
                "active": len(await maos.get_active_agents()),
            }
        finally:
            await maos.close()

    return asyncio.run(load())


def execute(database: Path, *statements: str) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        for one in statements:
            connection.execute(one)


def test_what_maos_could_not_load_after_a_crash_it_loads_after_a_rescue(crashed: CrashedMaos, tmp_path: Path) -> None:
    crashed.end_agents()
    execute(crashed.database, "UPDATE messages SET message_type = 'handoff' WHERE id = 1")
    before, state = as_maos_sees_it(crashed.database), dump_exact(crashed.database)
    assert (before["orchestrations"], before["messages"]) == ([], 0)

    operator = Operator(crashed.layout, tmp_path / "repository")
    plan = operator.plan()
    assert plan.checkpoint == RESCUE
    assert all(reasons(plan).values()), "every proposed change has its reason"
    assert dump_exact(crashed.database) == state
    result = operator.rescue(plan.digest)
    assert (result.applied, result.verified, result.plan.digest) == (True, True, plan.digest)
    assert operator.plan().summary.total == 0

    after = as_maos_sees_it(crashed.database)
    (made,) = after["orchestrations"]
    ids = [str(one) for one in state["agents"]]
    assert made["id"].startswith(crashed.orchestration)
    assert REQUEST.startswith(made["request"])
    assert (made["status"], made["total_agents"], made["successful_agents"]) == ("paused", 4, 0)
    assert [len(batch) for batch in made["batches"]] == [3, 1]
    assert [one for batch in made["batches"] for one in batch] == made["agents"]
    assert len(ids) == len(made["agents"]) == after["agents"] == len(TASKS)
    assert (after["messages"], after["resumable"], after["active"]) == (2, 1, 0)
    # The three that worked can be continued; the fourth never began.
    assert sorted(after["statuses"].values()) == ["inactive", "paused", "paused", "paused"]
    sessions = [one for one in after["sessions"].values() if one]
    transcripts = {one.stem: one for one in crashed.layout.projects.rglob("*.jsonl")}
    assert set(sessions) == set(transcripts)
    tasks = {one.split("-", 1)[1]: task for one, task in statuses(crashed.database).items()}
    assert {tasks[name] for name, status in after["statuses"].items() if status == "paused"} == {"failed"}
    for name, session in after["sessions"].items():
        if session:
            first = json.loads(transcripts[session].read_text().splitlines()[0])
            assert first["message"]["content"] == work(crashed.database, name)
    # The message that stopped the queue is where it was, as it was.
    assert message(crashed.database, 1) == ("handoff", 1)

    assert operator.undo().verified
    assert dump_exact(crashed.database) == state


def statuses(database: Path) -> dict[str, str]:
    with closing(sqlite3.connect(database)) as connection:
        return dict(connection.execute("SELECT id, status FROM tasks"))


def work(database: Path, agent: str) -> str:
    with closing(sqlite3.connect(database)) as connection:
        (found,) = connection.execute("SELECT json_extract(metadata, '$.task') FROM agents WHERE id = ?", (agent,))
    return str(found[0])


def message(database: Path, number: int) -> tuple[object, ...]:
    with closing(sqlite3.connect(database)) as connection:
        sql = "SELECT message_type, acknowledged FROM messages WHERE id = ?"
        row: tuple[object, ...] = connection.execute(sql, (number,)).fetchone()
    return row


def test_a_maos_that_is_alive_is_not_rescued_and_its_orphans_are_named_when_it_is_gone(tmp_path: Path) -> None:
    crashed = CrashedMaos(tmp_path)
    operator = Operator(crashed.layout, tmp_path / "repository")
    try:
        crashed.start()
        state = dump_exact(crashed.database)
        with pytest.raises(ConflictError, match="running here") as refused:
            operator.plan()
        with pytest.raises(ConflictError):
            operator.rescue()
        assert refused.value.exit_code == 4
        assert refused.value.data["pids"] == [crashed.pid]
        assert dump_exact(crashed.database)["agents"] == state["agents"]
        crashed.kill()
        plan = operator.plan()
        (orphans,) = [one for one in plan.findings if one.kind == "orphans"]
        assert {f"(pid {pid})" for pid in crashed.agents_pids} == {one[one.index("(") :] for one in orphans.affected}
        # They are not dead, so nothing is done about them but to say so.
        assert plan.summary.total == 0
        (alive,) = [one for one in plan.findings if one.kind == "alive"]
        agent = alive.affected[0].removeprefix("agents/agents/").partition(":")[0]
        with pytest.raises(ConflictError, match="may be at this conversation"):
            operator.resume_point(agent)
        crashed.end_agents()
        plan = operator.plan()
        assert plan.summary.total == 7
        assert {one.kind for one in plan.findings} == {"empty_checkpoints", "messages"}
        # A plan that was overtaken is not applied.
        execute(crashed.database, "UPDATE agents SET status = 'active'")
        with pytest.raises(PlanMovedError):
            operator.rescue(plan.digest)
    finally:
        crashed.close()


def test_an_agent_goes_on_from_its_transcript_as_it_was(crashed: CrashedMaos, tmp_path: Path) -> None:
    crashed.end_agents()
    operator = Operator(crashed.layout, tmp_path / "it's here")
    plan = operator.plan()
    (agent, *_) = [one.key for one in plan.changes if one.kind is ChangeKind.MODIFIED and one.collection == "agents"]
    point = operator.resume_point(agent)
    (transcript,) = crashed.layout.projects.rglob(f"{point.session}.jsonl")
    assert point.checkpoint == ""
    assert point.command.endswith(f"claude --resume {point.session}")
    whole = transcript.read_bytes()
    transcript.write_bytes(whole + b'{"type":"user","message":"after the checkpoint"}\n')
    assert operator.resume_point(agent).checkpoint == ""

    from maos_ckpt.operations import recoveries

    at = operator.resume_point(agent, "latest")
    result = recoveries.recover(operator.workspace, at.checkpoint, at.selection, None, "", 10, lambda step: None)
    assert (result.verified, result.resume_commands) == (True, (point.command,))
    assert transcript.read_bytes() == whole

    others = {one: one.read_bytes() for one in crashed.layout.projects.rglob("*.jsonl") if one != transcript}
    transcript.unlink()
    lost = operator.resume_point(agent)
    assert lost.checkpoint
    recoveries.recover(operator.workspace, lost.checkpoint, lost.selection, None, "", 10, lambda step: None)
    assert transcript.read_bytes() == whole
    assert all(one.read_bytes() == content for one, content in others.items())
    # The command is one that a shell takes: it finds the directory and would start claude there.
    words = point.command.replace("claude --resume", "echo $PWD --resume")
    told = subprocess.run(["sh", "-c", words], capture_output=True, text=True, check=True).stdout
    assert told == f"{crashed.layout.directory} --resume {point.session}\n"
