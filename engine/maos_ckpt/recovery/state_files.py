"""References between the files in which the StateManager of older MAOS releases keeps agents and tasks.

`maos_storage/state_tasks.json` maps task ids to tasks, and a task names an agent of `state_agents.json`, a parent and
the tasks it waits for. Each file is one record: a part of a checkpoint can put one back without the other.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from maos_ckpt.codec.values import decode_key, decode_row, encode_key
from maos_ckpt.model import Finding, Row, Severity
from maos_ckpt.recovery.lookup import Shape, lookup
from maos_ckpt.recovery.tally import AFFECTED_MAX
from maos_ckpt.sources.change import Change
from maos_ckpt.states import CollectionName, State

AGENTS: Final[CollectionName] = ("agents", "files")
TASKS: Final[CollectionName] = ("tasks", "files")
_KEYS: Final = {
    AGENTS: ("work", "maos_storage/state_agents.json"),
    TASKS: ("work", "maos_storage/state_tasks.json"),
}
#: A larger file is not looked into.
FILE_BYTES_MAX: Final = 8 << 20

_Objects = dict[str, object]


@dataclass(slots=True)
class StateFileCheck:
    """Takes the changes of files; then `findings`."""

    live: State
    _after: dict[CollectionName, bytes | None] = field(default_factory=dict)

    def take(self, change: Change) -> None:
        """Note what becomes of one of the two files."""
        for name, key in _KEYS.items():
            if (change.descriptor.component, change.descriptor.name) == name and change.parts == key:
                self._after[name] = _content(change.columns, change.after)

    def findings(self) -> Iterator[Finding]:
        """References that would lead to nobody and do not now."""
        if not self._after:
            return
        before = {name: self._read(name) for name in _KEYS}
        after = before | self._after
        was = Counter(check for _, check in _dangling(before))
        found: dict[str, list[str]] = {}
        for task, check in _dangling(after):
            found.setdefault(check, []).append(task)
        for check, tasks in sorted(found.items()):
            if len(tasks) > was[check]:
                text = f"{len(tasks) - was[check]} reference(s) by {check} would lead to nobody"
                text += f" ({was[check]} before, {len(tasks)} after)."
                yield Finding(Severity.WARNING, "references", text, check, tuple(tasks[:AFFECTED_MAX]), len(tasks))

    def _read(self, name: CollectionName) -> bytes | None:
        descriptor = self.live.descriptors().get(name)
        if descriptor is None:
            return None
        for key, value in lookup(self.live, name, [encode_key(_KEYS[name])]):
            shape = Shape(descriptor, descriptor.columns, self.live.get)
            found = shape.view(decode_key(key), decode_row(value)).get("content")
            return found if isinstance(found, bytes) else None
        return None


def _content(columns: tuple[str, ...], row: Row | None) -> bytes | None:
    value = None if row is None or "content" not in columns else row[columns.index("content")]
    return value if isinstance(value, bytes) else None


def _objects(content: bytes | None) -> _Objects:
    """The objects of a file by id; empty where there are none or the file is no JSON object."""
    if content is None or len(content) > FILE_BYTES_MAX:
        return {}
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _dangling(files: dict[CollectionName, bytes | None]) -> Iterator[tuple[str, str]]:
    """(task, check) of each reference that leads to nobody."""
    agents, tasks = _objects(files[AGENTS]), _objects(files[TASKS])
    for name, task in tasks.items():
        if not isinstance(task, dict):
            continue
        for column, there in (("agent_id", agents), ("parent_task_id", tasks)):
            value = task.get(column)
            if isinstance(value, str) and value and value not in there:
                yield name, f"state_tasks.{column}"
        dependencies = task.get("dependencies")
        for one in dependencies if isinstance(dependencies, list) else ():
            wanted = one.get("task_id") if isinstance(one, dict) else one
            if isinstance(wanted, str) and wanted not in tasks:
                yield name, "state_tasks.dependencies"
