"""Every live MAOS of this machine with its agents' processes, and those that have lost their MAOS, by /proc."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from maos_ckpt.model import AgentProcess, MaosProcess, ProcessReport
from maos_ckpt.processes import CHAIN_LENGTH_MAX, OpenFile, Processes, ProcessInfo
from maos_ckpt.seams import Seams
from maos_ckpt.sources.maos.agent_rows import AgentRow, AgentRows, read_agents
from maos_ckpt.sources.maos.claude_processes import is_claude, is_orphan, sessions_named
from maos_ckpt.sources.maos.layout import DATABASE_NAME, Layout
from maos_ckpt.sources.maos.prompts import prompts_since
from maos_ckpt.sources.sqlite.faults import describe_process

#: MAOS notes the second in which it started a process.
_SLACK_S: Final = 1
#: Open files and hidden processes that are named.
LISTED_MAX: Final = 20
_SIDECARS: Final = ("-journal", "-wal", "-shm")
#: Words at the start of a command line among which MAOS's name is looked for: `python /usr/bin/maos chat`.
_PROGRAM_WORDS: Final = 3


def find_running(seams: Seams, claude_home: Path) -> ProcessReport:
    """Look now; MAOS is not held up by it. `claude_home`: where transcripts tell which session is which agent's."""
    return _Search(seams.processes, claude_home).report()


class _Search:
    def __init__(self, processes: Processes, claude_home: Path) -> None:
        self._processes = processes
        self._home = claude_home
        self._all = processes.every()
        self._claudes = [one for one in self._all if is_claude(one)]
        self._parents = {one.pid: standing for one in self._all if (standing := processes.standing(one.pid))}
        self._hidden: list[ProcessInfo] = []

    def report(self) -> ProcessReport:
        open_files = {one.pid: self._open(one) for one in self._all}
        found = [(one, file) for one in self._all for file in _databases(open_files[one.pid]) if not _is_ours(one)]
        owners = {one.pid for one, _ in found}
        maos = [self._maos(one, file, open_files[one.pid]) for one, file in found]
        orphans = [one for one in self._claudes if not self._ancestors(one.pid) & owners and self._is_orphan(one)]
        return ProcessReport(tuple(maos), tuple(self._orphans(orphans)), tuple(self._notes()))

    def _open(self, process: ProcessInfo) -> Sequence[OpenFile]:
        found = self._processes.open_files(process)
        if found is None:
            self._hidden.append(process)
        return found or ()

    def _maos(self, process: ProcessInfo, file: OpenFile, files: Sequence[OpenFile]) -> MaosProcess:
        state = _state(file)
        path = Path(file.path)
        rows = read_agents(path) if state in ("open", "moved") else AgentRows(problem=f"its database was {state}")
        children = [one for one in self._claudes if process.pid in self._ancestors(one.pid)]
        others = {one.path for one in files if one.path != file.path and not _is_beside(one) and not one.deleted}
        return MaosProcess(
            pid=process.pid,
            command=describe_process(process),
            user=self._user(process.pid),
            directory=_text(process.directory),
            database=_text(file.path),
            database_state=state,
            since_ms=self._processes.started_ms(process),
            stopped=self._processes.is_stopped(process),
            agents=rows.statuses,
            children=tuple(self._agents(children, rows, path.parent)),
            open_files=tuple(map(_text, sorted(others)[:LISTED_MAX])),
            problem=rows.problem,
        )

    def _orphans(self, orphans: Sequence[ProcessInfo]) -> Iterable[AgentProcess]:
        for directory in dict.fromkeys(one.directory for one in orphans):
            here = [one for one in orphans if one.directory == directory]
            yield from self._agents(here, read_agents(Path(directory, DATABASE_NAME)), Path(directory))

    def _agents(self, processes: Sequence[ProcessInfo], rows: AgentRows, directory: Path) -> Iterable[AgentProcess]:
        """These processes, each with its agent and session as far as these can be told."""
        if not processes:
            return
        started_ms = {one.pid: self._processes.started_ms(one) for one in processes}
        sessions = prompts_since(Layout.of(directory, self._home), min(started_ms.values()))
        for process in processes:
            named = sorted(sessions_named(process))
            row, how = _agent_of(process, named, processes, started_ms, rows.agents)
            session = named[0] if named else ""
            if row is not None and not session:
                asked = [one for one, prompt in sessions.items() if row.task and prompt.strip() == row.task.strip()]
                session = row.session if row.session in sessions else asked[0] if len(asked) == 1 else ""
            yield AgentProcess(
                pid=process.pid,
                command=describe_process(process),
                user=self._user(process.pid),
                directory=_text(process.directory),
                since_ms=started_ms[process.pid],
                session=session,
                agent=row.id if row is not None else "",
                known_by=how,
            )

    def _is_orphan(self, process: ProcessInfo) -> bool:
        """Whether it works where a MAOS keeps its database, and whoever started it is gone."""
        there = os.path.isfile(os.path.join(process.directory, DATABASE_NAME))
        return there and is_orphan(process, self._processes)

    def _ancestors(self, pid: int) -> set[int]:
        found: set[int] = set()
        while len(found) < CHAIN_LENGTH_MAX and (standing := self._parents.get(pid)) and standing.parent not in found:
            pid = standing.parent
            found.add(pid)
        return found

    def _user(self, pid: int) -> int | None:
        standing = self._parents.get(pid)
        return None if standing is None else standing.user

    def _notes(self) -> Iterable[str]:
        if self._hidden:
            text = f"{len(self._hidden):,} processes of other users may not be looked into: a MAOS among them is not"
            text += " listed. Run this as their user, or as root."
            yield text
            named = [describe_process(one) for one in self._hidden if _may_be_maos(one)][:LISTED_MAX]
            if named:
                yield f"By their names these are: {', '.join(named)}."
        if self._processes.standing(1) is None:
            yield "This system hides the processes of other users altogether."


def _databases(files: Sequence[OpenFile]) -> Iterable[OpenFile]:
    """The MAOS databases among the files that a process writes to, each once."""
    found = {}
    for file in files:
        name = os.path.basename(file.path)
        known = name == DATABASE_NAME or name.startswith(f"{DATABASE_NAME}.")
        if file.writing and known and not name.endswith(_SIDECARS):
            found[file.path, file.deleted] = file
    return found.values()


def _text(path: str) -> str:
    """A path as text that every encoding takes, also where its bytes are no UTF-8."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _state(file: OpenFile) -> str:
    if file.deleted:
        return "replaced" if os.path.exists(file.path) else "deleted"
    return "open" if os.path.basename(file.path) == DATABASE_NAME else "moved"


def _agent_of(
    process: ProcessInfo,
    named: list[str],
    peers: Sequence[ProcessInfo],
    started_ms: dict[int, int],
    agents: Sequence[AgentRow],
) -> tuple[AgentRow | None, str]:
    """The agent behind a process, and how that is known."""
    for row in agents:
        if row.session and row.session in named:
            return row, "session"
        if row.process == str(process.pid):
            return row, "process id"
    # MAOS starts the agents of a batch one after the other, and notes the second of each.
    second = started_ms[process.pid] // 1000
    rows = [one for one in agents if one.started_s is not None and abs(one.started_s - second) <= _SLACK_S]
    batch = [one for one in peers if abs(started_ms[one.pid] // 1000 - second) <= _SLACK_S]
    if len(rows) == len(batch):
        at = sorted(batch, key=lambda one: (one.started, one.pid)).index(process)
        return rows[at], "order of starting"
    return None, ""


def _is_ours(process: ProcessInfo) -> bool:
    """Whether it is this program, which opens a database to recover it; its sample MAOS is a MAOS."""
    words = process.command[:_PROGRAM_WORDS]
    return any(
        os.path.basename(one) == "maos-ckpt" or (one.startswith("maos_ckpt") and not one.startswith("maos_ckpt.demo"))
        for one in words
    )


def _may_be_maos(process: ProcessInfo) -> bool:
    return any(os.path.basename(word).split(".")[0] == "maos" for word in process.command[:_PROGRAM_WORDS])


def _is_beside(file: OpenFile) -> bool:
    """Whether a file says nothing of its own: one that is only read, or lies beside a database."""
    return not file.writing or file.path.endswith(_SIDECARS)
