"""A process that recovers and is killed (SIGKILL) at a chosen point: behind a step, or around a system call."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from maos_ckpt.config import Config
from maos_ckpt.fs import SystemFilesystem
from maos_ckpt.model import Selection, Trigger
from maos_ckpt.operations import checkpoints, recoveries
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.seams import SYSTEM

#: A server that has imported this module forks each process: no interpreter start for each kill.
_PROCESSES: Final = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["tests.recovery.killed"])
TIMEOUT_S: Final = 60.0
#: Points that are no steps: before and behind the moment at which a new database gets its name, and before one at which
#: a file does.
BEFORE_PUBLISHED: Final = "before published"
PUBLISHED: Final = "published"
BEFORE_RENAMED: Final = "before renamed"


@dataclass
class KillAt:
    """Ends this process when a step is reached for the `number`th time."""

    step: str
    number: int = 1

    def reached(self, step: str) -> None:
        if step == self.step:
            self.number -= 1
            if not self.number:
                _die()


class _KillingFilesystem(SystemFilesystem):
    def __init__(self, database: Path, point: str) -> None:
        self._database, self._point = database, point

    def publish(self, temporary: Path, final: Path, *, replace: bool) -> bool:
        if final == self._database and self._point == BEFORE_PUBLISHED:
            _die()
        done = super().publish(temporary, final, replace=replace)
        if final == self._database and self._point == PUBLISHED:
            _die()
        return done


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _dying_rename(rename: Callable[..., None]) -> Callable[..., None]:
    def renamed(source: Any, target: Any, **others: Any) -> None:
        if bytes(os.fsencode(source)).startswith(b".ckpt-"):
            _die()
        rename(source, target, **others)

    return renamed


def _run(place: tuple[Path, str, Path, Config], operation: str, name: str, selection: Selection, kill: KillAt) -> None:
    logging.disable()
    repository, source, claude_home, config = place
    workspace = Workspace(repository, source, claude_home, config, SYSTEM)
    seams = replace(SYSTEM, steps=kill)
    if kill.step in (BEFORE_PUBLISHED, PUBLISHED):
        assert workspace.database is not None
        seams = replace(seams, fs=_KillingFilesystem(workspace.database, kill.step))
    if kill.step == BEFORE_RENAMED:
        os.rename = _dying_rename(os.rename)
    workspace = replace(workspace, seams=seams)
    if operation == "restore":
        recoveries.recover(workspace, name, selection, None, "killed", 0, lambda step: None)
    elif operation == "undo":
        recoveries.undo(workspace, None, "killed", 0, lambda step: None)
    else:
        checkpoints.save(workspace, Trigger.MANUAL, "", (), lambda step: None)
    sys.exit(0)


def run_killed(
    workspace: Workspace,
    operation: str,
    kill: KillAt,
    name: str = "latest",
    selection: Selection | None = None,
    after_s: float | None = None,
) -> bool:
    """Carry out `restore`, `undo` or `save` in a process of its own; whether it was killed at that point.

    Args:
        after_s: kill it after this time, wherever it is by then.
    """
    place = (workspace.repository, workspace.source, workspace.claude_home, workspace.config)
    process = _PROCESSES.Process(target=_run, args=(place, operation, name, selection or Selection(), kill))
    process.start()
    if after_s is not None:
        process.join(after_s)
        process.kill()
    process.join(TIMEOUT_S)
    code = process.exitcode
    process.close()
    assert code in (0, -signal.SIGKILL), f"the process ended with {code}"
    return code != 0
