"""Conversation transcripts in the form Claude Code 1.0.x keeps them: one JSON object a line, only ever appended.

A transcript is `<claude_home>/projects/<slug of the working directory>/<session uuid>.jsonl`. Each line names its
predecessor in `parentUuid`; the chain starts with null. Claude Code opens, appends and closes the file for every line,
and so does this writer: a kept descriptor would write into the unlinked file after a recovery had replaced it.
"""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

CLAUDE_VERSION: Final = "1.0.83"
MODEL: Final = "claude-sonnet-4-20250514"
MAX_SLUG_INPUT_CHARS: Final = 4096
MAX_PENDING_BYTES: Final = 1 << 20
TAIL_BYTES: Final = 1 << 20

Line = dict[str, object]


def project_slug(cwd: str) -> str:
    """The folder name Claude Code gives to the absolute path `cwd`: all but ASCII letters and digits becomes `-`.

    A character outside the Basic Multilingual Plane gives two dashes, because the original works on UTF-16 units.
    Raises ValueError when the path is longer than any file system takes.
    """
    if len(cwd) > MAX_SLUG_INPUT_CHARS:
        raise ValueError(f"path of {len(cwd)} characters is too long")
    return "".join(c if c.isascii() and c.isalnum() else "-" * (2 if ord(c) > 0xFFFF else 1) for c in cwd)


def transcript_path(claude_home: Path, cwd: str, session_id: str) -> Path:
    """Where Claude Code keeps the transcript of `session_id` when it runs in `cwd` (an absolute path)."""
    return claude_home / "projects" / project_slug(cwd) / f"{session_id}.jsonl"


def rfc3339_ms(moment: datetime) -> str:
    """`moment` (with a time zone) as Claude Code prints times: UTC, milliseconds, `Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def utc_now() -> datetime:
    """The wall clock, in UTC."""
    return datetime.now(UTC)


class TranscriptWriter:
    """Appends turns to one session's transcript and keeps its `parentUuid` chain closed.

    When the file is not what this writer left (a recovery or an incident changed it), the chain goes on from the last
    complete line that is really there. Identifiers come from `rng` alone, times from `now` alone, so that a seeded
    writer with a fixed clock repeats itself byte for byte. I/O errors are raised as OSError.
    """

    def __init__(
        self,
        claude_home: Path,
        cwd: str,
        session_id: str,
        *,
        rng: random.Random,
        now: Callable[[], datetime] = utc_now,
        git_branch: str = "main",
        model: str = MODEL,
    ) -> None:
        self.path = transcript_path(claude_home, cwd, session_id)
        self.session_id = session_id
        self._rng = rng
        self._now = now
        self._model = model
        self._common: Line = {
            "isSidechain": False,
            "userType": "external",
            "cwd": cwd,
            "sessionId": session_id,
            "version": CLAUDE_VERSION,
            "gitBranch": git_branch,
        }
        self._parent: str | None = None
        self._known_bytes = 0
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._batching = False
        self.path.parent.mkdir(parents=True, exist_ok=True)

    @property
    def size_bytes(self) -> int:
        """Bytes of the transcript as this writer knows it, those of an open batch included."""
        return self._known_bytes + self._pending_bytes

    def append_user(self, text: str) -> str:
        """Adds what the operator (or MAOS) said; returns the line's uuid."""
        return self._append("user", {"role": "user", "content": text})

    def append_assistant(self, text: str, *, output_tokens: int | None = None) -> str:
        """Adds an answer of plain text; returns the line's uuid."""
        return self._append("assistant", self._answer({"type": "text", "text": text}, output_tokens or len(text) // 4))

    def append_tool_use(self, tool: str, arguments: Mapping[str, object]) -> str:
        """Adds a tool call; returns the tool_use id that `append_tool_result` answers."""
        tool_use_id = self._identifier("toolu_01")
        block: Line = {"type": "tool_use", "id": tool_use_id, "name": tool, "input": dict(arguments)}
        self._append("assistant", self._answer(block, 60 + self._rng.randrange(240)))
        return tool_use_id

    def append_tool_result(self, tool_use_id: str, content: str, *, is_error: bool = False) -> str:
        """Adds what a tool gave back; returns the line's uuid."""
        block: Line = {"tool_use_id": tool_use_id, "type": "tool_result", "content": content}
        if is_error:
            block["is_error"] = True
        return self._append("user", {"role": "user", "content": [block]}, {"toolUseResult": content[:2000]})

    def append_summary(self, text: str) -> None:
        """Adds the summary line that Claude Code writes; it names the last line and is no link of the chain itself."""
        self._resume()
        self._put({"type": "summary", "summary": text, "leafUuid": self._parent})

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Turns added inside reach the file together at the end, and at the latest every MAX_PENDING_BYTES."""
        self._resume()
        self._batching = True
        try:
            yield
        finally:
            self._batching = False
            self._flush()

    def _append(self, kind: str, message: Line, extra: Line | None = None) -> str:
        if not self._batching:
            self._resume()
        line_uuid = self._uuid()
        line: Line = {"parentUuid": self._parent, **self._common, "type": kind, "message": message}
        if kind == "assistant":
            line["requestId"] = self._identifier("req_011")
        line |= {"uuid": line_uuid, "timestamp": rfc3339_ms(self._now()), **(extra or {})}
        self._parent = line_uuid
        self._put(line)
        return line_uuid

    def _answer(self, block: Line, output_tokens: int) -> Line:
        cached = self._rng.randrange(9_000, 60_000)
        return {
            "id": self._identifier("msg_01"),
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": [block],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {
                "input_tokens": self._rng.randrange(2, 40),
                "cache_creation_input_tokens": self._rng.randrange(200, 4_000),
                "cache_read_input_tokens": cached,
                "output_tokens": output_tokens,
                "service_tier": "standard",
            },
        }

    def _put(self, line: Line) -> None:
        # JSON.stringify leaves no blanks and keeps characters outside ASCII as they are
        data = json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass") + b"\n"
        self._pending.append(data)
        self._pending_bytes += len(data)
        if not self._batching or self._pending_bytes >= MAX_PENDING_BYTES:
            self._flush()

    def _flush(self) -> None:
        if not self._pending:
            return
        with self.path.open("ab") as file:
            file.write(b"".join(self._pending))
            file.flush()
            self._known_bytes = file.tell()
        self._pending.clear()
        self._pending_bytes = 0

    def _resume(self) -> None:
        """Takes up the chain of whatever is in the file now."""
        try:
            size_bytes = self.path.stat().st_size
        except FileNotFoundError:
            size_bytes = 0
        if size_bytes == self._known_bytes:
            return
        self._parent, torn = _last_link(self.path, size_bytes)
        self._known_bytes = size_bytes
        if torn:  # a cut in the middle of a line: end it, or the next turn would be glued to it
            self._pending.append(b"\n")
            self._pending_bytes += 1

    def _uuid(self) -> str:
        return str(uuid.UUID(int=self._rng.getrandbits(128), version=4))

    def _identifier(self, prefix: str) -> str:
        return prefix + format(self._rng.getrandbits(96), "024x")


def _last_link(path: Path, size_bytes: int) -> tuple[str | None, bool]:
    """The uuid of the last complete line that has one (looking back TAIL_BYTES at most); whether the end is torn."""
    if size_bytes == 0:
        return None, False
    with path.open("rb") as file:
        file.seek(max(0, size_bytes - TAIL_BYTES))
        tail = file.read(TAIL_BYTES)
    for line in reversed(tail.split(b"\n")):
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict) and isinstance(found.get("uuid"), str):
            return str(found["uuid"]), not tail.endswith(b"\n")
    return None, not tail.endswith(b"\n")
