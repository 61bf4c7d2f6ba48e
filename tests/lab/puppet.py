"""A MAOS on strings: a process that keeps `maos.db` open as MAOS does and makes exactly the calls it is told to.

`python -m tests.lab.puppet DIR CLAUDE_HOME` reads one JSON object a line, `{"call": NAME, "arguments": [...]}`, calls
that method of maos-cli's SqlitePersistence (or `transcript`, which appends turns), and answers with a JSON line.
Between calls it writes nothing, so a test can compare states exactly while the database is held open.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from maos_ckpt.demo.transcripts import TranscriptWriter, transcript_path
from tests.lab.writers import SOURCE_ROOT


class PuppetMaos:
    """The process, from outside."""

    def __init__(self, directory: Path, claude_home: Path) -> None:
        self.directory = directory
        self.claude_home = claude_home

    def __enter__(self) -> PuppetMaos:
        root = Path(__file__).parents[2]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(SOURCE_ROOT), str(root)))}
        command = [sys.executable, "-m", "tests.lab.puppet", str(self.directory), str(self.claude_home)]
        self._process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.pid = self._process.pid
        self.call("ready")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(20)
        self._process.stdout.close()

    def call(self, name: str, *arguments: object) -> object:
        """One call; raises `RuntimeError` with what the call raised."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"call": name, "arguments": arguments}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["result"]

    def say(self, session: str, *turns: str) -> None:
        """Append turns to a session's transcript."""
        self.call("transcript", session, *turns)

    def transcript(self, session: str) -> Path:
        """Where a session's transcript lies."""
        return transcript_path(self.claude_home, str(self.directory), session)


async def _serve(directory: Path, claude_home: Path) -> None:
    import logging

    logging.disable(logging.CRITICAL)
    from maos.interfaces.sqlite_persistence import SqlitePersistence

    maos = SqlitePersistence(str(directory / "maos.db"))
    await maos.initialize()
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        request = json.loads(line)
        answer: dict[str, object]
        try:
            answer = {"result": await _call(maos, directory, claude_home, request["call"], request["arguments"])}
        except Exception as error:  # noqa: BLE001 - whatever MAOS raises is the test's to judge
            answer = {"error": repr(error)}
        print(json.dumps(answer, default=str), flush=True)
    await maos.close()


async def _call(maos: object, directory: Path, claude_home: Path, name: str, arguments: Sequence[object]) -> object:
    if name == "ready":
        return None
    if name == "transcript":
        session, *turns = map(str, arguments)
        writer = TranscriptWriter(claude_home, str(directory), session, rng=random.Random(session + turns[0]))
        for number, turn in enumerate(turns):
            if number % 2:
                writer.append_assistant(turn)
            else:
                writer.append_user(turn)
        return None
    return await getattr(maos, name)(*arguments)


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), Path(sys.argv[2])))
