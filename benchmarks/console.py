"""The console in a real pseudo-terminal: first paint, key to paint at rest and during a save, cost at rest.

`python -m benchmarks.console [--mb 500] [--size 120x40]`. A key is answered when the first byte of the change arrives.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

from maos_ckpt.environment import child_environment
from tests.lab.build import build_state
from tests.lab.mutate import mutate

MB = 1_000_000


class Terminal:
    """A console on a pseudo-terminal."""

    def __init__(self, arguments: list[str], columns: int, rows: int, home: Path) -> None:
        environment = child_environment() | {"TERM": "xterm-256color", "HOME": str(home), "COLORTERM": "truecolor"}
        self.started_s = time.perf_counter()
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            command = [sys.executable, "-m", "maos_ckpt_tui", *arguments]
            os.execve(sys.executable, command, environment)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, timeout_s: float) -> bytes:
        """What has been painted, waiting at most so long for the first byte."""
        if not select.select([self.fd], [], [], timeout_s)[0]:
            return b""
        with contextlib.suppress(OSError):
            return os.read(self.fd, 1 << 16)
        return b""

    def wait_for(self, text: bytes, timeout_s: float) -> float:
        """Seconds until `text` was painted."""
        seen = b""
        began_s = time.perf_counter()
        while text not in seen:
            if time.perf_counter() - began_s > timeout_s:
                raise SystemExit(f"{text!r} was not painted within {timeout_s} s")
            seen = seen[-65536:] + self.read(0.05)
        return time.perf_counter() - self.started_s

    def quiet(self, for_s: float) -> None:
        """Read until nothing was painted for so long."""
        while self.read(for_s):
            pass

    def key(self, key: bytes, timeout_s: float = 5.0) -> float:
        """Seconds from a key to the first byte painted."""
        self.quiet(0.02)
        began_s = time.perf_counter()
        os.write(self.fd, key)
        if not self.read(timeout_s):
            raise SystemExit(f"the key {key!r} was not answered")
        return time.perf_counter() - began_s

    def close(self) -> None:
        """End it."""
        os.kill(self.pid, signal.SIGTERM)
        deadline_s = time.perf_counter() + 30
        while time.perf_counter() < deadline_s and os.waitpid(self.pid, os.WNOHANG) == (0, 0):
            self.read(0.05)


def keys(terminal: Terminal, number: int) -> list[float]:
    """Open and close the help, again and again."""
    taken = []
    while len(taken) < number:
        taken.append(terminal.key(b"?"))
        taken.append(terminal.key(b"?"))
        time.sleep(0.01)
    return taken


def cursor(terminal: Terminal, until: float) -> list[float]:
    """Move the cursor in the list of checkpoints down and up."""
    taken = []
    while time.perf_counter() < until:
        taken += [terminal.key(b"j"), terminal.key(b"k")]
    return taken


def percentiles(values: list[float]) -> str:
    """Median, 99th percentile and longest, in milliseconds."""
    ordered = sorted(values)
    at = [ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))], ordered[-1]]
    return " / ".join(f"{one * 1000:.0f}" for one in at) + f" ms (median / p99 / max of {len(ordered)})"


def cpu_s(pid: int) -> float:
    """Processor time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mb", type=int, default=500)
    parser.add_argument("--size", default="120x40")
    arguments = parser.parse_args()
    columns, rows = map(int, arguments.size.split("x"))
    with tempfile.TemporaryDirectory() as folder:
        small, large, home = Path(folder, "small"), Path(folder, "large"), Path(folder, "home")
        home.mkdir()
        build_state(small, home, 1 * MB, seed=1)
        build_state(large, home, arguments.mb * MB, seed=2)
        options = ["--source", f"maos:{small}", "--claude-home", str(home)]
        paints = []
        for _ in range(5):
            terminal = Terminal(options, columns, rows, home)
            paints.append(terminal.wait_for(b"maos-ckpt", 10))
            terminal.quiet(0.5)
            terminal.close()
        print(f"first paint at {arguments.size}: {min(paints):.2f} s best, {sorted(paints)[2]:.2f} s median of 5")
        terminal = Terminal(options, columns, rows, home)
        terminal.wait_for(b"SAFE", 15)
        terminal.quiet(1.0)
        print(f"help opened and closed at rest: {percentiles(keys(terminal, 100))}")
        began_s, began_cpu_s, painted = time.perf_counter(), cpu_s(terminal.pid), 0
        while time.perf_counter() - began_s < 15:
            painted += len(terminal.read(0.5))
        share = (cpu_s(terminal.pid) - began_cpu_s) / (time.perf_counter() - began_s)
        print(f"at rest: {share:.2%} of a processor, {painted / 15 / 1000:.2f} kB/s")
        terminal.close()
        options = ["--source", f"maos:{large}", "--claude-home", str(home)]
        for _ in range(2):
            command = [sys.executable, "-m", "maos_ckpt_tui", "save", *options]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=child_environment())
        taken = []
        for seed in range(4):
            mutate(large, 0.2, seed)
            terminal = Terminal(options, columns, rows, home)
            terminal.wait_for(b"SAFE", 10)
            os.write(terminal.fd, b"c")
            terminal.quiet(0.2)
            os.write(terminal.fd, b"\r")
            time.sleep(0.3)
            taken += cursor(terminal, until=time.perf_counter() + 2.5)
            terminal.close()
        print(f"key to paint during a save of {arguments.mb} MB, a fifth of it changed: {percentiles(taken)}")


if __name__ == "__main__":
    main()
