"""Stopping the processes that write to a file, and continuing them: nobody is left stopped or loses a terminal."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

from maos_ckpt.errors import PermissionRefusedError, SourceError
from maos_ckpt.processes import ProcessInfo
from maos_ckpt.seams import Seams
from maos_ckpt.sources.sqlite.faults import describe_process
from maos_ckpt.sources.sqlite.guardian import Guardian

#: How long a signalled process may take to stand still; one in an fsync takes as long as the disk.
STOP_S_MAX: Final = 0.5
_STOP_POLL_S: Final = 0.0002


class Pause:
    """The writers of one file, stopped and continued as one.

    Whoever would notice a stop (the shell and the terminal of an interactive MAOS, see `Processes.terminal_chain`) is
    stopped before them and continued after them. `stopped`: the writers found by the last `scan`. `standing`: writers
    that somebody else has stopped; they are left alone. `longest_s`: the longest time between `stop` and `resume`.
    """

    def __init__(self, path: Path, seams: Seams) -> None:
        self._path = path
        self._seams = seams
        self._order: list[ProcessInfo] = []
        self._began_s: float | None = None
        self.guardian: Guardian | None = None
        self.stopped: tuple[ProcessInfo, ...] = ()
        self.standing: tuple[ProcessInfo, ...] = ()
        self.longest_s = 0.0

    def scan(self) -> None:
        """Find out whom to stop, and have a guardian where that is anybody. Nobody may be stopped at this time.

        Raises:
            SourceError: the guardian cannot be started.
        """
        processes = self._seams.processes
        writers = processes.holders(self._path, writing=True)
        self.standing = tuple(one for one in writers if processes.is_stopped(one))
        self.stopped = tuple(one for one in writers if one not in self.standing)
        keepers = [keeper for one in self.stopped for keeper in processes.terminal_chain(one)]
        first = [one for one in keepers if one not in self.stopped and not processes.is_stopped(one)]
        self._order = list(dict.fromkeys([*first, *self.stopped]))
        if self.stopped and self.guardian is None:
            self.guardian = Guardian.start()

    def stop(self) -> bool:
        """Stop all; False where one did not stand still in time. Follow it with `resume` in either case.

        Raises:
            PermissionRefusedError: a writer belongs to another user.
            SourceError: the guardian is gone.
        """
        if not self._order:
            return True
        assert self.guardian is not None
        self.guardian.watch(self._order[::-1])
        self._began_s = self._seams.clock.monotonic_s()
        for process in self._order:
            try:
                self._seams.processes.stop(process)
            except PermissionError as error:
                if process in self.stopped:
                    raise _may_not_signal(process) from error
                # Another user's terminal or shell: it will notice the stop, which beats not recovering at all.
                continue
            if not self._stands(process):
                return False
        return True

    def resume(self) -> None:
        """Continue all, the writers first; safe to call twice."""
        if self._began_s is None:
            return
        for process in reversed(self._order):
            with contextlib.suppress(PermissionError):
                self._seams.processes.resume(process)
        self.longest_s = max(self.longest_s, self._seams.clock.monotonic_s() - self._began_s)
        self._began_s = None
        assert self.guardian is not None
        # That the guardian is gone does no harm now: nobody is stopped any more.
        with contextlib.suppress(SourceError):
            self.guardian.watch(())

    def close(self) -> None:
        """Continue whoever is still stopped, and let the guardian go."""
        self.resume()
        if self.guardian is not None:
            self.guardian.close()

    def _stands(self, process: ProcessInfo) -> bool:
        until = self._seams.clock.monotonic_s() + STOP_S_MAX
        while not self._seams.processes.is_stopped(process):
            if self._seams.clock.monotonic_s() > until:
                return False
            self._seams.clock.sleep(_STOP_POLL_S)
        return True


def _may_not_signal(process: ProcessInfo) -> PermissionRefusedError:
    return PermissionRefusedError(
        f"{describe_process(process)} has the database open and belongs to another user, so it cannot be stopped.",
        kept="Nothing was changed and nothing is left stopped.",
        hint="Run as the user who runs MAOS, or end MAOS first.",
        pid=process.pid,
    )
