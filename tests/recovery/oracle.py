"""What a recovery of a selection should lead to, worked out slowly from whole states, without the planner."""

from __future__ import annotations

import contextlib
import fnmatch
import json
import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime

from maos_ckpt.codec.values import decode_key, display_key, encode_key
from maos_ckpt.fields import named
from maos_ckpt.model import CollectionKind, MergePolicy, Selection
from maos_ckpt.recovery.lookup import every
from maos_ckpt.sources.maos.layout import Layout
from maos_ckpt.states import StoredState
from maos_ckpt.tree.large import load_row

Key = tuple[str, tuple[object, ...]]
Record = dict[str, object]
State = dict[Key, Record]

TRANSCRIPTS = "memory/transcripts"
_TABLES = {
    "agents": ("agents/agents", "id"),
    "tasks": ("tasks/tasks", "id"),
    "sessions": ("memory/sessions", "session_id"),
    "messages": ("queue/messages", "id"),
    "orchestrations": ("system/orchestrations", "id"),
    "checkpoints": ("system/checkpoints", "name"),
    "key_value_store": ("", "key"),
}
_MEMORY = ("context:", "embedding:", "memory:")
_TIMES = ("updated_at", "last_updated", "last_active", "completed_at", "started_at", "timestamp")


def stored(state: StoredState) -> State:
    """A checkpoint's rows, transcripts and files."""
    found: State = {}
    for name, descriptor in state.descriptors().items():
        path = "/".join(name)
        if descriptor.kind is CollectionKind.SCHEMA or descriptor.origin == "sqlite_sequence":
            continue
        if path == "memory/transcript_files":
            continue
        for key, value in every(state, name):
            parts, row = decode_key(key), load_row(value, state.get)
            if descriptor.kind is CollectionKind.LINES:
                lines = found.setdefault((path, parts[:1]), {"lines": []})["lines"]
                assert isinstance(lines, list)
                lines.append(row[0])
            else:
                values = named(descriptor, parts, row)
                values.pop("mode", None)
                found[path, parts] = dict(values)
    return found


def on_disk(layout: Layout) -> State:
    """The live state, read by SQLite and from the files themselves."""
    found: State = {}
    with closing(sqlite3.connect(f"file:{layout.database}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        for table, (path, key) in _TABLES.items():
            for row in connection.execute(f"SELECT * FROM {table}"):
                values = dict(row)
                where = path
                if table == "key_value_store":
                    where = f"{'memory' if str(values['key']).startswith(_MEMORY) else 'system'}/key_value_store"
                found[where, (values[key],)] = values
    for one in layout.projects.rglob("*.jsonl"):
        lines = [line.decode() for line in one.read_bytes().splitlines(keepends=True)]
        if lines:
            found[TRANSCRIPTS, (str(one.relative_to(layout.projects)),)] = {"lines": lines}
    for folder in (layout.directory / ".claude" / "agents", layout.directory / ".maos"):
        for one in sorted(folder.iterdir()) if folder.is_dir() else ():
            key = ("work", str(one.relative_to(layout.directory)))
            found["system/files", key] = {"root": "work", "path": key[1], "content": one.read_bytes()}
    return found


@dataclass
class Oracle:
    """`added`: keys that were added for others, `spared`: those that stay although they would go."""

    before: State
    target: State
    selection: Selection
    added: set[Key] = field(default_factory=set)
    spared: set[Key] = field(default_factory=set)

    def __post_init__(self) -> None:
        one = self.selection
        both = (self.before, self.target)
        self.agents = set(one.agents)
        for state in both:
            for name in one.orchestrations:
                row = state.get(("system/orchestrations", (name,)), {})
                self.agents.update(json.loads(str(row.get("agents") or "[]")))
                for batch in json.loads(str(row.get("batches") or "[]")):
                    self.agents.update(batch)
        rows = [state.get(("agents/agents", (name,)), {}) for state in both for name in self.agents]
        self.sessions = {str(row["session_id"]) for row in rows if row.get("session_id")}

    def means(self, key: Key) -> bool:
        """Whether the selection means a record as a whole."""
        one, (path, parts) = self.selection, key
        if not (one.components or one.records or one.searches or one.agents or one.orchestrations or one.fields):
            return True
        if key in self.added or path.split("/")[0] in one.components:
            return True
        shown = display_key(encode_key(parts))  # type: ignore[arg-type]
        for pattern in one.records:
            wanted = pattern.split("/", 2)
            if path == "/".join(wanted[:2]) and path != TRANSCRIPTS and fnmatch.fnmatchcase(shown, wanted[2]):
                return True
        versions = [state[key] for state in (self.before, self.target) if key in state]
        if any(self._holds(key, text.casefold()) for text in one.searches):
            return True
        return any(self._owned(path, parts, row) for row in versions)

    def _holds(self, key: Key, text: str) -> bool:
        versions = [state.get(key, {}) for state in (self.before, self.target)]
        if key[0] == TRANSCRIPTS:
            a, b = ([*one.get("lines", [])] for one in versions)  # type: ignore[misc]
            size = max(len(a), len(b))
            a, b = a + [None] * (size - len(a)), b + [None] * (size - len(b))
            differing = {str(line) for pair in zip(a, b, strict=True) if pair[0] != pair[1] for line in pair if line}
            return any(text in one.casefold() for one in (*differing, str(key[1][0])))
        values = [value for one in versions for value in one.values() if value is not None]
        return any(text in _plain(value).casefold() for value in values)

    def _owned(self, path: str, parts: tuple[object, ...], row: Record) -> bool:
        name = str(parts[0])
        if path == "agents/agents":
            return name in self.agents
        if path == "memory/sessions":
            return name in self.sessions or row["agent_id"] in self.agents
        if path == TRANSCRIPTS:
            return name.rpartition("/")[2].removesuffix(".jsonl") in self.sessions
        if path == "queue/messages":
            return row["from_agent"] in self.agents or row["to_agent"] in self.agents
        if path == "tasks/tasks":
            assigned = set(json.loads(str(row["assigned_agents"] or "[]")))
            return bool(assigned & self.agents) or name.removeprefix("task-") in self.agents
        if path == "memory/key_value_store":
            return any(re.search(rf"(^|[^\w-]){re.escape(one)}($|[^0-9A-Za-z])", name) for one in self.agents)
        if path == "system/orchestrations":
            return name in self.selection.orchestrations
        if path == "system/checkpoints":
            return name.startswith("orchestration_") and row["id"] in self.selection.orchestrations
        return False

    def expected(self) -> State:
        """The state afterwards."""
        found = dict(self.before)
        exact = self.selection.exact or self.selection.whole
        for key in {*self.before, *self.target}:
            live, then = self.before.get(key), self.target.get(key)
            if live == then or not self.means(key):
                continue
            if then is None:
                if exact and key not in self.spared:
                    del found[key]
            elif live is None or self._takes(key, live, then):
                found[key] = then
        for text in self.selection.fields:
            self._put(text, found)
        return found

    def _takes(self, key: Key, live: Record, then: Record) -> bool:
        policy = self.selection.merge
        if policy is MergePolicy.REPLACE:
            return True
        if policy is MergePolicy.ADD_MISSING:
            return False
        if key[0] == TRANSCRIPTS:
            return "".join(map(str, then["lines"])).startswith("".join(map(str, live["lines"])))  # type: ignore[call-overload]
        if "content" in live:
            return False
        verdicts = set()
        for column in _TIMES:
            a, b = live.get(column), then.get(column)
            if isinstance(a, str) and isinstance(b, str) and ("T" in a) is ("T" in b) and a != b:
                with contextlib.suppress(ValueError):
                    verdicts.add(datetime.fromisoformat(b) > datetime.fromisoformat(a))
        return verdicts == {True}

    def _put(self, text: str, found: State) -> None:
        """One field, by parsing the JSON and writing it anew: equal as a value, if not as text."""
        place, _, path = text.rpartition(":")
        component, collection, name = place.split("/", 2)
        key: Key = (f"{component}/{collection}", (int(name) if collection == "messages" else name,))
        if key not in found or self.means_whole_besides(key):
            return
        column, *steps = [one for one in re.split(r"[.\[\]]+", path) if one]
        row, then = dict(found[key]), self.target[key]
        if self.selection.merge is MergePolicy.KEEP_NEWER and not self._takes(key, self.before[key], then):
            return
        # All fields that are asked for here are there live.
        if self.selection.merge is MergePolicy.ADD_MISSING and (steps or row[column] is not None):
            return
        if not steps:
            row[column] = then[column]
        else:
            document, source = json.loads(str(row[column])), json.loads(str(then[column]))
            at, wanted = document, source
            for step in steps[:-1]:
                at, wanted = (one[int(step) if isinstance(one, list) else step] for one in (at, wanted))
            last = steps[-1]
            if isinstance(at, list):
                at[int(last) : int(last) + 1] = [wanted[int(last)]]
            else:
                at[last] = wanted[last]
            row[column] = json.dumps(document)
        found[key] = row

    def means_whole_besides(self, key: Key) -> bool:
        """Whether something else than a field means the record."""
        one = self.selection
        others = one.components or one.records or one.searches or one.agents or one.orchestrations
        return bool(others) and self.means(key)


def _plain(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def same(one: Record | None, other: Record | None, *, as_json: bool = False) -> bool:
    """Whether two versions of a record are the same, byte for byte, or with `as_json` in what their JSON says."""
    if one is None or other is None or one.keys() != other.keys():
        return one is other
    for name, value in one.items():
        a, b = value, other[name]
        if type(a) is type(b) and a == b:
            continue
        if not (as_json and _json(a) is not None and _json(a) == _json(b)):
            return False
    return True


def _json(text: object) -> object:
    try:
        return json.loads(str(text))
    except ValueError:
        return None


def predicted(before: State, planner: object) -> State:
    """The state that a planner's changes lead to."""
    found = {key: dict(row) for key, row in before.items()}
    for change in planner.changes():  # type: ignore[attr-defined]
        descriptor, parts = change.descriptor, change.parts
        if descriptor.kind is CollectionKind.SCHEMA or descriptor.origin == "sqlite_sequence":
            continue
        if descriptor.name == "transcript_files":
            continue
        if descriptor.kind is CollectionKind.LINES:
            old = found.get((descriptor.path, parts[:1]), {}).get("lines", [])
            lines = [*old]  # type: ignore[misc]
            found[descriptor.path, parts[:1]] = {"lines": lines}
            number = parts[1]
            if change.after is None:
                del lines[number - 1 :]
            else:
                lines[number - 1 : number] = [change.after[0]]
            if not lines:
                del found[descriptor.path, parts[:1]]
            continue
        key = (descriptor.path, parts)
        if change.after is None:
            del found[key]
        else:
            row = (
                named(descriptor, parts, change.before)
                if change.before
                else dict(zip(descriptor.keys, parts, strict=False))
            )
            row.update(zip(change.columns, change.after, strict=True))
            if descriptor.rowid:
                row.pop(descriptor.columns[0], None)
            row.pop("mode", None)
            found[key] = dict(row)
    return found
