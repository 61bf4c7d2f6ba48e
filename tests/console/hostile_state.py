"""A real MAOS state whose every text is hostile, with a repository of checkpoints of it."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import msgspec

from maos_ckpt.config import Config
from maos_ckpt.demo.transcripts import project_slug
from maos_ckpt.events import OperationFailed
from maos_ckpt.model import Trigger
from maos_ckpt.operations.checkpoints import save
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.seams import SYSTEM
from tests.lab.build import build_state

_STATE_BYTES = 120_000
_TRANSCRIPT_BYTES = 20_000
#: Characters of the longest file name that is tried.
_NAME_CHARACTERS_MAX = 60
_TAGS_EACH = 3


@dataclass(frozen=True)
class HostileState:
    """Where state and repository are, and how the console is started over them."""

    workspace: Workspace
    directory: Path
    claude_home: Path
    config: Path

    @property
    def arguments(self) -> list[str]:
        """Of the command line."""
        places = ["--source", f"maos:{self.directory}", "--repo", str(self.workspace.repository)]
        return [*places, "--claude-home", str(self.claude_home), "--config", str(self.config)]


def build_hostile(folder: Path, texts: Sequence[str], *, line_bytes: int, checkpoints: int = 3) -> HostileState:
    """Put every one of `texts` into the state somewhere, several times; take checkpoints described and tagged by them.

    Args:
        line_bytes: length of one transcript line, and of one task's description.
    """
    directory, home = folder / "maos", folder / "claude"
    state = build_state(directory, home, _STATE_BYTES, seed=5, transcript_bytes=_TRANSCRIPT_BYTES)
    config = msgspec.structs.replace(Config(), interval_seconds=3600.0, max_checkpoints=0)
    workspace = Workspace(folder / "repository", f"maos:{directory}", home, config, SYSTEM)
    path = folder / "config.toml"
    path.write_text("interval_seconds = 3600\nmax_checkpoints = 0\n", encoding="ascii")
    save(workspace, Trigger.MANUAL, "before any of it", (), lambda _: None)
    with closing(sqlite3.connect(state.database)) as connection, connection:
        _fill(connection, texts, line_bytes)
    transcripts = home / "projects" / project_slug(str(directory.resolve()))
    _write_transcripts(transcripts, texts, line_bytes)
    for number in range(checkpoints):
        share = texts[number::checkpoints]
        _change(state.database, number)
        description = "\n".join(share)[:1500]
        tags = [one for one in share if one.strip()][:_TAGS_EACH]
        save(workspace, Trigger.MANUAL, _storable(description), [_storable(one) for one in tags], lambda _: None)
    for text in texts[:60]:
        workspace.record(OperationFailed(workspace.now_ms(), "save", "source", _storable(text)))
    # What is live differs from every checkpoint, in kind and in keys.
    _change(state.database, checkpoints)
    return HostileState(workspace, directory, home, path)


def _change(database: Path, number: int) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE tasks SET description = description || ? || status", (str(number),))
        connection.execute(
            "UPDATE agents SET name = id || ?, metadata = NULL WHERE rowid % 3 = ?", (number, number % 3)
        )
        connection.execute("DELETE FROM messages WHERE id % 7 = ?", (number,))


def _storable(text: str) -> str:
    """A text that UTF-8 can hold, as everything that an operator types can."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _fill(connection: sqlite3.Connection, texts: Sequence[str], line_bytes: int) -> None:
    agents: list[bytes] = []
    for number, text in enumerate(texts):
        evil = _bytes(text)
        key = evil + b"#%d" % number
        agents.append(key)
        values = (key, evil, evil, key, evil, evil, _json([text]), _json({text: text, "role": text}))
        connection.execute(
            "INSERT INTO agents (id, name, type, session_id, process_id, status, capabilities, metadata) VALUES"
            " (CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS TEXT),"
            " ?, ?)",
            values,
        )
        turns = [{"role": text, "content": text}, {"role": "assistant", "content": [{"type": "text", "text": text}]}]
        connection.execute(
            "INSERT INTO sessions (session_id, agent_id, task, conversation_history, status) VALUES"
            " (CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS TEXT), ?, CAST(? AS TEXT))",
            (key, key, evil, _json(turns), evil),
        )
        connection.execute(
            "INSERT INTO tasks (id, description, status, assigned_agents, subtasks, result) VALUES"
            " (CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS TEXT), ?, ?, ?)",
            (key, evil, evil, _json([text]), _json([text]), _json({text: {"output": text}})),
        )
        connection.execute(
            "INSERT INTO messages (from_agent, to_agent, message, message_type) VALUES"
            " (CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS TEXT))",
            (key, agents[number // 2], evil, evil),
        )
    connection.execute("UPDATE tasks SET description = ? WHERE rowid = 1", ("[/b]\x1b[6m" + "y" * line_bytes,))


def _bytes(text: str) -> bytes:
    # Lone surrogates as the bytes that a careless program writes.
    return text.encode("utf-8", "surrogatepass")


def _json(value: object) -> str:
    return json.dumps(value)


def _write_transcripts(folder: Path, texts: Sequence[str], line_bytes: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for number, text in enumerate(texts):
        message = {"role": text, "content": [{"type": "tool_use", "name": text, "input": {text: text}}]}
        lines.append(_json({"type": text, "uuid": f"{number}", "parentUuid": text, "message": message}))
        lines.append(_json({"type": "user", "message": {"role": "user", "content": text}, "cwd": text}))
    lines.append(_json({"type": "user", "message": {"role": "user", "content": "\x1b[6;7m" + "z" * line_bytes}}))
    (folder / "11111111-2222-4333-8444-555555555555.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for number, text in enumerate(texts[:50]):
        name = _bytes(text.replace("/", "_").replace("\0", "0")[:_NAME_CHARACTERS_MAX]) + b"%d.jsonl" % number
        # Some are longer than the file system takes.
        with contextlib.suppress(OSError), open(os.path.join(os.fsencode(folder), name[-250:]), "wb") as file:
            file.write(lines[number].encode() + b"\n")
