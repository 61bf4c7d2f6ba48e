"""Running a program of the operator's: without a shell, within a time, ended with all its children."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from maos_ckpt.environment import program_environment
from maos_ckpt.processes import Processes
from maos_ckpt.safe_text import safe_text

#: What is told of a program's own words where nothing else is asked for.
_WORDS_BYTES_MAX: Final = 500


def run_program(
    command: Sequence[str],
    directory: Path,
    within_s: float,
    processes: Processes,
    *,
    given: bytes = b"",
    environment: Mapping[str, str] | None = None,
    words_bytes_max: int = _WORDS_BYTES_MAX,
) -> tuple[str, str]:
    """What went wrong, "" where nothing did, and the end of what the program printed, untrusted.

    Args:
        given: what it can read from its standard input.
        environment: all of its variables; None for this process's own without what was read as a secret.
    """
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as told:
        told.write(given)
        told.seek(0)
        try:
            process = subprocess.Popen(
                command,
                cwd=directory,
                env=program_environment() if environment is None else environment,
                stdin=told,
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


def run_command(
    command: Sequence[str],
    directory: Path,
    within_s: float,
    processes: Processes,
    *,
    given: bytes = b"",
    environment: Mapping[str, str] | None = None,
) -> str:
    """As `run_program`; what went wrong and what the program said to it, or ""."""
    failed, words = run_program(command, directory, within_s, processes, given=given, environment=environment)
    return f"{failed}: {safe_text(words)}" if failed and words else failed
