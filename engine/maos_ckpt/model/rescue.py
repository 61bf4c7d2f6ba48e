"""Rescue after a crash, continuing an agent, and the processes of live MAOSes."""

from __future__ import annotations

from dataclasses import dataclass

from maos_ckpt.model.selection import Selection

#: What stands for a checkpoint in a plan that mends what a crash left behind: its changes come from no checkpoint.
RESCUE = "rescue"


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """Where an agent's conversation can be continued.

    `checkpoint`: what holds its transcript, "" where that is in place; then `selection` is what brings it back, and
    nothing else. `command`: the shell line that continues it, "" where a directory in it cannot stand in one.
    """

    agent: str
    session: str
    checkpoint: str
    command: str
    selection: Selection


@dataclass(frozen=True, slots=True)
class AgentProcess:
    """A `claude` process that works for a MAOS. `user` is a user's id, None where it cannot be seen.

    `session` and `agent` are "" where they are not known; `known_by` says how the agent is: by its `session` or its
    `process id`, or by the `order of starting`, in which MAOS starts the agents of a batch.
    """

    pid: int
    command: str
    user: int | None
    directory: str
    since_ms: int
    session: str
    agent: str
    known_by: str


@dataclass(frozen=True, slots=True)
class MaosProcess:
    """A process that has a MAOS database open for writing.

    Args:
        database_state: `open`; `deleted`, `replaced` (another file has its place) or `moved` (it has another name).
        stopped: somebody has stopped it, and it stands.
        agents: agents by status, as they are in the database.
        children: its agents' processes.
        open_files: other files that it has open for writing.
        problem: why there are no agents here, or "".
    """

    pid: int
    command: str
    user: int | None
    directory: str
    database: str
    database_state: str
    since_ms: int
    stopped: bool
    agents: dict[str, int]
    children: tuple[AgentProcess, ...]
    open_files: tuple[str, ...]
    problem: str


@dataclass(frozen=True, slots=True)
class ProcessReport:
    """Every live MAOS of this machine; `orphans` are agents' processes whose MAOS is gone. `notes`: what could not be
    seen."""

    maos: tuple[MaosProcess, ...]
    orphans: tuple[AgentProcess, ...]
    notes: tuple[str, ...]
