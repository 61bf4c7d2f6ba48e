"""An engine restarted at random moments, by SIGTERM and by SIGKILL: its metrics stay those of the journal.

    python -m tests.metrics.restarts --rounds 50

Each round an engine process on a real MAOS takes checkpoints, and is asked for its metrics when it begins and just
before it ends. What it says is compared with a process that reads the whole journal, and with a count by hand over
every event that the journal ever held; the journal is rotated about once a round.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from random import Random

import msgspec

from maos_ckpt.config import Config
from maos_ckpt.environment import child_environment
from maos_ckpt.journal import Entry, Position
from maos_ckpt.model.metrics import MetricsReport
from maos_ckpt.operations.metrics import metrics
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.seams import SYSTEM
from tests.lab.build import build_state
from tests.lab.mutate import mutate
from tests.metrics.oracle import assert_report

ENGINE = """
import sys, msgspec
from pathlib import Path
from maos_ckpt import journal as journals
from maos_ckpt.config import Config
from maos_ckpt.local import LocalClient
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.seams import SYSTEM
import signal
journals.FILE_BYTES_MAX = 1500
repository, source, home = sys.argv[1:]
client = LocalClient(Workspace(Path(repository), source, Path(home), Config(interval_seconds=0.1), SYSTEM))
def end(*_):
    client.close(60.0)
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
client.start()
for line in sys.stdin:
    print(SYSTEM.clock.now_ms(), msgspec.json.encode(client.metrics(int(line))).decode(), flush=True)
"""


class Rounds:
    """One MAOS, one repository, and all that its journal ever said."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.team, home = directory / "team", directory / "claude"
        build_state(self.team, home, 60_000, seed=1, transcript_bytes=20_000)
        self.workspace = Workspace(self.team / ".maos-ckpt", f"maos:{self.team}", home, Config(), SYSTEM)
        self.random = Random(seed)
        self.everything: list[Entry] = []
        self.position = Position()
        self.asked = 0

    def look(self) -> None:
        """Read what is new in the journal."""
        entries, self.position = self.workspace.journal.read(self.position)
        self.everything += entries

    def round(self, number: int) -> None:
        """Start an engine, let it work for a while, end it one way or the other."""
        command = [sys.executable, "-c", ENGINE, str(self.workspace.repository), self.workspace.source]
        with subprocess.Popen(
            [*command, str(self.workspace.claude_home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=child_environment(),
            text=True,
        ) as process:
            self.ask(process)
            mutate(self.team, 0.05, seed=number)
            SYSTEM.clock.sleep(self.random.uniform(0.0, 1.2))
            self.ask(process)
            process.send_signal(self.random.choice([signal.SIGKILL, signal.SIGTERM]))
        self.look()
        self.settled()

    def ask(self, process: subprocess.Popen[str]) -> None:
        """Compare what a running engine says, where nothing happened between its answer and the count."""
        assert process.stdin is not None
        assert process.stdout is not None
        before = len(self.everything)
        for _ in range(20):
            self.look()
            before = len(self.everything)
            process.stdin.write("24\n")
            process.stdin.flush()
            now, _, text = process.stdout.readline().partition(" ")
            self.look()
            if len(self.everything) == before:
                found = msgspec.json.decode(text, type=MetricsReport)
                if found.until_ms > int(now):
                    assert_report(found, self.everything, int(now))
                    self.asked += 1
                    return

    def settled(self) -> None:
        """What a process that begins now reads is what a count of everything gives."""
        now_ms = self.workspace.now_ms()
        found = metrics(self.workspace, 24)
        if found.until_ms > now_ms:
            assert_report(found, self.everything, now_ms)
        shape = json.loads(msgspec.json.encode(found))
        assert shape["totals"]["checkpoints"] == found.total_checkpoints


def run(directory: Path, rounds: int, seed: int) -> Rounds:
    """So many restarts; raises AssertionError where a figure differs."""
    found = Rounds(directory, seed)
    for number in range(rounds):
        found.round(number)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        found = run(Path(directory), arguments.rounds, arguments.seed)
        kept = len(list(found.workspace.journal.newest_first()))
        report = metrics(found.workspace, 24)
    sys.stdout.write(
        f"{arguments.rounds} restarts, {len(found.everything)} events of which the journal still has {kept}, "
        f"{report.total_checkpoints} checkpoints, {found.asked} answers of running engines compared: all equal\n"
    )


if __name__ == "__main__":
    main()
