"""Metrics over the journal's rotation, over writers killed at any moment, and beside writers that go on."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from maos_ckpt import journal as journals
from maos_ckpt.environment import child_environment
from maos_ckpt.fs import SystemFilesystem
from maos_ckpt.journal import Entry, Journal, Position, decode, encode
from maos_ckpt.metrics import carried
from maos_ckpt.metrics.figures import Figures
from maos_ckpt.model.metrics import Holding
from maos_ckpt.operations.metrics import Ledger
from maos_ckpt.seams import SYSTEM
from tests.metrics.happenings import happening
from tests.metrics.oracle import assert_report

NOW_MS = 1_800_000_123_456
DAY_MS = 86_400_000


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Journal:
    """A journal that rotates every few dozen events."""
    monkeypatch.setattr(journals, "FILE_BYTES_MAX", 6000)
    (tmp_path / journals.DIRECTORY).mkdir()
    return Journal(tmp_path, SYSTEM)


def written(journal: Journal, number: int, seed: int = 1) -> list[Entry]:
    """Append events of the last day and a half; returns them as the journal tells them."""
    random, found = Random(seed), []
    for _ in range(number):
        event = happening(random, NOW_MS - random.randrange(DAY_MS * 3 // 2))
        assert journal.append(event)
        entry = decode(encode(event))
        assert entry is not None
        found.append(entry)
    return found


def kept(journal: Journal) -> int:
    return len(list(journal.newest_first()))


def check(journal: Journal, everything: list[Entry]) -> None:
    assert_report(Ledger(journal).report(Holding(), NOW_MS, 24), everything, NOW_MS)


def test_a_day_is_told_exactly_after_its_events_were_rotated_away(journal: Journal) -> None:
    everything = written(journal, 1500)
    assert kept(journal) < 400
    check(journal, everything)


def test_a_reader_that_keeps_up_says_what_one_that_begins_now_says(journal: Journal) -> None:
    ledger, random, everything = Ledger(journal), Random(5), []
    for round_ in range(30):
        everything += written(journal, random.choice([0, 1, 7, 90]), seed=round_)
        if random.random() < 0.6:
            assert ledger.report(Holding(), NOW_MS, 24) == Ledger(journal).report(Holding(), NOW_MS, 24)
    assert_report(ledger.report(Holding(), NOW_MS, 24), everything, NOW_MS)


class CrashError(Exception):
    """The process died."""


class Mortal(SystemFilesystem):
    """Dies before the n-th call that changes something."""

    def __init__(self, calls: int) -> None:
        self.calls = calls

    def _live(self) -> None:
        self.calls -= 1
        if self.calls == 0:
            raise CrashError

    def create(self, path: Path) -> int:
        self._live()
        return super().create(path)

    def write(self, fd: int, data: bytes | memoryview) -> None:
        self._live()
        super().write(fd, data)

    def sync(self, fd: int) -> None:
        self._live()
        super().sync(fd)

    def publish(self, temporary: Path, final: Path, *, replace: bool) -> bool:
        self._live()
        found = super().publish(temporary, final, replace=replace)
        self._live()
        return found


@contextlib.contextmanager
def renames_end_after(monkeypatch: pytest.MonkeyPatch, number: int) -> Iterator[None]:
    """The process dies before the next rename of a journal file but `number`."""
    left, plain = [number], Path.replace

    def replace(self: Path, target: Path) -> Path:
        if left[0] == 0:
            raise CrashError
        left[0] -= 1
        return plain(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replace)
        yield


def full(journal: Journal) -> list[Entry]:
    """All files are there, and the next event rotates."""
    everything = written(journal, 400)
    while journal.path.stat().st_size < journals.FILE_BYTES_MAX:
        everything += written(journal, 1, seed=len(everything))
    return everything


@pytest.mark.parametrize("calls", range(1, 6))
def test_a_crash_while_figures_are_carried_over_loses_and_doubles_nothing(
    journal: Journal, tmp_path: Path, calls: int
) -> None:
    everything = full(journal)
    mortal = Journal(tmp_path, dataclasses.replace(SYSTEM, fs=Mortal(calls)))
    with pytest.raises(CrashError):
        mortal.append(happening(Random(1), NOW_MS))
    check(journal, everything)
    everything += written(journal, 300, seed=9)
    check(journal, everything)


@pytest.mark.parametrize("renames", [0, 1, 2])
def test_a_crash_between_the_renames_of_a_rotation_loses_and_doubles_nothing(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, renames: int
) -> None:
    everything = full(journal)
    with renames_end_after(monkeypatch, renames), pytest.raises(CrashError):
        journal.append(happening(Random(1), NOW_MS))
    check(journal, everything)
    position = journal.end()
    everything += written(journal, 300, seed=9)
    check(journal, everything)
    assert position.inode


class FullDisk(SystemFilesystem):
    def create(self, path: Path) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_where_figures_cannot_be_carried_over_nothing_is_rotated_away(journal: Journal, tmp_path: Path) -> None:
    everything = full(journal)
    event = happening(Random(1), NOW_MS)
    assert Journal(tmp_path, dataclasses.replace(SYSTEM, fs=FullDisk())).append(event)
    entry = decode(encode(event))
    assert entry is not None
    check(journal, [*everything, entry])
    check(journal, [*everything, entry, *written(journal, 50, seed=3)])


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"figures":{"total":{"save":3}}}', b"[" * 100_000, b"\xff"],
    ids=range(6),
)
def test_damaged_figures_cost_history_and_nothing_else(
    journal: Journal, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    written(journal, 400)
    (journal.directory / carried.NAME).write_bytes(content)
    left = list(journal.newest_first())
    check(journal, left)
    assert "metrics begin later" in caplog.text
    more = written(journal, 300, seed=2)
    check(journal, left + more)


WRITER = """
import sys
import time
from pathlib import Path
from random import Random
from maos_ckpt import journal as journals
from maos_ckpt.seams import SYSTEM
from tests.metrics.happenings import happening
journals.FILE_BYTES_MAX = 60_000
journal, random = journals.Journal(Path(sys.argv[1]), SYSTEM), Random(int(sys.argv[2]))
print("up", flush=True)
while True:
    journal.append(happening(random, int(sys.argv[3]) - random.randrange(129_600_000)))
    # No faster than it can be followed: events that went before they were read would be missing from the oracle's list.
    time.sleep(0.001)
"""


def test_writers_killed_at_any_moment_leave_metrics_equal_to_a_recomputation(journal: Journal, tmp_path: Path) -> None:
    """SIGKILL at a random moment, six times, in the midst of appends and rotations."""
    environment = child_environment()
    environment["PYTHONPATH"] += f":{Path(__file__).parents[2]}"
    random, ledger = Random(11), Ledger(journal)
    everything: list[Entry] = []
    position = Position()
    for round_ in range(6):
        command = [sys.executable, "-c", WRITER, str(tmp_path), str(round_), str(NOW_MS)]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            enough, deadline_s = len(everything) + random.randrange(200, 500), SYSTEM.clock.monotonic_s() + 20
            # Followed while it is written, so that this list has every event though the journal forgets them.
            while len(everything) < enough and SYSTEM.clock.monotonic_s() < deadline_s:
                entries, position = journal.read(position)
                everything += entries
                if random.random() < 0.2:
                    ledger.report(Holding(), NOW_MS, 24)
            process.send_signal(signal.SIGKILL)
        entries, position = journal.read(position)
        everything += entries
        check(journal, everything)
        assert ledger.report(Holding(), NOW_MS, 24) == Ledger(journal).report(Holding(), NOW_MS, 24)
    assert len(everything) > 1.5 * kept(journal)


def test_figures_are_private_and_small(journal: Journal) -> None:
    written(journal, 1000)
    path = journal.directory / carried.NAME
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.stat().st_size < 400_000
    assert isinstance(carried.load(journal.directory).figures, Figures)
