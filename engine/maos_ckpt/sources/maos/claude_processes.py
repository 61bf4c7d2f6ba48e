"""Which transcripts a running `claude` may be appending to, and how a session is continued."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import Final

from maos_ckpt.processes import Processes, ProcessInfo
from maos_ckpt.sources.maos.layout import Layout

SESSION: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
#: Where Claude Code keeps its state, below the home directory.
_CLAUDE_HOME: Final = ".claude"
_PROGRAM: Final = re.compile(r"claude(-code)?(\.exe)?")
#: Words at the start of a command line in which the program's name is looked for: `node …/claude-code/cli.js`.
_PROGRAM_WORDS: Final = 3
#: How far the start of a process and the time of a file may be apart by rounding.
_SLACK_MS: Final = 1000


def session_of(path: bytes) -> str | None:
    """The session that a transcript's path below `projects` belongs to: the last part of it that is a UUID."""
    parts = os.fsdecode(path).removesuffix(".jsonl").split("/")
    return next((one for one in reversed(parts) if SESSION.fullmatch(one)), None)


def find_claudes(processes: Processes) -> list[ProcessInfo]:
    """The `claude` processes of this machine."""
    return [one for one in processes.matching("claude") if is_claude(one)]


def is_orphan(process: ProcessInfo, processes: Processes) -> bool:
    """Whether whoever started a process is gone; False where that cannot be seen.

    The kernel gives an orphan to init, or to whoever asked for orphans, which stands in another session.
    """
    standing = processes.standing(process.pid)
    if standing is None:
        return False
    parent = processes.standing(standing.parent)
    return parent is None or standing.parent == 1 or parent.session != standing.session


def sessions_named(process: ProcessInfo) -> set[str]:
    """The sessions on a process's command line."""
    return {word for part in process.command for word in SESSION.findall(part)}


class ClaudeProcesses:
    """The `claude` processes of this machine at one moment."""

    def __init__(self, processes: Processes, layout: Layout) -> None:
        self._processes = processes
        self._layout = layout
        self._found = find_claudes(processes)
        self._open = processes.writers_below(layout.projects)

    def writer_of(self, path: bytes, changed_ms: int) -> ProcessInfo | None:
        """Who may write to a transcript: below `projects` it is `path`, last changed at `changed_ms` (0: not there).

        Claude opens the file for each line anew, so an open descriptor is rarely seen. A session is known by its id on
        the command line; a process that shows none may be at any transcript of its directory that changed since it
        began.
        """
        session = session_of(path)
        folder = os.fsdecode(path).split("/")[0]
        for one in self._found:
            named = sessions_named(one)
            if session is not None and session in named:
                return one
            if not named and folder in self._slugs(one) and changed_ms + _SLACK_MS >= self._processes.started_ms(one):
                return one
        writer = self._open.get(os.path.join(self._layout.projects, os.fsdecode(path)))
        # One that the recovery itself made stand still was caught in the middle of a line of the state that goes.
        return None if writer is None or self._processes.is_stopped(writer) else writer

    def _slugs(self, process: ProcessInfo) -> tuple[str, ...]:
        directory = Path(process.directory)
        return Layout(directory, self._layout.claude_home, self._layout.home).slugs if process.directory else ()


def resume_command(session: str, directory: str, layout: Layout) -> str | None:
    """The shell line that continues a session, or None where a directory in it cannot stand in one.

    Claude Code looks for its sessions below `CLAUDE_CONFIG_DIR`, which it takes to be ~/.claude where it is not set.
    """
    home = str(layout.claude_home)
    if not directory.startswith("/") or not (directory + home).isprintable():
        return None
    usual = os.path.realpath(layout.home / _CLAUDE_HOME)
    setting = "" if home == usual else f"CLAUDE_CONFIG_DIR={shlex.quote(home)} "
    return f"cd {shlex.quote(directory)} && {setting}claude --resume {session}"


def is_claude(process: ProcessInfo) -> bool:
    """Whether a process is a Claude Code."""
    words = process.command[:_PROGRAM_WORDS]
    return any(_PROGRAM.fullmatch(os.path.basename(one)) or "/claude-code/" in one for one in words)
