"""A live MAOS for tests: the demo's sample in a process of its own."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Final

import maos_ckpt.demo

SOURCE_ROOT: Final = Path(maos_ckpt.demo.__file__).parents[2]
READY_S: Final = 20.0  # 0.6 s on a quiet machine
STOP_S: Final = 20.0
MAX_LIFE_S: Final = 900.0  # should the test process be killed, its MAOS does not outlive it for long


class LiveMaosError(Exception):
    """The sample did not start, or ended before it was told to; the text holds what it wrote to stderr."""


class LiveMaos:
    """Starts a sample MAOS in `directory` and waits until it writes; stops it at the end of the `with` block.

    Its report and operation log stand in a temporary folder outside of `directory` that goes with the block.
    """

    def __init__(
        self,
        directory: Path | str,
        claude_home: Path | str,
        *,
        rate_per_s: float = 50.0,
        concurrency: int = 8,
        agents: int = 12,
        seed: int = 1,
        churn: bool = False,
    ) -> None:
        self.directory = Path(directory)
        self.claude_home = Path(claude_home)
        self.ready_after_s = 0.0
        self.report: dict[str, object] | None = None
        self._arguments = [
            "--dir",
            str(directory),
            "--claude-home",
            str(claude_home),
            "--rate",
            str(rate_per_s),
            "--concurrency",
            str(concurrency),
            "--agents",
            str(agents),
            "--seed",
            str(seed),
            "--seconds",
            str(MAX_LIFE_S),
        ] + (["--churn"] if churn else [])
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def database(self) -> Path:
        """The database it writes to."""
        return self.directory / "maos.db"

    @property
    def pid(self) -> int:
        """The process id; RuntimeError when it was not started."""
        return self._running().pid

    def __enter__(self) -> LiveMaos:
        self._scratch = tempfile.TemporaryDirectory(prefix="live-maos-")
        environment = os.environ | {"PYTHONPATH": str(SOURCE_ROOT)}
        command = [
            sys.executable,
            "-m",
            "maos_ckpt.demo.sample",
            *self._arguments,
            "--report",
            str(self._file("report.json")),
            "--oplog",
            str(self._file("oplog.jsonl")),
        ]
        began_s = time.monotonic()
        with self._file("stderr").open("wb") as stderr:
            self._process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=stderr)
        if _line_within(self._process.stdout, READY_S) != b"ready\n":
            text = self._end_now()
            self._scratch.cleanup()
            raise LiveMaosError(f"the sample MAOS did not get ready: {text}")
        self.ready_after_s = time.monotonic() - began_s
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self.report is None and kind is None:
                self.stop()
        finally:
            self._end_now()
            if self._scratch:
                self._scratch.cleanup()

    def stop(self) -> dict[str, object]:
        """Ends it cleanly and returns its report; a second call returns the same report."""
        if self.report is None:
            process = self._running()
            if process.poll() is not None:
                raise LiveMaosError(
                    f"the sample MAOS ended by itself with code {process.returncode}: {self._end_now()}"
                )
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGCONT)  # a test may have stopped it
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                raise LiveMaosError(f"the sample MAOS did not end within {STOP_S:g} s: {self._end_now()}") from None
            self.report = json.loads(self._file("report.json").read_text(encoding="utf-8"))
        return self.report

    def oplog(self) -> list[dict[str, object]]:
        """The calls completed so far, oldest first."""
        data = self._file("oplog.jsonl").read_bytes()
        complete = data[: data.rfind(b"\n") + 1]
        return [json.loads(line) for line in complete.splitlines()]

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("the sample MAOS was not started: use it in a with block")
        return self._process

    def _file(self, name: str) -> Path:
        if self._scratch is None:
            raise RuntimeError("the sample MAOS was not started: use it in a with block")
        return Path(self._scratch.name) / name

    def _end_now(self) -> str:
        process = self._running()
        if process.poll() is None:
            process.kill()
            process.wait(STOP_S)
        if process.stdout:
            process.stdout.close()
        return self._file("stderr").read_text(encoding="utf-8", errors="replace").strip()


def _line_within(stream: IO[bytes] | None, timeout_s: float) -> bytes:
    """The first line of `stream`, or what there is when time is up or the stream ends."""
    if stream is None:
        return b""
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        return stream.readline() if selector.select(timeout_s) else b""
