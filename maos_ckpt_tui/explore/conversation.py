"""A transcript's JSON lines as a conversation: who said what and when, tool calls and results, bounded in memory."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from maos_ckpt.model.contents import ShownRecord
from maos_ckpt_tui.explore.reading import text

#: Characters kept of one turn; the record itself, a key away, has them all.
TURN_CHARACTERS = 20_000
#: Of all turns together; behind it only the beginning of each is kept.
TOTAL_CHARACTERS = 48_000_000
HEAD_CHARACTERS = 300
#: Parts of one line, and turns of one conversation.
PARTS_MAX = 200
TURNS_MAX = 300_000
#: What stands for a file that could not be read to its end (FORMAT.md, "Transcripts").
UNREAD_LINE = (1 << 53) - 1

USER, AGENT, TOOL, RESULT, THINKING, NOTE, DAMAGED = "user", "agent", "tool", "result", "thinking", "note", "damaged"
#: Shown as one line until unfolded.
FOLDED = frozenset({TOOL, RESULT, THINKING, NOTE})
_KINDS = {"user": USER, "assistant": AGENT}


@dataclass(frozen=True, slots=True)
class Turn:
    """A part of a line. `cut` characters of its text were left out; `at` is the time as it was written."""

    line: int
    kind: str
    at: str
    name: str
    text: str
    cut: int = 0
    error: bool = False


class Budget:
    """What may still be kept of a conversation."""

    def __init__(self) -> None:
        self.left = TOTAL_CHARACTERS

    def take(self, whole: str) -> tuple[str, int]:
        """As much of a text as may be kept, and how many characters that leaves out."""
        room = TURN_CHARACTERS if self.left > 0 else HEAD_CHARACTERS
        kept = whole[:room]
        self.left -= len(kept)
        return kept, len(whole) - len(kept)


def turns(records: Iterable[ShownRecord], budget: Budget) -> list[Turn]:
    """The turns of some lines, in order."""
    return [turn for one in records for turn in _line(one, budget)]


def _line(record: ShownRecord, budget: Budget) -> Iterator[Turn]:
    number = _number(record.key)
    if number == UNREAD_LINE:
        yield Turn(number, DAMAGED, "", "", "The file could not be read to its end: it may go on here.", error=True)
        return
    values = json.loads(record.values_json)
    line = next((value for name, value in values.items() if name not in ("path", "line")), None)
    parsed = _parsed(line)
    if parsed is None:
        kept, cut = budget.take(text(line))
        yield Turn(number, DAMAGED, "", "no JSON", kept, cut, error=True)
        return
    for kind, name, whole, error in _parts(parsed):
        kept, cut = budget.take(whole)
        yield Turn(number, kind, str(parsed.get("timestamp") or "")[:40], name, kept, cut, error)


def _number(key: str) -> int:
    last = key.rpartition("/")[2]
    return int(last) if last.isascii() and last.isdigit() else 0


def _parsed(line: object) -> dict[str, object] | None:
    if not isinstance(line, str):
        return None
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


_Part = tuple[str, str, str, bool]


def _parts(line: dict[str, object]) -> Iterator[_Part]:
    kind = str(line.get("type") or line.get("role") or "")[:40]
    message = line.get("message")
    content = message.get("content") if isinstance(message, dict) else line.get("content")
    if kind not in _KINDS:
        words = line.get("summary") or content
        yield NOTE, kind or "line", text(words if words is not None else line), False
        return
    said = _KINDS[kind]
    if not isinstance(content, list):
        yield said, "", text(content), False
        return
    for number, part in enumerate(content):
        if number == PARTS_MAX:
            yield NOTE, "more", f"{len(content) - PARTS_MAX:,} more parts of this line", False
            return
        yield _part(said, part)


def _part(said: str, part: object) -> _Part:
    if not isinstance(part, dict):
        return said, "", text(part), False
    kind = part.get("type")
    if kind == "text":
        return said, "", text(part.get("text")), False
    if kind in ("thinking", "redacted_thinking"):
        return THINKING, "", text(part.get("thinking") or part.get("data")), False
    if kind == "tool_use":
        return TOOL, text(part.get("name")), _arguments(part.get("input")), False
    if kind == "tool_result":
        return RESULT, "", _result(part.get("content")), part.get("is_error") is True
    return NOTE, text(kind), text(part), False


def _arguments(given: object) -> str:
    if isinstance(given, dict):
        return "\n".join(f"{name}: {text(value)}" for name, value in given.items())
    return text(given)


def _result(content: object) -> str:
    if isinstance(content, list):
        words = (part.get("text") if isinstance(part, dict) and "text" in part else part for part in content)
        return "\n".join(map(text, words))
    return text(content)


def history_turns(history: object, budget: Budget) -> list[Turn]:
    """The turns that a session's `conversation_history` holds, where there is no transcript."""
    if not isinstance(history, list):
        return []
    found = []
    for number, one in enumerate(history[:TURNS_MAX], 1):
        turn = one if isinstance(one, dict) else {"content": one}
        kind = _KINDS.get(str(turn.get("role") or turn.get("type")), NOTE)
        kept, cut = budget.take(text(turn.get("content", turn)))
        found.append(Turn(number, kind, str(turn.get("timestamp") or "")[:40], "", kept, cut))
    return found
