"""A day of scheduled checkpoints of a working MAOS: `python -m benchmarks.day [--checkpoints 2880] [--mb 100]`.

A swarm of 8 agents works in a MAOS of so many megabytes through maos-cli's own classes (`benchmarks.swarm`); every 30
seconds of a virtual wall clock a checkpoint is saved as the engine saves it, retention and the giving back of space
included (`--keep 0`: everything is kept). All times are real ones. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from benchmarks.swarm import Swarm
from maos_ckpt.config import Config
from maos_ckpt.errors import SourceError
from maos_ckpt.model import Checkpoint, Progress, Trigger
from maos_ckpt.operations import checkpoints as operations
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.repository.needed import needed_chunks, needed_places, refuse
from maos_ckpt.repository.packs import Stored
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import SYSTEM, SystemClock

MB = 1_000_000
INTERVAL_S = 30
AGENTS = 8
#: Saves that may be given up in a day.
GIVEN_UP_MAX = 50
#: Calls of MAOS in 30 s while all agents are at work: six each, a third of them conversation turns.
CALLS = 48
#: The part of each hour in which they are at work; the day begins at 08:00. In the rest of an hour nothing happens.
HOURS = (1, 1, 1, 1, 0.5, 1, 1, 1, 1, 1, 0.5, 0.25, 0.25, 0, 0, 0, 0, 0, 0.5, 0, 0, 0, 0, 0.25)
#: A new orchestration, with new agents, begins so often.
TEAM_HOURS = 2
COLUMNS = (
    "hours",
    "saves: changed + unchanged",
    "ms a changed save: median / p95 / longest",
    "processor ms",
    "added by one",
    "logical bytes kept",
    "stored for them",
    "packs",
    "whole ratio",
    "dedup · codec",
    "memory",
)


class DayClock(SystemClock):
    """Wall time goes 30 s from one checkpoint to the next; intervals and budgets are measured in real time."""

    def __init__(self) -> None:
        self.wall_ms = 1_800_000_000_000

    def now_ms(self) -> int:
        return self.wall_ms


@dataclass
class Save:
    """One save: seconds it took in all, of the processor, and after its commit; and what it made."""

    wall_s: float
    cpu_s: float
    retention_s: float
    reclaimed: bool
    checkpoint: Checkpoint


@dataclass
class Measured:
    """The repository at a moment of the day; sizes in bytes.

    `logical`: all states that are kept; `raw`: their chunks, each once; `payload`: what these take, bases of deltas
    included; `stored`: what the repository takes, with what nobody needs any more.
    """

    stored: int
    packs: int
    logical: int
    raw: int
    payload: int
    resident: int

    @property
    def ratios(self) -> str:
        """What is kept to what it takes, then the two parts of that: not stored twice, and compressed."""
        whole, dedup, codec = self.logical / self.stored, self.logical / self.raw, self.raw / self.payload
        return f"{whole:.0f} : 1 | {dedup:.1f} · {codec:.1f}"


@dataclass
class Day:
    """A day under way."""

    workspace: Workspace
    clock: DayClock
    saves: list[Save] = field(default_factory=list)
    given_up: int = 0

    def save(self) -> None:
        """One checkpoint, as the engine's schedule takes it."""
        committed_s, reclaimed = 0.0, False

        def progress(one: Progress) -> None:
            nonlocal committed_s, reclaimed
            if one.operation == "save":
                committed_s = time.perf_counter()
            reclaimed = reclaimed or one.operation == "prune"

        keep_last = self.workspace.config.max_checkpoints
        while True:
            began_s, began_cpu_s = time.perf_counter(), time.process_time()
            try:
                made = operations.save(self.workspace, Trigger.SCHEDULE, "", (), progress, keep_last=keep_last)
                break
            except SourceError:
                # Given up at the hard stop of the lock, as an engine's would be, on a machine with much else to do.
                self.given_up += 1
                if self.given_up > GIVEN_UP_MAX:
                    raise
        ended_s, cpu_s = time.perf_counter(), time.process_time() - began_cpu_s
        self.saves.append(Save(ended_s - began_s, cpu_s, ended_s - committed_s, reclaimed, made))
        self.clock.wall_ms += INTERVAL_S * 1000

    def measure(self) -> Measured:
        """Look at the repository."""
        with self.workspace.reading() as repository:
            checkpoints, needed = repository.checkpoints(), set[bytes]()
            for one in checkpoints:
                needed_chunks(repository, one, needed, refuse)
            places = needed_places(repository, needed, refuse)
            found = {chunk: stored for name in repository.packs() for chunk, stored in chunks_of(repository, name)}
            logical = sum(one.logical_bytes for one in checkpoints)
            raw, payload = sum(found[one].raw for one in needed), sum(found[one].stored for one in places)
            resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            return Measured(repository.stored_bytes(), len(repository.packs()), logical, raw, payload, resident)

    def index_bytes(self) -> int:
        """The chunk index, its log included."""
        return sum(one.stat().st_size for one in (self.workspace.repository / "cache").glob("chunks.sqlite*"))


def chunks_of(repository: Repository, pack: str) -> Iterator[tuple[bytes, Stored]]:
    """A pack's chunks by id."""
    return ((stored.id, stored) for stored in repository.index.pack_chunks(pack))


def activity(count: int, rng: random.Random) -> Iterator[tuple[int, bool]]:
    """For each 30 s of a day of `count` of them: how many calls, and whether a new team begins."""
    team = 0
    for number in range(count):
        hour, into = divmod(number * len(HOURS), count)
        calls = max(1, round(rng.gauss(CALLS, CALLS**0.5))) if into < HOURS[hour] * count else 0
        begins = calls > 0 and hour // TEAM_HOURS > team
        team = hour // TEAM_HOURS if begins else team
        yield calls, begins


def milliseconds(seconds: list[float]) -> str:
    """Median, 95th percentile and longest."""
    if not seconds:
        return "-"
    ordered = sorted(one * 1000 for one in seconds)
    p95 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]
    return f"{statistics.median(ordered):.0f} / {p95:.0f} / {ordered[-1]:.0f}"


def row(name: str, saves: list[Save], at: Measured) -> str:
    """A line of the table."""
    changed = [one for one in saves if not one.checkpoint.capture.unchanged]
    added = sum(one.checkpoint.stored_bytes for one in changed) / max(len(changed), 1)
    cpu_ms = statistics.median(one.cpu_s for one in changed) * 1000 if changed else 0
    return (
        f"| {name} | {len(changed)} + {len(saves) - len(changed)} | {milliseconds([one.wall_s for one in changed])} "
        f"| {cpu_ms:.0f} | {added / 1000:,.0f} kB | {at.logical / MB:,.0f} MB | {at.stored / MB:.1f} MB | {at.packs} "
        f"| {at.ratios} | {at.resident / MB:.0f} MB |"
    )


def run(day: Day, swarm: Swarm, count: int) -> None:
    """Work and save, and print what a part of the day took when it is over."""
    print(f"| {' | '.join(COLUMNS)} |")
    print(f"|---|{'---:|' * (len(COLUMNS) - 1)}")
    part = max(count // (len(HOURS) // TEAM_HOURS), 1)
    day.save()
    print(row("the first", day.saves, day.measure()), flush=True)
    shown = 1
    for number, (calls, begins) in enumerate(activity(count, random.Random(1))):
        if number == 0:
            continue
        if begins:
            swarm.begin_team()
        if calls:
            swarm.work(calls)
        day.save()
        if (number + 1) % part == 0:
            hours = f"{number * len(HOURS) // count // TEAM_HOURS * TEAM_HOURS} to {(number + 1) * len(HOURS) // count}"
            print(row(hours, day.saves[shown:], day.measure()), flush=True)
            shown = number + 1


def tell(day: Day) -> None:
    """What the whole day comes to."""
    later = day.saves[1:]
    unchanged = [one.wall_s for one in later if one.checkpoint.capture.unchanged and not one.reclaimed]
    print(f"\nall saves, in ms: {milliseconds([one.wall_s for one in later])}; unchanged: {milliseconds(unchanged)}")
    reclaiming = [one.retention_s for one in later if one.reclaimed]
    print(f"of these, giving space back after {len(reclaiming)} of them: {milliseconds(reclaiming)}")
    print(f"given up at the hard stop of the lock, and taken again: {day.given_up}")
    print(f"chunk index: {day.index_bytes() / MB:.1f} MB")
    logical = sum(one.checkpoint.logical_bytes for one in day.saves)
    stored = sum(one.checkpoint.stored_bytes for one in day.saves)
    print(f"all checkpoints of the day: {logical / MB:,.0f} MB, {stored / MB:,.1f} MB ever stored")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoints", type=int, default=2880)
    parser.add_argument("--mb", type=int, default=100)
    parser.add_argument("--keep", type=int, default=Config().max_checkpoints, help="max_checkpoints; 0 keeps all")
    parser.add_argument("--folder", type=Path, help="where to build; by default a temporary folder")
    arguments = parser.parse_args()
    began_s = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        home, directory = Path(folder, "claude"), Path(folder, "maos")
        command = [sys.executable, "-m", "tests.lab.build", str(directory), "--mb", str(arguments.mb)]
        command += ["--claude-home", str(home), "--transcript-mb", str(max(arguments.mb // 25, 1))]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        clock = DayClock()
        config = msgspec.structs.replace(Config(), max_checkpoints=arguments.keep)
        repository = Path(folder, "repository")
        workspace = Workspace(repository, f"maos:{directory}", home, config, replace(SYSTEM, clock=clock))
        day = Day(workspace, clock)
        with contextlib.closing(Swarm(directory, home, AGENTS)) as swarm:
            run(day, swarm, arguments.checkpoints)
        tell(day)
    print(f"the benchmark itself: {time.perf_counter() - began_s:.0f} s")


if __name__ == "__main__":
    main()
