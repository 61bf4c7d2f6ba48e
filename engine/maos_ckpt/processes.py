"""The process seam: who holds a file open, and stopping and continuing them.

Linux only: `/proc` answers who has a file open. Where it is missing, `holders` is empty and recovery treats
the source as not running.
"""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ProcessInfo:
    """One process that holds a file open.

    `started` is field 22 of /proc/PID/stat (clock ticks since boot): with the pid it names a process uniquely.
    """

    pid: int
    started: int
    command: tuple[str, ...]
    directory: str


class Processes(Protocol):
    """What recovery asks of the operating system about processes."""

    def holders(self, path: Path) -> list[ProcessInfo]:
        """Processes other than this one that have the file at `path` open, by (device, inode)."""
        ...

    def describe(self, pid: int) -> ProcessInfo | None:
        """The process now behind `pid`, or None."""
        ...

    def matching(self, needle: str) -> list[ProcessInfo]:
        """Processes other than this one with `needle` inside one of their arguments."""
        ...

    def stop(self, process: ProcessInfo) -> bool:
        """SIGSTOP; False where that process is gone."""
        ...

    def resume(self, process: ProcessInfo) -> bool:
        """SIGCONT; False where that process is gone."""
        ...


class SystemProcesses:
    """`/proc` and signals."""

    def holders(self, path: Path) -> list[ProcessInfo]:
        """See `Processes.holders`."""
        try:
            wanted = os.stat(path)
        except OSError:
            return []
        found = []
        for pid in self._pids():
            if pid != os.getpid() and self._holds(pid, wanted.st_dev, wanted.st_ino):
                info = self.describe(pid)
                if info is not None:
                    found.append(info)
        return found

    def describe(self, pid: int) -> ProcessInfo | None:
        """See `Processes.describe`."""
        base = f"/proc/{pid}"
        try:
            # The command name in field 2 may hold spaces and parentheses; the fields after the last ")" are plain.
            stat = Path(base, "stat").read_bytes().rpartition(b")")[2].split()
            command = Path(base, "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        except (OSError, IndexError):
            return None
        directory = ""
        with contextlib.suppress(OSError):
            directory = os.readlink(f"{base}/cwd")
        return ProcessInfo(pid, int(stat[19]), tuple(part.decode("utf-8", "replace") for part in command), directory)

    def matching(self, needle: str) -> list[ProcessInfo]:
        """See `Processes.matching`."""
        infos = (self.describe(pid) for pid in self._pids() if pid != os.getpid())
        return [info for info in infos if info and any(needle in part for part in info.command)]

    def stop(self, process: ProcessInfo) -> bool:
        """See `Processes.stop`."""
        return self._signal(process, signal.SIGSTOP)

    def resume(self, process: ProcessInfo) -> bool:
        """See `Processes.resume`."""
        return self._signal(process, signal.SIGCONT)

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

    @staticmethod
    def _holds(pid: int, device: int, inode: int) -> bool:
        try:
            with os.scandir(f"/proc/{pid}/fd") as entries:
                for entry in entries:
                    with contextlib.suppress(OSError):
                        stat = os.stat(entry.path)
                        if stat.st_ino == inode and stat.st_dev == device:
                            return True
        except OSError:
            return False
        return False
