"""Programs of the operator's: run without a shell, for a bounded time, ended with all their children."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from maos_ckpt.environment import program_environment
from maos_ckpt.processes import Processes


def run_program(
    command: Sequence[str],
    directory: Path,
    within_s: float,
    processes: Processes,
    words_bytes_max: int,
    variables: Mapping[str, str] | None = None,
) -> tuple[str, str]:
    """What went wrong, "" where nothing did, and the end of what the program printed, untrusted.

    Args:
        variables: what it finds in its environment besides.
    """
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(
                command,
                cwd=directory,
                env=program_environment() | dict(variables or {}),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            return f"cannot be run: {getattr(error, 'strerror', None) or error}", ""
        with process:
            try:
                code = process.wait(within_s)
            except subprocess.TimeoutExpired:
                processes.kill_group(process.pid)
                return f"took longer than {within_s:g} s and was ended", ""
            except BaseException:
                processes.kill_group(process.pid)
                raise
        output.seek(max(0, output.seek(0, os.SEEK_END) - words_bytes_max))
        words = output.read().decode("utf-8", "replace").strip()
    if code == 0:
        return "", words
    return f"was ended by signal {-code}" if code < 0 else f"failed ({code})", words
