"""What an agent was asked first: the beginning of a transcript."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from maos_ckpt.sources.maos.layout import TRANSCRIPT_SUFFIX, Layout

#: Lines of a transcript among which the first prompt is looked for.
HEAD_LINES: Final = 8
#: A longer line is not looked into.
_LINE_BYTES_MAX: Final = 4 << 20
#: Transcripts that are looked into, the newest first.
_FILES_MAX: Final = 500


def first_prompt(lines: Iterable[bytes]) -> str | None:
    """What the first lines of a transcript ask of the agent; None where none of them asks anything."""
    for line in lines:
        if len(line) <= _LINE_BYTES_MAX and (found := _prompt(line)) is not None:
            return found
    return None


def prompts_since(layout: Layout, since_ms: int) -> dict[str, str]:
    """Session → first prompt, of the live transcripts that were written to since then."""
    found: list[tuple[int, Path]] = []
    for slug in layout.slugs:
        try:
            for path in (layout.projects / slug).iterdir():
                changed_ms = path.lstat().st_mtime_ns // 1_000_000
                if path.suffix == TRANSCRIPT_SUFFIX and path.is_file() and changed_ms >= since_ms:
                    found.append((changed_ms, path))
        except OSError:
            continue
    prompts = {}
    for _, path in sorted(found, reverse=True)[:_FILES_MAX]:
        try:
            with path.open("rb") as file:
                lines = [file.readline(_LINE_BYTES_MAX + 1) for _ in range(HEAD_LINES)]
        except OSError:
            continue
        prompt = first_prompt(lines)
        if prompt is not None:
            prompts[path.stem] = prompt
    return prompts


def _prompt(line: bytes) -> str | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(entry, dict) or entry.get("type") != "user":
        return None
    message = entry.get("message")
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, list):
        parts = [one.get("text") for one in content if isinstance(one, dict) and one.get("type") == "text"]
        content = "\n".join(one for one in parts if isinstance(one, str))
    return content if isinstance(content, str) and content else None
