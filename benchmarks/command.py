"""Running the command line and measuring it from outside: wall time, processor time, peak memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Measured:
    """One command: seconds of wall and processor time, peak resident bytes of its largest process, its JSON."""

    wall_s: float
    cpu_s: float
    peak_bytes: int
    result: dict


@dataclass(frozen=True)
class Commands:
    """Commands on one source and repository."""

    source: str
    repository: Path
    claude_home: Path

    def run(self, *arguments: str, check: bool = True) -> Measured:
        command = [sys.executable, "-m", "maos_ckpt_tui", *arguments]
        command += ["--source", self.source, "--repo", str(self.repository), "--claude-home", str(self.claude_home)]
        command += ["--json"]
        started_s = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stderr is not None
        output = process.stdout.read()
        errors = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - started_s
        process.returncode = os.waitstatus_to_exitcode(status)
        if check and process.returncode:
            said = (errors[-2000:] + output[-2000:]).decode()
            raise SystemExit(f"{' '.join(command)} ended with {process.returncode}: {said}")
        result = json.loads(output) if output.strip() else {}
        return Measured(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, result)
