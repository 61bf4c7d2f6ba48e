"""The process seam: who holds a file open, and stopping and continuing them.

Linux only: `/proc` answers who has a file open. Where it is missing, `holders` is empty and recovery treats
the source as not running.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import Protocol

#: Longest line of ancestors that `terminal_chain` follows; real ones are three to six long.
CHAIN_LENGTH_MAX = 32

# Places in /proc/PID/stat, counted from the state, which is field 3.
_PARENT, _SESSION, _TERMINAL, _STARTED = 1, 3, 4, 19
#: What the kernel puts behind the path of a file that was deleted.
_DELETED = " (deleted)"
#: Stopped, stopped by a tracer, zombie, dead.
_STILL = (b"T", b"t", b"Z", b"X")


@dataclass(frozen=True, slots=True)
class ProcessInfo:
    """One process that holds a file open.

    `started` is field 22 of /proc/PID/stat (clock ticks since boot): with the pid it names a process uniquely.
    """

    pid: int
    started: int
    command: tuple[str, ...]
    directory: str


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A file that a process has open. `path` is where it is, or, where it is `deleted`, where it was."""

    path: str
    deleted: bool
    writing: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a process stands: its parent, the session (of terminals) it belongs to, and its user's id."""

    parent: int
    session: int
    user: int


class Processes(Protocol):
    """What recovery asks of the operating system about processes."""

    def holders(self, path: Path, *, writing: bool = False) -> list[ProcessInfo]:
        """Processes other than this one that have the file at `path` open, by (device, inode).

        `writing` leaves out those that opened it for reading only.
        """
        ...

    def writers_below(self, directory: Path) -> dict[str, ProcessInfo]:
        """Files below `directory` (absolute, without links) that other processes have open for writing, by path."""
        ...

    def describe(self, pid: int) -> ProcessInfo | None:
        """The process now behind `pid`, or None."""
        ...

    def matching(self, needle: str) -> list[ProcessInfo]:
        """Processes other than this one with `needle` inside one of their arguments."""
        ...

    def every(self) -> list[ProcessInfo]:
        """All processes other than this one that can be seen, by pid."""
        ...

    def standing(self, pid: int) -> Standing | None:
        """Where the process behind `pid` stands; None where there is none that can be seen."""
        ...

    def open_files(self, process: ProcessInfo) -> list[OpenFile] | None:
        """The regular files that the process has open; None where the right to know is missing, or it is gone."""
        ...

    def started_ms(self, process: ProcessInfo) -> int:
        """When the process was started: milliseconds since 1970-01-01 UTC, to some hundredths of a second."""
        ...

    def terminal_chain(self, process: ProcessInfo) -> list[ProcessInfo]:
        """Who would notice a stop of `process` and take its terminal away, outermost first; empty without one."""
        ...

    def is_stopped(self, process: ProcessInfo) -> bool:
        """Whether every thread of the process stands still; True also where it is gone."""
        ...

    def stop(self, process: ProcessInfo) -> bool:
        """SIGSTOP; False where that process is gone."""
        ...

    def resume(self, process: ProcessInfo) -> bool:
        """SIGCONT; False where that process is gone."""
        ...

    def kill_group(self, pid: int) -> None:
        """SIGKILL for a child of this process that leads a group, which it has not collected yet, and for its own."""
        ...


class SystemProcesses:
    """`/proc` and signals."""

    def holders(self, path: Path, *, writing: bool = False) -> list[ProcessInfo]:
        """See `Processes.holders`."""
        try:
            wanted = os.stat(path)
        except OSError:
            return []
        found = []
        for pid in self._pids():
            if pid != os.getpid() and self._holds(pid, wanted, writing):
                info = self.describe(pid)
                if info is not None:
                    found.append(info)
        return found

    def writers_below(self, directory: Path) -> dict[str, ProcessInfo]:
        """See `Processes.writers_below`."""
        found: dict[str, ProcessInfo] = {}
        prefix = f"{directory}/"
        for pid in self._pids():
            if pid == os.getpid():
                continue
            with contextlib.suppress(OSError):
                for descriptor in os.listdir(f"/proc/{pid}/fd"):
                    with contextlib.suppress(OSError):
                        path = os.readlink(f"/proc/{pid}/fd/{descriptor}")
                        if path.startswith(prefix) and _opened_for_writing(pid, descriptor):
                            info = self.describe(pid)
                            if info is not None:
                                found[path] = info
        return found

    def describe(self, pid: int) -> ProcessInfo | None:
        """See `Processes.describe`."""
        base = f"/proc/{pid}"
        stat = self._stat(pid)
        try:
            command = Path(base, "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        except OSError:
            return None
        if stat is None:
            return None
        directory = ""
        with contextlib.suppress(OSError):
            directory = os.readlink(f"{base}/cwd")
        return ProcessInfo(
            pid, int(stat[_STARTED]), tuple(part.decode("utf-8", "replace") for part in command), directory
        )

    def matching(self, needle: str) -> list[ProcessInfo]:
        """See `Processes.matching`."""
        infos = (self.describe(pid) for pid in self._pids() if pid != os.getpid())
        return [info for info in infos if info and any(needle in part for part in info.command)]

    def every(self) -> list[ProcessInfo]:
        """See `Processes.every`."""
        infos = (self.describe(pid) for pid in sorted(self._pids()) if pid != os.getpid())
        return [info for info in infos if info is not None]

    def standing(self, pid: int) -> Standing | None:
        """See `Processes.standing`."""
        stat = self._stat(pid)
        try:
            user = os.stat(f"/proc/{pid}").st_uid
        except OSError:
            return None
        return None if stat is None else Standing(int(stat[_PARENT]), int(stat[_SESSION]), user)

    def open_files(self, process: ProcessInfo) -> list[OpenFile] | None:
        """See `Processes.open_files`."""
        found = []
        try:
            for descriptor in os.listdir(f"/proc/{process.pid}/fd"):
                with contextlib.suppress(OSError):
                    name = f"/proc/{process.pid}/fd/{descriptor}"
                    status = os.stat(name)
                    if not S_ISREG(status.st_mode):
                        continue
                    path, deleted = os.readlink(name), status.st_nlink == 0
                    writing = _opened_for_writing(process.pid, descriptor)
                    found.append(OpenFile(path.removesuffix(_DELETED) if deleted else path, deleted, writing))
        except OSError:
            return None
        return found

    def started_ms(self, process: ProcessInfo) -> int:
        """See `Processes.started_ms`."""
        age_s = time.clock_gettime(time.CLOCK_BOOTTIME) - process.started / os.sysconf("SC_CLK_TCK")
        return int((time.time() - age_s) * 1000)

    def terminal_chain(self, process: ProcessInfo) -> list[ProcessInfo]:
        """See `Processes.terminal_chain`.

        A shell that sees its foreground job stop takes the terminal back, and the job, continued, stops for good when
        it next reads from the terminal; tmux and screen continue a stopped shell at once. Whoever is stopped before
        the job and continued after it sees none of this: every ancestor up to the session's leader, and the leader's
        parent.
        """
        found: list[ProcessInfo] = []
        stat = self._stat(process.pid)
        if stat is None or int(stat[_TERMINAL]) == 0:
            return found
        ours = self._ancestors()
        session = leader = int(stat[_SESSION])
        pid = process.pid
        while stat is not None and len(found) < CHAIN_LENGTH_MAX:
            at_top, pid = pid == leader, int(stat[_PARENT])
            stat = self._stat(pid)
            if pid <= 1 or stat is None or pid in ours[:2]:
                break
            # Above the leader only the terminal itself counts. Below it, one that this process descends from is not
            # stopped: it is our own engine, or a shell whose foreground we are and `process` is not.
            if not at_top and (int(stat[_SESSION]) != session or pid in ours):
                break
            info = self.describe(pid)
            if info is not None:
                found.insert(0, info)
            if at_top:
                break
        return found

    def is_stopped(self, process: ProcessInfo) -> bool:
        """See `Processes.is_stopped`."""
        stat = self._stat(process.pid)
        if stat is None or int(stat[_STARTED]) != process.started:
            return True
        try:
            threads = os.listdir(f"/proc/{process.pid}/task")
        except OSError:
            return True
        stats = (self._stat(process.pid, f"task/{thread}/stat") for thread in threads)
        return all(one is None or one[0] in _STILL for one in stats)

    def stop(self, process: ProcessInfo) -> bool:
        """See `Processes.stop`."""
        return self._signal(process, signal.SIGSTOP)

    def resume(self, process: ProcessInfo) -> bool:
        """See `Processes.resume`."""
        return self._signal(process, signal.SIGCONT)

    def kill_group(self, pid: int) -> None:
        """See `Processes.kill_group`."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)

    def _signal(self, process: ProcessInfo, number: signal.Signals) -> bool:
        # The start time guards against a pid that the kernel has given to somebody else since.
        now = self.describe(process.pid)
        if now is None or now.started != process.started:
            return False
        try:
            os.kill(process.pid, number)
        except ProcessLookupError:
            return False
        return True

    @staticmethod
    def _pids() -> list[int]:
        try:
            return [int(name) for name in os.listdir("/proc") if name.isdigit()]
        except OSError:
            return []

    def _ancestors(self) -> list[int]:
        """This process, its parent, and so on upwards."""
        found = [os.getpid()]
        while len(found) < CHAIN_LENGTH_MAX and (stat := self._stat(found[-1])) is not None:
            found.append(int(stat[_PARENT]))
        return found

    @staticmethod
    def _stat(pid: int, name: str = "stat") -> list[bytes] | None:
        try:
            # The command name in field 2 may hold spaces and parentheses; the fields after the last ")" are plain.
            fields = Path(f"/proc/{pid}", name).read_bytes().rpartition(b")")[2].split()
        except OSError:
            return None
        return fields if len(fields) > _STARTED else None

    @staticmethod
    def _holds(pid: int, wanted: os.stat_result, writing: bool) -> bool:
        try:
            with os.scandir(f"/proc/{pid}/fd") as entries:
                for entry in entries:
                    with contextlib.suppress(OSError):
                        stat = os.stat(entry.path)
                        if (stat.st_ino, stat.st_dev) != (wanted.st_ino, wanted.st_dev):
                            continue
                        if not writing or _opened_for_writing(pid, entry.name):
                            return True
        except OSError:
            return False
        return False


class SparingProcesses(SystemProcesses):
    """The same without one process, which must run on: this one waits for what it answers."""

    def __init__(self, spared: int) -> None:
        self._spared = spared

    def holders(self, path: Path, *, writing: bool = False) -> list[ProcessInfo]:
        """See `Processes.holders`."""
        return [one for one in super().holders(path, writing=writing) if one.pid != self._spared]

    def terminal_chain(self, process: ProcessInfo) -> list[ProcessInfo]:
        """See `Processes.terminal_chain`."""
        return [one for one in super().terminal_chain(process) if one.pid != self._spared]


def _opened_for_writing(pid: int, descriptor: str) -> bool:
    for line in Path(f"/proc/{pid}/fdinfo/{descriptor}").read_text().splitlines():
        if line.startswith("flags:"):
            return int(line.split()[1], 8) & os.O_ACCMODE != os.O_RDONLY
    return False
