"""A real terminal for tests: a program under a pseudo-terminal, its raw output, and what became of it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
_READ_BYTES = 65536

#: What a terminal must have been told by the time the program is gone.
RESTORED = ("\x1b[?1049l", "\x1b[?25h", "\x1b[?2004l")
MOUSE_MODES = ("\x1b[?1000", "\x1b[?1003", "\x1b[?1006", "\x1b[?1015")


def strip(text: str) -> str:
    """A terminal's output without escape sequences."""
    return re.sub(r"\x1b\[[0-9;?<>=]*[ -/]*[@-~]|\x1b\][^\x07]*\x07|\x1b[=>()][A-Z0-9]?", "", text)


class Terminal:
    """One program under a pty of `columns` x `rows`; use as a context manager."""

    def __init__(
        self, arguments: list[str], columns: int = 80, rows: int = 24, cwd: Path = ROOT, **environment: str
    ) -> None:
        self.output = b""
        self.started_s = time.monotonic()
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            base = {"TERM": "xterm-256color", "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": os.environ["HOME"]}
            base["PYTHONPATH"] = f"{ROOT / 'engine'}:{ROOT}"
            os.execve(sys.executable, [sys.executable, *arguments], {**base, **environment})
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.status: int | None = None

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        if self.status is None and not self.wait(0.0):
            os.kill(self.pid, signal.SIGKILL)
            self.wait(5.0)
        self.hang_up()

    @property
    def text(self) -> str:
        return self.output.decode("utf-8", "replace")

    @property
    def words(self) -> str:
        """The output without escape sequences; in the order of writing, which is not that of the screen."""
        return strip(self.text)

    def pump(self, seconds: float) -> None:
        """Read whatever comes within this time."""
        end_s = time.monotonic() + seconds
        while self._fd >= 0 and (left := end_s - time.monotonic()) > 0:
            ready, _, _ = select.select([self._fd], [], [], left)
            if ready and not self._read():
                return

    def _read(self) -> bool:
        try:
            data = os.read(self._fd, _READ_BYTES)
        except OSError:
            return False
        self.output += data
        return bool(data)

    def first_byte(self, timeout_s: float) -> bool:
        """Read once, as soon as something comes; whether anything did within this time."""
        return bool(select.select([self._fd], [], [], timeout_s)[0]) and self._read()

    def until(self, wanted: str, timeout_s: float = 10.0) -> float:
        """Read until `wanted` stands in the output; returns the seconds since the start."""
        end_s = time.monotonic() + timeout_s
        while wanted not in self.words:
            assert time.monotonic() < end_s, f"{wanted!r} never came; the screen said:\n{self.words[-3000:]}"
            self.pump(0.02)
        return time.monotonic() - self.started_s

    def type(self, keys: str) -> None:
        os.write(self._fd, keys.encode())

    def resize(self, columns: int, rows: int) -> None:
        """Another size; the program is told by SIGWINCH."""
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def hang_up(self) -> None:
        """Close the terminal, as a dropped connection does."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def wait(self, timeout_s: float) -> bool:
        """Read until the program has ended; `status` holds its wait status then."""
        end_s = time.monotonic() + timeout_s
        while self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = status
            elif time.monotonic() > end_s:
                return False
            elif self._fd >= 0:
                self.pump(0.02)
            else:
                time.sleep(0.02)
        self.pump(0.05)
        return True

    @property
    def exit_code(self) -> int:
        assert self.status is not None
        return os.waitstatus_to_exitcode(self.status)

    def cpu_s(self) -> float:
        """Processor time of the program so far."""
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return 0.0
