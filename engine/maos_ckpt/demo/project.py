"""The configuration files that stand beside a MAOS database: part of its state, and small."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_CONFIG: Final = """# MAOS project configuration
database_path: ./maos.db
auto_save_interval: 30
max_parallel_agents: 8
default_model: claude-sonnet-4-20250514
log_level: INFO
"""

_AGENTS: Final = {
    "reviewer": (
        "Reviews changes to the payment service before they are merged",
        "Read, Grep, Glob",
        "You review changes to a payment service. Money is an integer of minor units, never a float. Ask for\n"
        "a test of every retry path. Reject a change that logs card data, and say which line does.",
    ),
    "migration-writer": (
        "Writes reversible database migrations",
        "Read, Edit, Write, Bash",
        "You write one migration per change, with its way back. Long locks are forbidden: add columns as nullable,\n"
        "fill them in batches of 1,000 rows, then tighten the constraint in a second migration.",
    ),
}


def write_project_files(directory: Path) -> tuple[Path, ...]:
    """Writes `.maos/config.yaml` and `.claude/agents/*.md` under `directory` where they are missing; returns all."""
    files = {directory / ".maos" / "config.yaml": _CONFIG}
    for name, (description, tools, prompt) in _AGENTS.items():
        head = f"---\nname: {name}\ndescription: {description}\ntools: {tools}\n---\n\n"
        files[directory / ".claude" / "agents" / f"{name}.md"] = head + prompt + "\n"
    for path, text in files.items():
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return tuple(files)
