"""A swarm of agents that works when told to: maos-cli's own classes in a process of its own.

`python -m benchmarks.swarm DIR CLAUDE_HOME AGENTS` reads a number of calls a line, makes them, and answers with a JSON
line once they are done; a line `team` begins an orchestration with new agents. Between lines it writes nothing, with
the database held open as MAOS does.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

from maos_ckpt.demo.maos_access import open_persistence
from maos_ckpt.demo.recorder import Recorder
from maos_ckpt.demo.story import Story
from maos_ckpt.demo.team import TeamBuilder
from maos_ckpt.demo.workload import Pace, Workload


class Swarm:
    """The process, from outside."""

    def __init__(self, directory: Path, claude_home: Path, agents: int) -> None:
        command = [sys.executable, "-m", "benchmarks.swarm", str(directory), str(claude_home), str(agents)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.begin_team()

    def begin_team(self) -> None:
        """A new orchestration with agents, tasks and sessions of its own."""
        self._ask("team")

    def work(self, calls: int) -> None:
        """So many calls of MAOS, with the transcript lines that go with them."""
        self._ask(str(calls))

    def _ask(self, line: str) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(line, file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer or json.loads(answer)["errors"]:
            raise SystemExit(f"the swarm failed: {answer or self._process.wait()}")

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(20)
        self._process.stdout.close()


async def _serve(directory: Path, claude_home: Path, agents: int) -> None:
    maos = open_persistence(directory / "maos.db")
    await maos.initialize()
    # What is measured is not MAOS: its thousands of commits need not wait for the disk.
    await maos.execute_query("PRAGMA synchronous=OFF", [])
    story, recorder = Story("a day"), Recorder(None)
    builder = TeamBuilder(maos, recorder, story, claude_home, directory)
    loop = asyncio.get_running_loop()
    while line := (await loop.run_in_executor(None, sys.stdin.readline)).strip():
        if line == "team":
            team = await builder.create(agents)
            workload = Workload(maos, recorder, story, builder, team, Pace(1.0, 1, churn=False))
        else:
            for _ in range(int(line)):
                await workload.act(team.members)
        print(json.dumps({"writes": recorder.writes, "errors": recorder.errors}), flush=True)
    await maos.close()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))
