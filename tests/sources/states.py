"""What the tests of sources share: reading a cut whole, a clock of one's own, and other processes on a database."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from maos_ckpt.codec.values import encode_row
from maos_ckpt.model import Descriptor, Row
from maos_ckpt.seams import SYSTEM, Seams
from maos_ckpt.sources.base import Cut, Source, record_key
from maos_ckpt.sources.sqlite.source import SqliteSource

WAIT_S = 20


@dataclass
class TestClock:
    """A clock that sleeps without waiting; every look at it costs `tick_s`."""

    __test__ = False
    at_s: float = 1000.0
    tick_s: float = 0.0
    slept_s: float = 0.0

    def now_ms(self) -> int:
        return SYSTEM.clock.now_ms()

    def monotonic_s(self) -> float:
        self.at_s += self.tick_s
        return self.at_s

    def sleep(self, seconds: float) -> None:
        self.at_s += seconds
        self.slept_s += seconds


def seams_with(clock: TestClock) -> Seams:
    return replace(SYSTEM, clock=clock)


def find(cut: Cut, path: str) -> Descriptor:
    return next(one for one in cut.descriptors() if one.path == path)


def rows_of(cut: Cut, path: str, *, sort: bool = False) -> list[Row]:
    return [row for batch in cut.rows(find(cut, path), sort=sort) for row in batch]


def whole(cut: Cut, *, sort: bool = False) -> dict[str, dict[bytes, bytes]]:
    """Encoded records by key, by collection path; asserts that keys are unique."""
    state = {}
    for descriptor in cut.descriptors():
        rows = [row for batch in cut.rows(descriptor, sort=sort) for row in batch]
        records = {record_key(descriptor, row): encode_row(row[len(descriptor.keys) :]) for row in rows}
        assert len(records) == len(rows), descriptor.path
        state[descriptor.path] = records
    return state


def capture(source: Source, directory: Path) -> dict[str, dict[bytes, bytes]]:
    """Opens a cut, reads all of it, closes it."""
    with closing(source.open_cut(directory)) as cut:
        return whole(cut)


def sqlite_source(path: Path) -> SqliteSource:
    return SqliteSource(path, SYSTEM)


def make_rows(path: Path, count: int = 200, *, wal: bool = False) -> None:
    """A table `t(id TEXT PRIMARY KEY, v)` with `count` rows."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        if wal:
            connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE t (id TEXT PRIMARY KEY, v)")
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO t VALUES (?, ?)", [(f"k{n:05}", "x" * 300) for n in range(count)])
        connection.execute("COMMIT")


def snapshot(directory: Path) -> dict[str, bytes]:
    """Every file of a folder, byte for byte."""
    return {one.name: one.read_bytes() for one in sorted(directory.iterdir()) if one.is_file()}


@contextmanager
def another_process(code: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Runs Python `code` (`sys.argv[1:]` are the arguments) until it prints a line; ends it with the block."""
    command = [sys.executable, "-c", "import os, sqlite3, sys, time\n" + code, *map(str, arguments)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def run_python(code: str, *arguments: object) -> str:
    """Runs Python `code` to its end; returns what it printed."""
    command = [sys.executable, "-c", "import os, sqlite3, sys, time\n" + code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, check=False)
    return done.stdout + done.stderr


@contextmanager
def as_nobody() -> Iterator[None]:
    """Root may read anything, so for a moment this process is somebody else."""
    if os.getuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


CRASH_IN_TRANSACTION = """
c = sqlite3.connect(sys.argv[1], isolation_level=None)
c.execute("PRAGMA cache_size=5")
c.execute("BEGIN")
c.execute("UPDATE t SET v = 'never committed ' || v")
os._exit(9)
"""
HOLD_LOCK = """
c = sqlite3.connect(sys.argv[1], isolation_level=None)
c.execute("BEGIN EXCLUSIVE")
print("ready", flush=True)
time.sleep(60)
"""
HOLD_OPEN = """
c = sqlite3.connect(sys.argv[1], isolation_level=None)
f = os.open(sys.argv[1], os.O_RDONLY)
print("ready", flush=True)
time.sleep(60)
"""
TRY_WRITE = """
c = sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None)
try:
    c.execute("BEGIN IMMEDIATE")
    c.execute("INSERT INTO t VALUES ('intruder' || hex(randomblob(8)), 1)")
    c.execute("COMMIT")
    print("written")
except sqlite3.OperationalError as error:
    print(error.sqlite_errorname)
"""
