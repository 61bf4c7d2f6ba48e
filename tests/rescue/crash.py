"""A MAOS that is killed in the middle of its work: real maos-cli 0.9.4 with its orchestrator, decomposer, message bus
and auto-save, which start the stand-in for `claude`.

`python -m tests.rescue.crash REQUEST` is that MAOS; `CrashedMaos` starts and kills it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from maos_ckpt.sources.maos.layout import Layout

ROOT = Path(__file__).parents[2]
READY_S = 30.0
#: MAOS saves every 30 s; its clock runs this much faster here.
HASTE = 60.0
#: Agents of a batch.
WORKING = 3
REQUEST = "make the calculator good again, whatever it takes"
TASKS = ("explain the calculator", "secure the calculator", "test the calculator", "document the calculator")


class CrashedMaos:
    """A MAOS in `folder`/work with `len(TASKS)` agents, in two batches; the first batch works when it is killed."""

    def __init__(self, folder: Path) -> None:
        for name in ("work", "claude", "bin"):
            (folder / name).mkdir()
        self.layout = Layout.of(folder / "work", folder / "claude", folder)
        self.database = self.layout.database
        program = folder / "bin" / "claude"
        program.write_text(f"#!{sys.executable} -S\n" + (ROOT / "tests/rescue/stand_in.py").read_text())
        program.chmod(0o755)
        self._environment = os.environ | {
            "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join((str(ROOT / "engine"), str(ROOT))),
            "CLAUDE_CONFIG_DIR": str(self.layout.claude_home),
            "TASKS": "|".join(TASKS),
        }
        self.log = folder / "log"
        self.pid = 0

    def start(self) -> None:
        """Start it, and wait until its first batch works and it has saved."""
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.rescue.crash", REQUEST],
                cwd=self.layout.directory,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.pid = self._process.pid
        ends = time.monotonic() + READY_S
        while len(self.agents_pids) < WORKING or b"Auto-checkpoint created" not in self.log.read_bytes():
            assert self._process.poll() is None, self.log.read_text()
            assert time.monotonic() < ends, self.log.read_text()
            time.sleep(0.02)

    def kill(self) -> None:
        """SIGKILL, as the kernel does where memory runs out."""
        self._process.kill()
        self._process.wait()

    @property
    def agents_pids(self) -> list[int]:
        """The agents' processes that were started."""
        folder = self.layout.claude_home / "pids"
        return sorted(int(one.name) for one in folder.iterdir()) if folder.is_dir() else []

    @property
    def orchestration(self) -> str:
        """The beginning of the orchestration's id, as MAOS showed it."""
        found = re.search(r"Orchestration ID: ([0-9a-f]{8})", self.log.read_text())
        assert found is not None
        return found[1]

    def end_agents(self) -> None:
        """End the agents' processes, which outlive their MAOS."""
        for pid in self.agents_pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        ends = time.monotonic() + READY_S
        while any(Path(f"/proc/{pid}/cmdline").exists() for pid in self._left()):
            assert time.monotonic() < ends
            time.sleep(0.02)

    def _left(self) -> list[int]:
        found = []
        for pid in self.agents_pids:
            with contextlib.suppress(OSError):
                if b"claude" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    found.append(pid)
        return found

    def close(self) -> None:
        """Leave no process behind."""
        if self.pid and self._process.poll() is None:
            self.kill()
        self.end_agents()


async def _work(request: str) -> None:
    import logging

    from maos.core.orchestrator_v7 import OrchestratorV7
    from maos.interfaces.sqlite_persistence import SqlitePersistence

    logging.basicConfig(level=logging.INFO)
    sleep = asyncio.sleep
    asyncio.sleep = lambda seconds, result=None: sleep(seconds / HASTE, result)
    persistence = SqlitePersistence("./maos.db")
    await persistence.initialize()
    await OrchestratorV7(persistence).orchestrate(request, auto_approve=True)


if __name__ == "__main__":
    asyncio.run(_work(sys.argv[1]))
