"""Two machines that write to one system and are killed at random moments, round after round.

`python -m tests.replication.rounds --rounds 100`. After each round a machine that has nothing but the bucket brings
everything home and decodes every chunk of every checkpoint there. In the end both machines send what they still have:
then every checkpoint that was ever committed and not removed is in the bucket, or named as one that cannot be sent.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import msgspec

from maos_ckpt.backends.s3_settings import S3Settings
from maos_ckpt.capture.save import SaveRequest, save_checkpoint
from maos_ckpt.errors import LeaseHeldError
from maos_ckpt.model import Trigger, VerifyLevel
from maos_ckpt.replication.pull import make_home, pull
from maos_ckpt.replication.push import pending, push
from maos_ckpt.repository.remote_lease import RemoteLease
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import SYSTEM
from maos_ckpt.sources.spec import open_source
from maos_ckpt.verify import verify
from tests.backends.servers import moto_server
from tests.lab.build import build_state
from tests.replication.writer import TIMING, Job, open_home, remote

NAMES = "one", "two"
_SETTLE_S = 60.0
#: A writer that has less to do than a round waits for is killed all the same.
_PATIENCE_S = 12.0


class Rounds:
    """Two homes with a state each below `folder`, and the bucket between them."""

    def __init__(self, folder: Path, s3: S3Settings, seed: int) -> None:
        self.folder = folder
        self.s3 = s3
        self.rng = random.Random(seed)
        self.outcomes: Counter[str] = Counter()
        self.stranded: set[str] = set()
        self._number = itertools.count()
        for name in NAMES:
            build_state(folder / name, folder / f"{name}-claude", 300_000, seed=seed, transcript_bytes=20_000)
        first = open_home(folder / "home-one", remote(s3), f"maos:{folder / 'one'}")
        with first.lease("save"):
            source = open_source(f"maos:{folder / 'one'}", claude_home=folder / "one-claude", seams=SYSTEM)
            save_checkpoint(first, source, SaveRequest(Trigger.MANUAL), lambda _: None, SYSTEM)
        self._send(first)
        open_home(folder / "home-two", remote(s3)).close()

    def start(self, name: str) -> subprocess.Popen[bytes]:
        job = Job(
            home=str(self.folder / f"home-{name}"),
            state=str(self.folder / name),
            claude=str(self.folder / f"{name}-claude"),
            log=str(self.folder / "log"),
            s3=self.s3,
            seed=self.rng.randrange(1 << 30),
        )
        command = [sys.executable, "-m", "tests.replication.writer", msgspec.json.encode(job).decode()]
        output = (self.folder / f"{name}.out").open("ab")
        with output:
            return subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL)

    def run(self) -> None:
        """One round: both work; one is killed, later the other; sometimes the first comes back in between."""
        order = self.rng.sample(NAMES, 2)
        running = {name: self.start(name) for name in order}
        self._kill(running.pop(order[0]), self.rng.randrange(1, 12))
        if self.rng.random() < 0.4:
            running[order[0]] = self.start(order[0])
        for process in running.values():
            self._kill(process, self.rng.randrange(1, 8))
        self.check()

    def _kill(self, process: subprocess.Popen[bytes], lines: int) -> None:
        """Kill a writer at a random moment soon after it has logged so many lines."""
        deadline_s = time.monotonic() + _PATIENCE_S
        log = self.folder / "log"
        mark = f" {process.pid}\n"
        while time.monotonic() < deadline_s and (not log.exists() or log.read_text().count(mark) < lines):
            time.sleep(0.02)
        time.sleep(self.rng.uniform(0.0, 0.5))
        assert process.poll() is None, f"a writer ended by itself; see {self.folder}"
        process.kill()
        process.wait()

    def check(self) -> int:
        """Bring everything home on a new machine and verify it; how many checkpoints there are."""
        reader = make_home(self.folder / f"reader-{next(self._number)}", remote(self.s3), SYSTEM)
        with contextlib.closing(reader):
            pull(reader)
            listed = {name for name, _ in reader.remote_copy.backend.entries("manifests")}
            assert reader.backend.list("manifests").keys() == listed
            result = verify(reader, [], VerifyLevel.FULL)
            assert result.ok, result.findings
            found = reader.checkpoints()
        shutil.rmtree(reader.path)
        self.outcomes["rounds"] += 1
        self.outcomes["verified"] += len(found)
        return len(found)

    def settle(self) -> None:
        """Let both machines send all that they have, and look whether anything is missing that nobody removed."""
        for name in NAMES:
            self._send(open_home(self.folder / f"home-{name}", remote(self.s3)))
        self.check()
        lines = (self.folder / "log").read_text().split("\n")
        saved = {line.split()[1] for line in lines if line.startswith("saved ")}
        removed = {line.split()[1] for line in lines if line.startswith("removed ")}
        with contextlib.closing(open_home(self.folder / "home-last", remote(self.s3))) as last:
            there = {one.id for one in last.checkpoints()}
        lost = saved - removed - there - self.stranded
        self.outcomes.update(saved=len(saved), removed=len(removed), there=len(there), stranded=len(self.stranded))
        assert not lost, f"{lost}; see {self.folder}"
        self.outcomes["leases"] = self._leases()

    def _leases(self) -> int:
        with contextlib.closing(open_home(self.folder / "home-last", remote(self.s3))) as last:
            return max(int(name.rpartition("/")[2]) for name, _ in last.remote_copy.backend.entries("leases"))

    def _send(self, repository: Repository) -> None:
        with contextlib.closing(repository):
            lease = RemoteLease(repository.remote_copy, str(repository.path), SYSTEM)
            deadline_s = time.monotonic() + _SETTLE_S
            while True:
                try:
                    done = push(repository, lease)
                    break
                except LeaseHeldError:
                    assert time.monotonic() < deadline_s
                    time.sleep(TIMING.look_s)
            # Saved by a home that did not hold the lease, on top of what the holder removed: it is named and kept
            # back, so that the bucket stays whole.
            assert {one.id for one in pending(repository)} == set(done.stuck)
            self.stranded |= done.stuck.keys()
            lease.release()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = Path(tempfile.mkdtemp())
        server = stack.enter_context(moto_server(folder / "moto"))
        rounds = Rounds(folder, server.settings("rounds/one"), arguments.seed)
        for number in range(arguments.rounds):
            rounds.run()
            sys.stdout.write(f"{number} {dict(rounds.outcomes)}\n")
        rounds.settle()
        sys.stdout.write(f"{dict(rounds.outcomes)} {folder}\n")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
