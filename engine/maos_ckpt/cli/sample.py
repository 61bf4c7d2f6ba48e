"""The demo's own processes: a sample MAOS that keeps writing, and an incident that damages it."""

from __future__ import annotations

import contextlib
import importlib.util
import select
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO

from maos_ckpt.environment import child_environment
from maos_ckpt.errors import CkptError, UsageError

#: The first state is there well within this.
READY_S = 30.0
#: A sample whose demo was killed ends by itself.
SECONDS_MAX = 86_400
_STOP_S = 5.0
_STDERR_BYTES_MAX = 2000


def require_maos() -> None:
    """Raise `UsageError` where maos-cli is not installed."""
    if importlib.util.find_spec("maos") is None:
        raise UsageError(
            "The demo needs maos-cli, which is not installed.",
            kept="Nothing was started.",
            hint='Install it with `pip install "maos-ckpt[demo]"`.',
        )


class SampleMaos:
    """A sample MAOS in `directory`, in a process of its own."""

    def __init__(self, directory: Path, claude_home: Path, seconds: float | None) -> None:
        self._directory = directory
        self._claude_home = claude_home
        self._seconds = min(seconds + _STOP_S, SECONDS_MAX) if seconds else SECONDS_MAX
        self._process: subprocess.Popen[bytes] | None = None
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `stop`

    def start(self) -> None:
        """Start it; returns when its first state is there.

        Raises:
            CkptError: it ended, or took longer than `READY_S`.
        """
        self._process = subprocess.Popen(
            [*_python("sample"), *self._place(), "--seconds", f"{self._seconds:g}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            start_new_session=True,
            env=child_environment(),
        )
        assert self._process.stdout is not None
        readable, _, _ = select.select([self._process.stdout], [], [], READY_S)
        if not readable or self._process.stdout.readline() != b"ready\n":
            raise CkptError("The sample MAOS did not start.", kept="Nothing else was started.", hint=self._last_words())

    def incident(self) -> None:
        """Let an agent corrupt its tasks; what it does is printed nowhere: the console shows it."""
        subprocess.run(
            [*_python("incident"), *self._place()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=child_environment(),
            timeout=READY_S,
            check=False,
        )

    def _place(self) -> list[str]:
        return ["--dir", str(self._directory), "--claude-home", str(self._claude_home)]

    def _last_words(self) -> str:
        self._stderr.seek(0, 2)
        self._stderr.seek(max(self._stderr.tell() - _STDERR_BYTES_MAX, 0))
        return self._stderr.read().decode("utf-8", "replace").strip().rpartition("\n")[2] or "It said nothing."

    def stop(self) -> None:
        """End it; safe to call twice."""
        process = self._process
        if process is not None:
            process.terminate()
            # A recovery that failed may have left it standing still.
            with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
                process.wait(_STOP_S)
            if process.poll() is None:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()
        self._stderr.close()


def _python(module: str) -> list[str]:
    return [sys.executable, "-P", "-m", f"maos_ckpt.demo.{module}"]
