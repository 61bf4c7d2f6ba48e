"""What is alive of a MAOS: the processes that have its database open, and its agents' processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from maos_ckpt.processes import ProcessInfo
from maos_ckpt.seams import Seams
from maos_ckpt.sources.maos.claude_processes import find_claudes, is_orphan, sessions_named
from maos_ckpt.sources.maos.layout import Layout

#: MAOS notes times to the second, and notes a process after it was started.
SLACK_MS: Final = 2000
SLACK_S: Final = 1
_PID_DIGITS_MAX: Final = 10


@dataclass(frozen=True, slots=True)
class Living:
    """The processes of one MAOS at one moment.

    `maos`: who has the database open for writing; `since_ms`: when the first of them began. `claudes`: the claude
    processes of this machine; `orphans`: those that work in the MAOS's directory, and whose MAOS is gone.
    """

    maos: tuple[ProcessInfo, ...]
    since_ms: int | None
    claudes: dict[int, ProcessInfo]
    started_ms: dict[int, int]
    orphans: tuple[ProcessInfo, ...]

    def agent_process(self, process_id: str, session: str, noted_ms: int | None) -> ProcessInfo | None:
        """The process of an agent with that process id and session, as its record noted them at `noted_ms`.

        A process id is given to other programs again: one that is no claude, or began after the record was written
        last, is not the agent's.
        """
        if process_id.isascii() and process_id.isdigit() and len(process_id) <= _PID_DIGITS_MAX:
            found = self.claudes.get(int(process_id))
            if found is not None and (noted_ms is None or self.started_ms[found.pid] <= noted_ms + SLACK_MS):
                return found
        if session:
            return next((one for one in self.claudes.values() if session in sessions_named(one)), None)
        return None

    def orphan_since(self, started_s: int | None) -> ProcessInfo | None:
        """An orphan that may be the process of an agent which MAOS started in that second."""
        if started_s is None:
            return None
        return next((one for one in self.orphans if abs(self.started_ms[one.pid] // 1000 - started_s) <= SLACK_S), None)

    def may_own(self, *times_ms: int | None) -> bool:
        """Whether a record with these times may be one that the running MAOS works on."""
        since = self.since_ms
        return since is not None and any(at is not None and at + SLACK_MS >= since for at in times_ms)


def look(layout: Layout, seams: Seams) -> Living:
    """Look at the processes now."""
    processes = seams.processes
    maos = tuple(processes.holders(layout.database, writing=True))
    claudes = {one.pid: one for one in find_claudes(processes)}
    return Living(
        maos=maos,
        since_ms=min(map(processes.started_ms, maos), default=None),
        claudes=claudes,
        started_ms={one.pid: processes.started_ms(one) for one in claudes.values()},
        orphans=tuple(
            one for one in claudes.values() if one.directory == str(layout.directory) and is_orphan(one, processes)
        ),
    )


#: What a stored state is looked at with: there nobody is alive.
NOBODY: Final = Living((), None, {}, {}, ())
