"""An engine's work on a clock that moves as fast as the machine can: a save every 30 s, and replication beside it.

`python -m tests.replication.interval JOB`, where JOB is the JSON of a `Job`, is a process to be killed; it writes a
line for each save.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from maos_ckpt.backends.read_cache import CacheSettings
from maos_ckpt.backends.s3_settings import S3Settings
from maos_ckpt.capture.save import SaveRequest, save_checkpoint
from maos_ckpt.engine.replicator import Replicator
from maos_ckpt.model import Checkpoint, TierStatus, Trigger
from maos_ckpt.operations.tiers import tiers
from maos_ckpt.repository.connect import RemoteSettings
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import SYSTEM
from maos_ckpt.sources.base import Source
from maos_ckpt.sources.spec import open_source
from tests.engine.clocks import VirtualClock, seams_with
from tests.lab.mutate import mutate

INTERVAL_S = 30.0


class Job(msgspec.Struct):
    home: str
    state: str
    claude: str
    s3: S3Settings
    wall_s: float
    saves: int
    seed: int


class Simulation:
    """One home, its engine's schedule and its replicator. `pauses_s` are those after tries that failed."""

    def __init__(self, home: Path, source: Source, state: Path, remote: RemoteSettings, clock: VirtualClock) -> None:
        self.clock = clock
        self.source = source
        self.state = state
        self.seams = seams_with(clock)
        self.repository = Repository.open_or_create(home, source.spec, self.seams, remote=remote)
        self.replicator = Replicator(
            Repository.open(home, self.seams, remote=remote), self.seams, lambda event: self.events.append(str(event))
        )
        self.events: list[str] = []
        self.seen: list[TierStatus] = []
        self.pauses_s: list[float] = []
        self._due_s = 0.0

    @property
    def tier(self) -> TierStatus:
        return tiers(self.repository)[1]

    def save(self, seed: int) -> Checkpoint:
        """Go on to the next save, replicating whenever that is due."""
        due_s = self.clock.monotonic_s() + INTERVAL_S
        while self._due_s <= due_s:
            self.clock.sleep(max(0.0, self._due_s - self.clock.monotonic_s()))
            self.step()
        self.clock.sleep(max(0.0, due_s - self.clock.monotonic_s()))
        mutate(self.state, 0.02, seed)
        with self.repository.lease("save"):
            request = SaveRequest(Trigger.SCHEDULE)
            saved = save_checkpoint(self.repository, self.source, request, lambda _: None, self.seams)
        if not self.seen or not self.seen[-1].reason:
            # A commit wakes the replicator, but not out of a pause after a failure.
            self._due_s = self.clock.monotonic_s()
        return saved

    def step(self) -> None:
        pause_s = self.replicator.step()
        self._due_s = self.clock.monotonic_s() + pause_s
        self.seen.append(self.tier)
        if self.seen[-1].reason:
            self.pauses_s.append(pause_s)

    def close(self) -> None:
        self.replicator.start()
        assert self.replicator.close(60)
        self.repository.close()


def main() -> None:
    job = msgspec.json.decode(sys.argv[1], type=Job)
    clock = VirtualClock(job.wall_s, job.wall_s - 1_700_000_000.0)
    remote = RemoteSettings(job.s3, CacheSettings(0, 0.0))
    source = open_source(f"maos:{job.state}", claude_home=Path(job.claude), seams=SYSTEM)
    simulation = Simulation(Path(job.home), source, Path(job.state), remote, clock)
    for number in range(job.saves):
        saved = simulation.save(job.seed + number)
        sys.stdout.write(f"{saved.id} {clock.wall_s}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
