"""The process seam of whoever works on a copy: it sees nobody, so it can stop nobody.

A copy holds the same sessions as the live system. Whoever looked for the processes behind them would find the living
ones, and leave transcripts alone or hold a MAOS still that has nothing to do with the copy.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from maos_ckpt.processes import OpenFile, ProcessInfo, Standing
from maos_ckpt.seams import Seams


class NoProcesses:
    """See `Processes`; nobody is there, and no signal is ever sent."""

    def holders(self, path: Path, *, writing: bool = False) -> list[ProcessInfo]:
        """Nobody."""
        return []

    def writers_below(self, directory: Path) -> dict[str, ProcessInfo]:
        """Nobody."""
        return {}

    def describe(self, pid: int) -> ProcessInfo | None:
        """Nobody."""
        return None

    def matching(self, needle: str) -> list[ProcessInfo]:
        """Nobody."""
        return []

    def every(self) -> list[ProcessInfo]:
        """Nobody."""
        return []

    def standing(self, pid: int) -> Standing | None:
        """Nobody's."""
        return None

    def open_files(self, process: ProcessInfo) -> list[OpenFile] | None:
        """None that can be seen."""
        return None

    def started_ms(self, process: ProcessInfo) -> int:
        """Never."""
        return 0

    def terminal_chain(self, process: ProcessInfo) -> list[ProcessInfo]:
        """Nobody."""
        return []

    def is_stopped(self, process: ProcessInfo) -> bool:
        """Gone."""
        return True

    def stop(self, process: ProcessInfo) -> bool:
        """Refused."""
        return False

    def resume(self, process: ProcessInfo) -> bool:
        """Refused."""
        return False

    def kill_group(self, pid: int) -> None:
        """Refused."""


def quiet(seams: Seams) -> Seams:
    """The same seams, without processes."""
    return dataclasses.replace(seams, processes=NoProcesses())
