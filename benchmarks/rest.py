"""Reads over HTTP beside running saves: `python -m benchmarks.rest --seconds 60 --rate 300`.

An engine of its own (`maos-ckpt --headless`) serves a TCP port on loopback; this process asks, at a steady rate over
kept connections, and lets it save without a pause, each time after a part of the MAOS has changed. Blocks with reads
and blocks without take turns, so that a machine with other work compares like with like; their medians give the ratio.
Prints one JSON line, with the load of the machine before and after.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from maos_ckpt.api.application import PREFIX
from maos_ckpt.api.places import find_listening
from maos_ckpt.api.tokens import Tokens
from maos_ckpt.environment import child_environment
from maos_ckpt.model.access import Scope
from maos_ckpt.seams import SYSTEM
from tests.lab.build import build_state
from tests.lab.mutate import mutate

PATHS = (
    "/health",
    "/checkpoints?limit=20",
    "/checkpoints/latest",
    "/status",
    "/operations/current",
    "/recovery/status",
    "/journal?limit=20",
    "/plans",
)
CONNECTIONS = 8
START_S = 60.0
SAVE_S_MAX = 300.0


@dataclass
class Reads:
    """What came of the reads."""

    latencies_s: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    late: int = 0


@contextlib.contextmanager
def engine(root: Path) -> Iterator[tuple[str, int, str]]:
    """An engine in a process of its own; gives host, port and a token."""
    repository = root / "team" / ".maos-ckpt"
    command = [sys.executable, "-m", "maos_ckpt_tui", "--headless", "--listen", "127.0.0.1:0", "--interval", "86400"]
    command += ["--source", f"maos:{root / 'team'}", "--claude-home", str(root / "claude")]
    environment = child_environment()
    environment["PYTHONPATH"] += f":{Path(__file__).parents[1]}"
    with (root / "engine.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        deadline_s = time.monotonic() + START_S
        while (listening := find_listening(repository)) is None:
            if time.monotonic() > deadline_s or process.poll() is not None:
                raise SystemExit((root / "engine.log").read_text())
            time.sleep(0.1)
        url = httpx2.URL(next(one for one in listening.addresses if one.startswith("http")))
        token = Tokens(repository, SYSTEM).create("benchmark", (Scope.SAVE,)).text
        yield url.host, url.port or 80, token
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


async def ask(
    place: tuple[str, int, str], paths: Iterator[str], due: Iterator[float], reads: Reads, end_s: float
) -> None:
    """One connection: the next read when it is due, as long as there is time."""
    host, port, token = place
    reader, writer = await asyncio.open_connection(host, port)
    try:
        for at_s in due:
            if at_s >= end_s:
                return
            await asyncio.sleep(max(0.0, at_s - time.monotonic()))
            began_s = time.monotonic()
            # A rate that is not kept would flatter the figures.
            reads.late += began_s - at_s > 1.0
            head = f"GET {PREFIX}{next(paths)} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\r\n"
            writer.write(head.encode())
            answer = await reader.readuntil(b"\r\n\r\n")
            length = int(answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            await reader.readexactly(length)
            reads.statuses[int(answer[9:12])] += 1
            reads.latencies_s.append(time.monotonic() - began_s)
    except (OSError, ValueError, asyncio.IncompleteReadError) as error:
        reads.errors.append(repr(error))
    finally:
        writer.close()


async def read_for(place: tuple[str, int, str], rate: float, seconds: float, reads: Reads) -> None:
    """Reads at a rate."""
    began_s = time.monotonic()
    due = (began_s + number / rate for number in itertools.count())
    paths = itertools.cycle(PATHS)
    await asyncio.gather(*(ask(place, paths, due, reads, began_s + seconds) for _ in range(CONNECTIONS)))


@dataclass(frozen=True)
class Took:
    """How long a save took, in seconds: from the request to its answer, and as its manifest says, from the begin of
    the cut to the commit."""

    request_s: float
    save_s: float


class Saver:
    """Saves without a pause, until it is told to stop; each after the same part of the MAOS has changed."""

    def __init__(self, root: Path, place: tuple[str, int, str], fraction: float) -> None:
        self._root = root
        self._client = httpx2.Client(
            base_url=f"http://{place[0]}:{place[1]}{PREFIX}",
            headers={"authorization": f"Bearer {place[2]}"},
            timeout=SAVE_S_MAX,
        )
        self._fraction = fraction
        self._seed = itertools.count(1)

    def save(self) -> Took:
        """Change something, then save."""
        mutate(self._root / "team", self._fraction, next(self._seed))
        began_s = time.monotonic()
        answer = self._client.post("/checkpoints")
        took_s = time.monotonic() - began_s
        if answer.status_code != 201:
            raise SystemExit(f"the save was answered with {answer.status_code}: {answer.text}")
        return Took(took_s, answer.json()["durationSeconds"])

    def save_for(self, seconds: float) -> list[Took]:
        """Saves for some time; how long each took."""
        end_s = time.monotonic() + seconds
        took: list[Took] = []
        while time.monotonic() < end_s:
            took.append(self.save())
        return took


async def measure(root: Path, place: tuple[str, int, str], options: argparse.Namespace) -> dict[str, object]:
    """Blocks in turn; see the module."""
    reads = Reads()
    alone: list[Took] = []
    beside: list[Took] = []
    saver = Saver(root, place, options.fraction)
    for _ in range(2):
        saver.save()
    block_s = options.seconds / options.blocks
    for _ in range(options.blocks):
        alone += await asyncio.to_thread(saver.save_for, block_s)
        _, took = await asyncio.gather(
            read_for(place, options.rate, block_s, reads), asyncio.to_thread(saver.save_for, block_s)
        )
        beside += took
    bad = {status: count for status, count in reads.statuses.items() if status != 200}
    ordered = sorted(reads.latencies_s)
    return {
        "reads": len(ordered),
        "reads_per_s": round(len(ordered) / options.seconds, 1),
        "late": reads.late,
        "errors": len(reads.errors) + sum(bad.values()),
        "error_examples": [*reads.errors[:3], *map(str, bad)],
        "read_p50_ms": round(statistics.median(ordered) * 1000, 1),
        "read_p99_ms": round(ordered[int(len(ordered) * 0.99)] * 1000, 1),
        "saves_alone": len(alone),
        "saves_beside": len(beside),
        **_compared("request", [one.request_s for one in alone], [one.request_s for one in beside]),
        **_compared("save", [one.save_s for one in alone], [one.save_s for one in beside]),
    }


def _compared(what: str, alone: list[float], beside: list[float]) -> dict[str, float]:
    before, after = statistics.median(alone), statistics.median(beside)
    return {
        f"{what}_alone_s": round(before, 3),
        f"{what}_beside_s": round(after, 3),
        f"{what}_ratio": round(after / before, 3),
    }


def main() -> int:
    """Command line; see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rest", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="of reads, and as many without")
    parser.add_argument("--rate", type=float, default=300.0, help="reads per second")
    parser.add_argument("--blocks", type=int, default=6)
    parser.add_argument("--mb", type=float, default=100.0, help="size of the MAOS database")
    parser.add_argument("--fraction", type=float, default=0.05, help="of records that change between two saves")
    options = parser.parse_args()
    before = os.getloadavg()
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        build_state(root / "team", root / "claude", int(options.mb * (1 << 20)), seed=1, transcript_bytes=1 << 20)
        with engine(root) as place:
            found = asyncio.run(measure(root, place, options))
    found |= {"cores": os.cpu_count(), "load_before": before, "load_after": os.getloadavg()}
    print(json.dumps(found))
    return 0 if not found["errors"] else 1


if __name__ == "__main__":
    sys.exit(main())
