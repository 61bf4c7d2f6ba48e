"""Running a program that a configuration names: without a shell, with all its children, within a time."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from maos_ckpt.processes import Processes
from maos_ckpt.safe_text import safe_text

#: What is told of a command's own words.
_WORDS_MAX: Final = 500


def run_command(command: Sequence[str], directory: Path, within_s: float, processes: Processes) -> str:
    """Run a command with all its children; what went wrong, or ""."""
    with tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(
                command,
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
            )
        except OSError as error:
            return f"cannot be run: {os.strerror(error.errno or 0)}"
        with process:
            try:
                code = process.wait(within_s)
            except subprocess.TimeoutExpired:
                processes.kill_group(process.pid)
                return f"took longer than {within_s:g} s and was ended"
        if code == 0:
            return ""
        errors.seek(max(0, errors.seek(0, os.SEEK_END) - _WORDS_MAX))
        words = safe_text(errors.read().decode("utf-8", "replace").strip())
    how = f"was ended by signal {-code}" if code < 0 else f"failed ({code})"
    return f"{how}: {words}" if words else how
