"""Save, change through MAOS's own classes, save, diff, dry run, restore, undo — while MAOS holds the database open."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.acceptance.conftest import Operator
from tests.lab.puppet import PuppetMaos
from tests.lab.values import dump_exact
from tests.lab.writers import LiveMaos

Rows = dict[str, dict[Any, Any]]


def transcripts(home: Path) -> dict[str, bytes]:
    return {str(path.relative_to(home)): path.read_bytes() for path in sorted(home.rglob("*.jsonl"))}


def state(operator: Operator) -> tuple[dict[str, Any], dict[str, bytes]]:
    dump = dump_exact(operator.directory / "maos.db")
    dump.pop("sqlite_master")
    return dump, transcripts(operator.claude_home)


def populate(maos: PuppetMaos) -> None:
    for name in ("builder-1", "tester-2", "writer-3"):
        maos.call("create_agent", name, name.title(), name.split("-")[0], ["python"], {"task": f"do {name}"})
        maos.call("create_session", f"session-{name}", name, f"task of {name}")
        maos.call("create_task", f"task-{name}", f"task of {name}", None, [name])
        maos.call("update_session", f"session-{name}", {"role": "user", "content": f"begin {name}"}, 0.1)
        maos.say(f"0000000{name[-1]}-aaaa-4bbb-8ccc-000000000000", f"hello {name}", "understood", "go on")
    for number in range(20):
        maos.call("save_message", "builder-1", "tester-2", f"message {number}", "info")
    maos.call("save", "context:team", {"goal": "ship"})
    maos.call("save", "setting:speed", 3)


def change(maos: PuppetMaos) -> None:
    maos.call("update_task_progress", "task-tester-2", 0.75, "in_progress")
    maos.call("update_session", "session-builder-1", {"role": "assistant", "content": "second turn"}, 0.2)
    maos.call("create_agent", "late-4", "Late", "late", [], {})
    maos.call("save_message", "tester-2", None, "to all", "broadcast")
    maos.call("acknowledge_message", 3)
    maos.call("delete", "setting:speed")
    maos.call("save_checkpoint", "mc-1", "auto", {"orchestrator_state": {"step": 1}})
    maos.say("00000002-aaaa-4bbb-8ccc-000000000000", "one more question", "one more answer")
    maos.say("00000009-aaaa-4bbb-8ccc-000000000000", "a new session")


def test_diff_lists_exactly_what_changed_and_restore_and_undo_are_exact(operator: Operator) -> None:
    with PuppetMaos(operator.directory, operator.claude_home) as maos:
        populate(maos)
        before = state(operator)
        first = operator.run("save", "-m", "before the change")["checkpoint"]
        change(maos)
        after = state(operator)
        operator.run("save")

        found = operator.run("diff", first["id"], "latest")
        slug = maos.transcript("x").parent.name
        changes = {
            (one["component"], one["collection"], one["key"], one["kind"]): sorted(
                field["path"] for field in one.get("fields") or [] if one["kind"] == "modified"
            )
            for one in found["changes"]
        }
        second, ninth = (f"{slug}/0000000{number}-aaaa-4bbb-8ccc-000000000000.jsonl" for number in (2, 9))
        assert changes == {
            ("tasks", "tasks", "task-tester-2", "modified"): ["progress", "status"],
            ("memory", "sessions", "session-builder-1", "modified"): [
                "conversation_history[1]",
                "total_cost",
                "turn_count",
                "updated_at",
            ],
            ("agents", "agents", "late-4", "added"): [],
            ("queue", "messages", "21", "added"): [],
            ("queue", "messages", "3", "modified"): ["acknowledged"],
            ("queue", "sqlite_sequence", "messages", "modified"): ["seq"],
            ("system", "key_value_store", "setting:speed", "removed"): [],
            ("system", "checkpoints", "auto", "added"): [],
            ("memory", "transcripts", f"{second}/4", "added"): [],
            ("memory", "transcripts", f"{second}/5", "added"): [],
            ("memory", "transcripts", f"{ninth}/1", "added"): [],
            ("memory", "transcript_files", ninth, "added"): [],
        }

        planned = operator.run("restore", first["id"], "--dry-run")
        assert planned["applied"] is False
        assert planned["plan"]["summary"] == {"added": 1, "modified": 4, "removed": 7}
        assert state(operator) == after
        done = operator.run("restore", first["id"], "--plan", planned["plan"]["digest"], "--yes", "--reason", "test")
        assert (done["applied"], done["verified"]) == (True, True)
        assert state(operator) == before
        undone = operator.run("undo", "--yes")
        assert (undone["applied"], undone["verified"]) == (True, True)
        assert state(operator) == after

        # MAOS, which held the database open all the time, goes on as if nothing had been.
        maos.call("save_message", "late-4", "tester-2", "still here", "info")
        assert maos.call("get_agent", "late-4")
        assert operator.run("verify", "--all", "--level", "full")["ok"] is True


def test_a_plan_whose_records_moved_is_refused_and_the_fresh_one_offered(operator: Operator) -> None:
    with PuppetMaos(operator.directory, operator.claude_home) as maos:
        populate(maos)
        operator.run("save")
        maos.call("update_task_progress", "task-tester-2", 0.5, "in_progress")
        planned = operator.run("restore", "latest", "--dry-run")["plan"]
        maos.call("update_task_progress", "task-tester-2", 0.6, "in_progress")
        moved = state(operator)
        refused = operator.try_("restore", "latest", "--plan", planned["digest"], "--yes")
        assert refused.returncode == 4
        error = json.loads(refused.stderr)["error"]
        assert error["kind"] == "plan_moved"
        assert state(operator) == moved
        fresh = error["data"]["digest"]
        assert operator.run("restore", "latest", "--plan", fresh, "--yes")["verified"] is True


def test_a_part_is_brought_back_and_the_rest_left_alone(operator: Operator) -> None:
    with PuppetMaos(operator.directory, operator.claude_home) as maos:
        populate(maos)
        before, _ = state(operator)
        operator.run("save")
        change(maos)
        after, said = state(operator)
        operator.run("restore", "latest", "--component", "tasks", "--yes")
        now, heard = state(operator)
        assert now["tasks"] == before["tasks"]
        assert {name: rows for name, rows in now.items() if name != "tasks"} == {
            name: rows for name, rows in after.items() if name != "tasks"
        }
        assert heard == said
        operator.run("restore", "latest", "--record", "queue/messages/3", "--yes")
        now, _ = state(operator)
        assert now["messages"][2] == before["messages"][2]
        # Partial recovery adds and mends; what came since stays.
        assert len(now["messages"]) == len(after["messages"])


def test_a_save_with_nothing_changed_stores_next_to_nothing_and_says_so(operator: Operator) -> None:
    with PuppetMaos(operator.directory, operator.claude_home) as maos:
        populate(maos)
        operator.run("save")
        repository = operator.directory / ".maos-ckpt"
        before = sum(path.stat().st_size for part in ("packs", "manifests") for path in (repository / part).rglob("*"))
        checkpoint = operator.run("save")["checkpoint"]
        after = sum(path.stat().st_size for part in ("packs", "manifests") for path in (repository / part).rglob("*"))
        assert checkpoint["stored_bytes"] == 0
        assert checkpoint["capture"]["unchanged"] is True
        assert after - before <= 2048


def test_a_live_maos_gets_no_error_from_saves_and_recoveries(operator: Operator) -> None:
    """A short form of `python -m benchmarks.live`, which does 100 saves and 50 recoveries."""
    with LiveMaos(operator.directory, operator.claude_home, rate_per_s=50, concurrency=8) as maos:
        operator.run("save")
        for _ in range(3):
            operator.run("save")
            done = operator.run("restore", "latest~1", "--yes", "--reason", "drill")
            assert done["verified"] is True
        report = maos.stop()
    assert report["errors"] == []
    assert isinstance(report["writes"], int)
    assert report["writes"] > 50
    assert operator.run("verify", "--all", "--level", "full")["ok"] is True
