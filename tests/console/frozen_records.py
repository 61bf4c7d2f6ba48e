"""Frozen records of a small team, for snapshots of Explore."""

from __future__ import annotations

import fnmatch
import json

from maos_ckpt.errors import NotFoundError
from maos_ckpt.model import ChangeKind, FieldChange
from maos_ckpt.model.contents import History, RecordPage, ShownRecord, Version
from tests.console.fixtures import NOW_MS, checkpoint_id

SLUG = "-srv-agents-team-alpha"
SESSION = "5f0c2a9e-8f5f-4a43-9d6e-0f8f2c7a1b11"
FILE = f"{SLUG}/{SESSION}.jsonl"
_TEAM = (
    ("writer-0011aabb", "active", "writer", "09:14:02", "Write the release notes"),
    ("reviewer-8f3a12cd", "failed", "reviewer", "09:13:55", "Review the payment limits"),
    ("analyst-77aa01ce", "active", "analyst", "09:12:41", "Explain the two refunds of Tuesday"),
    ("tester-3a4ebad9", "paused", "tester", "08:59:10", "Cover the retry policy"),
)
_SAID = (
    ("user", "Review the payment limits, and say what is missing."),
    ("assistant", [{"type": "thinking", "thinking": "The limits are in two places."}]),
    ("assistant", [{"type": "tool_use", "name": "Read", "input": {"file_path": "src/payments/limits.py"}}]),
    ("user", [{"type": "tool_result", "content": "LIMIT = 47_633\n\x1b]0;owned\x07"}]),
    ("assistant", [{"type": "text", "text": "There is one limit, and no test for it. I will run the suite."}]),
    ("assistant", [{"type": "tool_use", "name": "Bash", "input": {"command": "pytest -q"}}]),
    ("user", [{"type": "tool_result", "is_error": True, "content": "2 failed, 31 passed in 4.1 s"}]),
    ("assistant", [{"type": "text", "text": "Two tests fail:\n- test_limit_of_refunds\n- test_limit_of_captures"}]),
)


def _record(component: str, collection: str, key: str, **values: object) -> ShownRecord:
    return ShownRecord(component, collection, key, json.dumps(values))


def _team() -> list[ShownRecord]:
    return [
        _record(
            "agents",
            "agents",
            key,
            id=key,
            name=role.title(),
            type=role,
            session_id=SESSION if role == "reviewer" else "",
            status=status,
            last_active=f"2026-11-23T{active}.120000",
            metadata=json.dumps({"task": task}),
        )
        for key, status, role, active, task in _TEAM
    ]


def _tasks() -> list[ShownRecord]:
    found = [_record("tasks", "tasks", "root", id="root", description="Ship 2.4", status="in_progress", progress=40.0)]
    for number, (key, status, _, _, task) in enumerate(_TEAM):
        done = "completed" if number == 0 else "failed" if status == "failed" else "pending"
        found.append(
            _record(
                "tasks",
                "tasks",
                f"task-{key}",
                id=f"task-{key}",
                parent_task_id="root",
                description=task,
                status=done,
                progress=100.0 if number == 0 else 0.0,
                assigned_agents=json.dumps([key]),
            )
        )
    return found


def _lines() -> list[ShownRecord]:
    return [
        _record(
            "memory",
            "transcripts",
            f"{FILE}/{number}",
            path=FILE,
            line=number,
            text=json.dumps(
                {
                    "type": role,
                    "timestamp": f"2026-11-23T09:13:{number:02}.000Z",
                    "message": {"role": role, "content": content},
                }
            ),
        )
        for number, (role, content) in enumerate(_SAID, 1)
    ]


RECORDS = (
    *_team(),
    *_tasks(),
    _record("memory", "sessions", SESSION, session_id=SESSION, agent_id=_TEAM[1][0], turn_count=8, status="failed"),
    _record("memory", "transcript_files", FILE, path=FILE, mode=420),
    *_lines(),
    _record(
        "queue",
        "messages",
        "1",
        id=1,
        from_agent=_TEAM[1][0],
        to_agent=None,
        message="Two tests fail; who has touched the limits?",
        timestamp="2026-11-23 09:13:59",
        acknowledged=0,
    ),
)


def frozen_page(place: str, pattern: str | None, limit: int) -> RecordPage:
    """The records that a glob means, at every place the same."""
    if not place:
        raise NotFoundError("There is no such checkpoint.")
    found = [
        one
        for one in RECORDS
        if pattern is None or fnmatch.fnmatchcase(f"{one.component}/{one.collection}/{one.key}", pattern)
    ]
    return RecordPage(place, tuple(found[:limit]), "")


def frozen_history(key: str) -> History:
    """Three versions of a record."""
    component, collection, name = key.split("/", 2)
    changes = (
        (ChangeKind.ADDED, FieldChange("status", None, "active")),
        (ChangeKind.MODIFIED, FieldChange("metadata.task", "Review", "Review the payment limits")),
        (ChangeKind.MODIFIED, FieldChange("status", "active", "failed")),
    )
    versions = []
    for number, (kind, field) in enumerate(changes):
        at_ms = NOW_MS - 12_000 - (30 - 12 * number) * 30_000
        version = Version(checkpoint_id(34 + 12 * number, at_ms), at_ms, component, collection, name, kind, (field,))
        versions.append(version)
    return History(tuple(versions), 0)
