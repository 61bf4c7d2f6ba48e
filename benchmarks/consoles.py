"""Consoles attached to one headless engine at once: `python -m benchmarks.consoles [--consoles 50] [--seconds 30]`.

Each does what a console does: it follows the events, reads status, checkpoints and journal after each, and the status
every five seconds. Measured: how late events arrive (from the time that they bear), how long a call takes, what the
engine takes of memory and processor, and whether its saves take longer for it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from maos_ckpt.api.address import unix_address
from maos_ckpt.api.remote import RemoteClient
from maos_ckpt.errors import CkptError
from maos_ckpt.events import CheckpointCreated, ConnectionLost, Event, OperationProgressed
from maos_ckpt_tui.looks import PROGRESS_INTERVAL_S
from maos_ckpt_tui.refresher import COALESCE_S, EVENTS_MAX, POLL_INTERVAL_S
from tests.lab.mutate import mutate
from tests.remote.headless import Headless, headless

#: Consoles that share a process, to leave the machine some of its memory.
PER_PROCESS = 10
INTERVAL_S = 2.0


class Attached:
    """One console without a screen."""

    def __init__(self, socket: Path) -> None:
        self.client = RemoteClient(unix_address(socket))
        self.late_ms: list[float] = []
        self.call_ms: list[float] = []
        self.progress = 0
        self.lost = 0
        self.errors: list[str] = []
        self._news = threading.Event()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def start(self) -> float:
        """Attach; returns the seconds until the first status was there."""
        began_s = time.perf_counter()
        self.client.subscribe(self._hear)
        self.client.start()
        self.client.status()
        self._thread.start()
        return time.perf_counter() - began_s

    def _hear(self, event: Event) -> None:
        if isinstance(event, OperationProgressed):
            self.progress += 1
            return
        if isinstance(event, ConnectionLost):
            self.lost += 1
        elif isinstance(event, CheckpointCreated):
            self.late_ms.append(time.time() * 1000 - event.at_ms)
        self._news.set()

    def _read(self) -> None:
        while not self._end.is_set():
            news = self._news.wait(POLL_INTERVAL_S)
            self._news.clear()
            time.sleep(COALESCE_S)
            try:
                self._timed(self.client.status)
                if news:
                    self._timed(lambda: self.client.checkpoints(500))
                    self._timed(lambda: self.client.recent_events(EVENTS_MAX))
            except CkptError as error:
                if not self._end.is_set():
                    self.errors.append(error.message)

    def _timed(self, call: object) -> None:
        began_s = time.perf_counter()
        call()  # type: ignore[operator]
        self.call_ms.append((time.perf_counter() - began_s) * 1000)

    def stop(self) -> None:
        self._end.set()
        self.client.close(2.0)


def attach_some(socket: Path, number: int, seconds: float) -> None:
    """A process of consoles; prints what they measured."""
    consoles = [Attached(socket) for _ in range(number)]
    starts_s = [one.start() for one in consoles]
    time.sleep(seconds)
    for one in consoles:
        one.stop()
    print(
        json.dumps(
            {
                "starts_s": starts_s,
                "late_ms": [ms for one in consoles for ms in one.late_ms],
                "call_ms": [ms for one in consoles for ms in one.call_ms],
                "events": [len(one.late_ms) for one in consoles],
                "progress": sum(one.progress for one in consoles),
                "lost": sum(one.lost for one in consoles),
                "errors": [error for one in consoles for error in one.errors],
            }
        )
    )


def resident_bytes(pid: int) -> int:
    fields = Path(f"/proc/{pid}/status").read_text(encoding="ascii").split("VmRSS:")[1]
    return int(fields.split()[0]) * 1024


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else float("nan")


class Change:
    """Changes rows every second, so that there is something to save."""

    def __init__(self, engine: Headless) -> None:
        self._directory = engine.database.parent
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        seed = 0
        while not self._end.wait(1.0):
            seed += 1
            mutate(self._directory, 0.01, seed=seed)


def saves_s(engine: Headless, since: int) -> list[float]:
    with engine.client() as client:
        return [one.duration_s for one in client.checkpoints(1000) if one.seq > since]


def newest(engine: Headless) -> int:
    with engine.client() as client:
        return client.checkpoint("latest").seq


def measure(consoles: int, seconds: float, state_bytes: int) -> dict[str, object]:
    """One engine, alone for `seconds` and then with consoles for as long."""
    with tempfile.TemporaryDirectory() as directory, headless(Path(directory), state_bytes, INTERVAL_S) as engine:
        with engine.client() as client:
            assert client.address.socket is not None
            socket = client.address.socket
        pid = engine.process.pid
        with Change(engine):
            began = newest(engine)
            before_cpu_s = cpu_s(pid)
            time.sleep(seconds)
            alone_s, alone_bytes, alone_cpu_s = saves_s(engine, began), resident_bytes(pid), cpu_s(pid) - before_cpu_s
            began, before_cpu_s = newest(engine), cpu_s(pid)
            shares = [min(PER_PROCESS, consoles - at) for at in range(0, consoles, PER_PROCESS)]
            command = [sys.executable, "-m", "benchmarks.consoles", "--attach", str(socket), "--seconds", str(seconds)]
            processes = [subprocess.Popen([*command, "--consoles", str(one)], stdout=subprocess.PIPE) for one in shares]
            time.sleep(seconds * 0.75)
            attached_bytes = resident_bytes(pid)
            found = [json.loads(one.communicate()[0]) for one in processes]
            attached_cpu_s, attached_s = cpu_s(pid) - before_cpu_s, saves_s(engine, began)

    def all_of(key: str) -> list[float]:
        return [value for one in found for value in one[key]]

    return {
        "consoles": consoles,
        "seconds": seconds,
        "attach_s": {"median": statistics.median(all_of("starts_s")), "max": max(all_of("starts_s"))},
        "event_late_ms": {name: percentile(all_of("late_ms"), share) for name, share in (("p50", 0.5), ("p99", 0.99))},
        "call_ms": {name: percentile(all_of("call_ms"), share) for name, share in (("p50", 0.5), ("p99", 0.99))},
        "calls": len(all_of("call_ms")),
        "events_each": [min(all_of("events")), max(all_of("events"))],
        "progress": sum(one["progress"] for one in found),
        "lost": sum(one["lost"] for one in found),
        "errors": [error for one in found for error in one["errors"]],
        "engine_bytes": {"alone": alone_bytes, "attached": attached_bytes},
        "engine_cpu_share": {"alone": alone_cpu_s / seconds, "attached": attached_cpu_s / seconds},
        "save_median_s": {"alone": statistics.median(alone_s), "attached": statistics.median(attached_s)},
        "progress_interval_s": PROGRESS_INTERVAL_S,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--consoles", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--state-bytes", type=int, default=2_000_000)
    parser.add_argument("--attach", metavar="SOCKET", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.attach:
        attach_some(Path(arguments.attach), arguments.consoles, arguments.seconds)
    else:
        print(json.dumps(measure(arguments.consoles, arguments.seconds, arguments.state_bytes), indent=2))


if __name__ == "__main__":
    main()
