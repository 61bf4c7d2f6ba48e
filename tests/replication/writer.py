"""One machine that writes to a system until it is killed: it saves, prunes and replicates, all beside each other.

`python -m tests.replication.writer JOB`, where JOB is the JSON of a `Job`. Every checkpoint that was committed is a
line in the log, and so is every one that is about to be removed.
"""

from __future__ import annotations

import os
import random
import sys
import threading
from pathlib import Path

import msgspec

from maos_ckpt.backends.read_cache import CacheSettings
from maos_ckpt.backends.s3_settings import S3Settings
from maos_ckpt.capture.save import SaveRequest, save_checkpoint
from maos_ckpt.engine.replicator import Replicator
from maos_ckpt.errors import LeaseHeldError
from maos_ckpt.model import Trigger
from maos_ckpt.prune import prune
from maos_ckpt.replication.pull import make_home, pull
from maos_ckpt.repository.connect import RemoteSettings
from maos_ckpt.repository.remote import Timing
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import SYSTEM
from maos_ckpt.sources.spec import open_source
from tests.lab.mutate import mutate

#: Short, so that machines take over from each other within a round.
TIMING = Timing(renew_s=0.4, time_to_live_s=2.0, look_s=0.2, grace_s=6.0, audit_s=5.0)


class Job(msgspec.Struct):
    home: str
    state: str
    claude: str
    log: str
    s3: S3Settings
    seed: int
    saves: int = 1_000_000
    keep_last: int = 4


def remote(s3: S3Settings, timing: Timing = TIMING) -> RemoteSettings:
    return RemoteSettings(s3, CacheSettings(0, 0.0), timing=timing)


def open_home(path: Path, settings: RemoteSettings, source: str = "") -> Repository:
    """The home at `path`; a new one is made from the remote copy, or for a source."""
    if (path / "maos-ckpt.json").exists():
        return Repository.open(path, SYSTEM, remote=settings)
    if source:
        return Repository.open_or_create(path, source, SYSTEM, remote=settings)
    repository = make_home(path, settings, SYSTEM)
    pull(repository)
    return repository


def note(job: Job, line: str) -> None:
    fd = os.open(job.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(fd, f"{line} {os.getpid()}\n".encode())
    os.close(fd)


def thin_out(job: Job, repository: Repository, end: threading.Event) -> None:
    while not end.wait(0.3):
        try:
            with repository.lease("prune"):
                for one in prune(repository, job.keep_last, dry_run=True).removed:
                    note(job, f"removed {one}")
                prune(repository, job.keep_last)
        except LeaseHeldError:
            continue


def main() -> None:
    job = msgspec.json.decode(sys.argv[1], type=Job)
    note(job, "started")
    settings, rng = remote(job.s3), random.Random(job.seed)
    source = open_source(f"maos:{job.state}", claude_home=Path(job.claude), seams=SYSTEM)
    repository = open_home(Path(job.home), settings)
    replicator = Replicator(open_home(Path(job.home), settings), SYSTEM, lambda event: note(job, type(event).__name__))
    replicator.start()
    end = threading.Event()
    pruner = threading.Thread(target=thin_out, args=(job, open_home(Path(job.home), settings), end))
    pruner.start()
    for _ in range(job.saves):
        mutate(Path(job.state), 0.02, rng.randrange(1 << 30))
        with repository.lease("save"):
            saved = save_checkpoint(repository, source, SaveRequest(Trigger.MANUAL), lambda _: None, SYSTEM)
        note(job, f"saved {saved.id}")
        replicator.wake()
    end.set()
    pruner.join()
    replicator.close(60)


if __name__ == "__main__":
    main()
