"""A MAOS state, all of it, and damage to it."""

from __future__ import annotations

import hashlib
from typing import Any

from tests.cli.conftest import Cli
from tests.lab.mutate import mutate
from tests.lab.values import dump_exact


def state(cli: Cli) -> tuple[dict[str, Any], dict[str, str]]:
    """Every table's rows, and the bytes of transcripts and project files."""
    files = [*cli.claude_home.rglob("*.jsonl"), *(cli.cwd / ".claude").rglob("*.md"), *(cli.cwd / ".maos").iterdir()]
    return dump_exact(cli.database), {str(one): hashlib.sha256(one.read_bytes()).hexdigest() for one in sorted(files)}


def save(cli: Cli) -> str:
    """Take a checkpoint; returns its id."""
    return str(cli.save()["id"])


def damage(cli: Cli) -> None:
    """Change rows through SQL, a transcript's middle and end, and project files."""
    mutate(cli.cwd, 0.2, seed=4)
    transcript = next(cli.claude_home.rglob("*.jsonl"))
    lines = transcript.read_bytes().splitlines(keepends=True)
    transcript.write_bytes(b"".join(lines[: len(lines) // 2]) + b'{"type":"user","message":"nonsense"}\n')
    (cli.cwd / ".claude" / "agents" / "rogue.md").write_text("---\nname: rogue\n---\nBreak things.\n")
    next((cli.cwd / ".maos").iterdir()).write_text("interval: 0\n")
