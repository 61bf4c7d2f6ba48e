"""The read cache: it may cost speed, never an answer, never more room than it was given, and it runs nothing."""

from __future__ import annotations

import contextlib
import dataclasses
import random
import shutil
import sqlite3
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import diskcache
import pytest

from maos_ckpt.backends.cached import CachedBackend
from maos_ckpt.backends.read_cache import REBUILDS_MAX, CacheSettings, ReadCache
from maos_ckpt.environment import child_environment
from maos_ckpt.errors import IntegrityError, MissingObjectError
from maos_ckpt.seams import SYSTEM, Seams, SystemClock
from tests.backends.memory import MemoryBackend

REPOSITORY = "00112233445566778899aabbccddeeff"
PACK = "packs/ab/abcdef"
MIB = 1 << 20


class HandClock(SystemClock):
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def now_ms(self) -> int:
        return super().now_ms() + round(self.ahead_s * 1000)

    def monotonic_s(self) -> float:
        return super().monotonic_s() + self.ahead_s


class Tier:
    """A backend with objects, and a cache before it."""

    def __init__(self, directory: Path, *, bytes_max: int = 8 * MIB, ttl_s: float = 3600.0) -> None:
        self.directory = directory
        self.clock = HandClock()
        self.settings = CacheSettings(bytes_max, ttl_s)
        self.inner = MemoryBackend()
        rng = random.Random(7)
        self.inner.objects = {
            PACK: rng.randbytes(2 * MIB),
            "manifests/000000000001": rng.randbytes(500),
            "index/000001": rng.randbytes(70_000),
            "marks/cp_1.json": b"{}",
            "keys/00.json": b"{}",
        }
        self.opened: list[ReadCache] = []
        self.again()

    def again(self, repository: str = REPOSITORY) -> CachedBackend:
        """As a new process would open it."""
        seams: Seams = dataclasses.replace(SYSTEM, clock=self.clock)
        self.cache = ReadCache(self.directory, self.settings, seams)
        self.opened.append(self.cache)
        self.backend = CachedBackend(self.inner, self.cache, repository)
        return self.backend

    def reads(self) -> int:
        """How often the backend behind the cache was read from."""
        return self.inner.calls["read"] + self.inner.calls["read_range"]

    def fill(self, count: int = 12) -> None:
        for number in range(count):
            self.part(number)
        self.backend.read("manifests/000000000001", MIB)

    def part(self, number: int) -> None:
        """Read one part of the pack, and compare."""
        offset = number * 70_001 % (MIB + 1)
        assert self.backend.read_range(PACK, offset, 65_536) == self.inner.objects[PACK][offset : offset + 65_536]

    def folder(self) -> Path:
        (folder,) = self.directory.iterdir()
        return folder

    def bytes_now(self) -> int:
        return sum(path.stat().st_size for path in self.directory.rglob("*") if path.is_file())


@pytest.fixture
def tier(tmp_path: Path) -> Tier:
    return Tier(tmp_path / "cache")


def sql(tier: Tier, statement: str, *values: object) -> None:
    tier.cache.close()
    with contextlib.closing(sqlite3.connect(tier.folder() / "cache.db")) as connection:
        connection.execute(statement, values)
        connection.commit()


def values(tier: Tier) -> list[tuple[int, bytes]]:
    with contextlib.closing(sqlite3.connect(tier.folder() / "cache.db")) as connection:
        return connection.execute("SELECT rowid, value FROM Cache").fetchall()


def test_what_was_read_once_is_not_asked_for_again_also_by_the_next_process(tier: Tier) -> None:
    for _ in range(3):
        tier.part(1)
        assert tier.backend.read("manifests/000000000001", MIB) == tier.inner.objects["manifests/000000000001"]
    assert tier.reads() == 2
    statistics = tier.cache.statistics()
    assert (statistics.hits, statistics.misses, statistics.hit_bytes) == (4, 2, 2 * (65_536 + 500))
    assert statistics.hit_ratio == pytest.approx(2 / 3)
    tier.cache.close()
    tier.again()
    tier.part(1)
    assert tier.reads() == 2


def test_what_changes_is_always_read_at_the_source(tier: Tier) -> None:
    for name in ("marks/cp_1.json", "keys/00.json"):
        for text in (b"1", b"2"):
            tier.inner.objects[name] = text
            assert tier.backend.read(name, 10) == tier.backend.read_range(name, 0, 1) == text
    assert tier.cache.statistics().misses == 0


def test_another_repository_at_the_same_place_finds_nothing_of_the_old_one(tier: Tier) -> None:
    tier.fill()
    tier.again("ff" * 16)
    tier.inner.objects["manifests/000000000001"] = b"of the new repository"
    assert tier.backend.read("manifests/000000000001", MIB) == b"of the new repository"


def test_errors_and_bounds_are_those_of_the_backend(tier: Tier) -> None:
    assert len(tier.backend.read("index/000001", MIB)) == 70_000
    with pytest.raises(IntegrityError, match="larger than 100 bytes"):
        tier.backend.read("index/000001", 100)
    with pytest.raises(MissingObjectError):
        tier.backend.read("packs/ab/none", MIB)
    with pytest.raises(IntegrityError):
        tier.backend.read_range(PACK, 2 * MIB - 1, 2)


def test_a_deleted_object_is_forgotten_with_all_its_parts(tier: Tier) -> None:
    tier.fill()
    tier.backend.read(PACK, 4 * MIB)
    tier.backend.delete(PACK)
    with pytest.raises(MissingObjectError):
        tier.backend.read(PACK, 4 * MIB)
    with pytest.raises(MissingObjectError):
        tier.backend.read_range(PACK, 70_001, 65_536)
    reads = tier.reads()
    tier.backend.read("manifests/000000000001", MIB)
    assert tier.reads() == reads


def test_a_repaired_object_is_read_anew(tier: Tier) -> None:
    tier.backend.read("index/000001", MIB)
    tier.backend.replace("index/000001", b"repaired")
    assert tier.backend.read("index/000001", MIB) == b"repaired"


def test_age_has_an_end_and_a_clock_that_was_set_back_makes_nothing_young(tier: Tier) -> None:
    tier.part(1)
    tier.clock.ahead_s = 3599.0
    tier.part(1)
    assert tier.reads() == 1
    tier.clock.ahead_s = 3601.0
    tier.part(1)
    assert tier.reads() == 2
    tier.clock.ahead_s = 0.0
    tier.part(1)
    assert tier.reads() == 3
    assert tier.cache.statistics().expired == 2


@pytest.mark.parametrize("bytes_max", [MIB, 2 * MIB])
def test_the_bound_holds_at_every_moment_of_ten_times_as_many_bytes(tmp_path: Path, bytes_max: int) -> None:
    tier = Tier(tmp_path / "cache", bytes_max=bytes_max)
    rng = random.Random(1)
    written = most = 0
    while written < 10 * bytes_max:
        # Many small values first: large ones then need the room of more of them than diskcache drops for one.
        length = 700 if written < bytes_max else rng.choice([300, 40_000, 65_536, 131_072])
        offset = rng.randrange(2 * MIB - length)
        assert tier.backend.read_range(PACK, offset, length) == tier.inner.objects[PACK][offset : offset + length]
        written += length
        most = max(most, tier.bytes_now())
    assert bytes_max * 0.5 < most <= bytes_max
    assert tier.cache.statistics().rebuilt == 0
    assert tier.cache.statistics().bytes_now == tier.bytes_now()


def test_what_is_used_stays_and_what_is_not_used_goes(tmp_path: Path) -> None:
    tier = Tier(tmp_path / "cache", bytes_max=2 * MIB)
    tier.backend.read("manifests/000000000001", MIB)
    tier.part(0)
    for number in range(1, 120):
        tier.part(number)
        tier.backend.read("manifests/000000000001", MIB)
    assert tier.inner.calls["read"] == 1
    reads = tier.reads()
    tier.part(0)
    assert tier.reads() == reads + 1


def test_a_value_larger_than_its_share_is_not_kept(tmp_path: Path) -> None:
    tier = Tier(tmp_path / "cache", bytes_max=MIB)
    for _ in range(2):
        tier.backend.read_range(PACK, 0, MIB // 8 + 1)
    assert tier.reads() == 2


@pytest.mark.parametrize(("bytes_max", "ttl_s"), [(0, 60.0), (1000, 60.0), (8 * MIB, 0.0)])
def test_a_cache_that_is_switched_off_makes_no_files(tmp_path: Path, bytes_max: int, ttl_s: float) -> None:
    tier = Tier(tmp_path / "cache", bytes_max=bytes_max, ttl_s=ttl_s)
    tier.fill()
    tier.backend.delete("index/000001")
    assert not tier.directory.exists()
    assert "off" in tier.cache.statistics().bypassed


def test_the_files_are_private(tier: Tier) -> None:
    tier.directory.mkdir(mode=0o755)
    tier.fill()
    paths = [tier.directory, *tier.directory.rglob("*")]
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths if path.is_dir()} == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths if path.is_file()} == {0o600}


def test_a_planted_pickle_is_refused_and_does_not_run(tier: Tier, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    # Protocol 0, by hand: open(ran, "w").
    hostile = f"cbuiltins\nopen\n(V{ran}\nVw\ntR.".encode()
    with diskcache.Cache(str(tmp_path / "stock")) as stock:
        stock["key"] = b""
        stock._sql("UPDATE Cache SET mode=4, value=?", (hostile,))
        stock["key"].close()
    assert ran.exists(), "diskcache as it comes runs it"
    ran.unlink()
    tier.fill(3)
    sql(tier, "UPDATE Cache SET mode=4, value=?", hostile)
    tier.fill(3)
    assert tier.cache.statistics().refused == 4
    sql(tier, "UPDATE Cache SET raw=0, key=? WHERE rowid=1", hostile)
    tier.fill(3)
    tier.backend.delete(PACK)
    assert not ran.exists()


@pytest.mark.parametrize("mode", [1, 2, 3, 4])
def test_a_row_that_names_a_file_neither_reads_nor_deletes_it(tier: Tier, tmp_path: Path, mode: int) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    tier.fill(3)
    sql(tier, "UPDATE Cache SET mode=?, filename=?, value=NULL", mode, str(victim))
    tier.fill(3)
    sql(tier, "UPDATE Cache SET mode=?, filename='../../victim', expire_time=1", mode)
    tier.fill(30)
    tier.backend.forget(PACK)
    assert victim.read_bytes() == b"precious"


def test_values_under_the_wrong_key_and_changed_values_are_refused(tier: Tier) -> None:
    tier.fill(3)
    sql(tier, "UPDATE Cache SET value=(SELECT value FROM Cache WHERE rowid=2) WHERE rowid=1")
    (data,) = [value for number, value in values(tier) if number == 3]
    sql(tier, "UPDATE Cache SET value=? WHERE rowid=3", data[:5000] + bytes([data[5000] ^ 1]) + data[5001:])
    sql(tier, "UPDATE Cache SET value='text' WHERE rowid=4")
    tier.fill(3)
    assert tier.cache.statistics().refused == 3
    assert tier.reads() == 7


@pytest.mark.parametrize(
    ("key", "value"),
    [("get", "x"), ("_disk", 1), ("sqlite_writable_schema", 1), ("disk_x", 1), ("cull_limit", "x"), ("size", 1 << 62)],
)
def test_hostile_settings_in_the_file_cost_a_rebuild_at_most(tier: Tier, key: str, value: object) -> None:
    tier.fill(3)
    sql(tier, "INSERT OR REPLACE INTO Settings VALUES(?, ?)", key, value)
    tier.again()
    tier.fill(3)
    tier.fill(3)
    # What diskcache itself could have written is believed, and only makes the cache forgetful.
    assert tier.cache.statistics().rebuilt == (key != "size")
    assert tier.bytes_now() <= tier.settings.bytes_max


def test_damage_anywhere_in_the_files_never_gives_a_wrong_answer(tmp_path: Path) -> None:
    tier = Tier(tmp_path / "cache", bytes_max=MIB)
    rng = random.Random(11)
    rebuilt = refused = 0
    for number in range(120):
        tier.fill(8)
        if number % 2:
            tier.cache.close()
            statistics = tier.cache.statistics()
            rebuilt, refused = rebuilt + statistics.rebuilt, refused + statistics.refused
            tier.again()
        for path in sorted(tier.folder().iterdir()):
            data = bytearray(path.read_bytes())
            for _ in range(rng.choice([1, 20])):
                if data:
                    place = rng.randrange(rng.choice([100, 4096 * 8, len(data)])) % len(data)
                    length = rng.choice([1, 1, 30])
                    data[place : place + length] = rng.randbytes(len(data[place : place + length]))
            damaged = [data, data, data[: rng.randrange(len(data) + 1)], b"", b"garbage" * 100, bytes(len(data))]
            # Written in place, as a failing disk would: whoever has the file open sees it.
            path.write_bytes(bytes(damaged[number % len(damaged)]))
        tier.fill(8)
        if tier.cache.statistics().bypassed:
            tier.cache.close()
            tier.again()
    assert rebuilt > 10
    assert refused > 0


def test_a_folder_that_is_deleted_while_in_use_is_made_anew(tier: Tier) -> None:
    tier.fill()
    shutil.rmtree(tier.directory)
    tier.fill()
    tier.fill()
    reads = tier.reads()
    tier.fill()
    assert tier.reads() == reads
    assert tier.cache.statistics().rebuilt == 1


def test_a_place_that_cannot_hold_a_cache_is_left_alone_after_a_few_attempts(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    tier = Tier(tmp_path / "cache")
    tier.fill()
    tier.backend.delete("index/000001")
    statistics = tier.cache.statistics()
    assert (statistics.hits, statistics.rebuilt) == (0, REBUILDS_MAX + 1)
    assert "FileExistsError" in statistics.bypassed
    assert (tmp_path / "cache").read_text() == "a file"


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "cache").symlink_to(tmp_path / "elsewhere")
    tier = Tier(tmp_path / "cache")
    tier.fill()
    assert tier.cache.statistics().bypassed
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_locked_file_delays_a_read_once_and_is_not_thrown_away(tier: Tier) -> None:
    tier.fill()
    with contextlib.closing(sqlite3.connect(tier.folder() / "cache.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        started = time.monotonic()
        tier.fill()
        tier.again()
        tier.fill()
        assert time.monotonic() - started < 2.0
        assert (tier.opened[0].statistics().busy, tier.cache.statistics().busy) == (1, 1)
        other.execute("ROLLBACK")
    tier.clock.ahead_s = 10.0
    reads = tier.reads()
    tier.fill()
    assert tier.reads() == reads
    assert tier.cache.statistics().rebuilt == 0


def test_threads_share_a_cache(tier: Tier) -> None:
    def work(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(60):
            tier.part(rng.randrange(10))
            if rng.random() < 0.05:
                tier.backend.forget(PACK)

    with ThreadPoolExecutor(6) as pool:
        for one in [pool.submit(work, seed) for seed in range(6)]:
            one.result()
    assert tier.cache.statistics().rebuilt == 0
    assert tier.cache.statistics().hits > 200


WORKER = """
import random, sys
from pathlib import Path
from maos_ckpt.backends import read_cache
from tests.backends.test_cache import MIB, PACK, Tier
seed, directory = int(sys.argv[1]), Path(sys.argv[2])
tier = Tier(directory, bytes_max=MIB)
rng = random.Random(seed)
print("ready", flush=True)
for number in range(150):
    tier.part(rng.randrange(20))
    if rng.random() < 0.02:
        tier.backend.forget(PACK)
    if seed == 1 and number % 50 == 49:
        tier.cache._rebuild("a test")
statistics = tier.cache.statistics()
print(statistics.hits, statistics.rebuilt, repr(statistics.bypassed), flush=True)
"""


def worker(directory: Path, seed: int) -> subprocess.Popen[str]:
    environment = child_environment()
    environment["PYTHONPATH"] += f":{Path(__file__).parents[2]}"
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, str(seed), str(directory)], stdout=subprocess.PIPE, text=True, env=environment
    )


def test_processes_share_a_cache_though_one_throws_it_away_and_one_is_killed(tmp_path: Path) -> None:
    directory = tmp_path / "cache"
    workers = [worker(directory, seed) for seed in range(4)]
    doomed = worker(directory, 99)
    assert doomed.stdout is not None
    doomed.stdout.readline()
    time.sleep(0.05)
    doomed.kill()
    doomed.communicate()
    ends = [(one.communicate(timeout=60)[0].splitlines()[-1], one.returncode) for one in workers]
    assert [code for _, code in ends] == [0] * 4, ends
    assert sum(int(line.split()[0]) for line, _ in ends) > 0, ends
    tier = Tier(directory, bytes_max=MIB)
    tier.fill()
    tier.fill()
    assert tier.bytes_now() <= MIB
    assert tier.cache.statistics().rebuilt == 0


FULL = """
import resource, sys
from pathlib import Path
from tests.backends.test_cache import Tier
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
tier = Tier(Path(sys.argv[1]))
for _ in range(10):
    tier.fill()
print(tier.cache.statistics().bypassed)
"""


def test_a_disk_that_takes_no_more_costs_speed_only(tmp_path: Path) -> None:
    environment = child_environment()
    environment["PYTHONPATH"] += f":{Path(__file__).parents[2]}"
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path / "cache")], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert "Error" in done.stdout


def test_the_library_is_loaded_by_the_first_read_only(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom pathlib import Path\nimport maos_ckpt.backends.cached\n"
        "from maos_ckpt.backends.read_cache import *\nfrom maos_ckpt.seams import SYSTEM\n"
        "cache = ReadCache(Path(sys.argv[1]), CacheSettings(1 << 21, 60.0), SYSTEM)\n"
        "assert 'diskcache' not in sys.modules and 'sqlite3' not in sys.modules\n"
        "assert cache.get('x') is None and 'diskcache' in sys.modules\n"
    )
    arguments = [sys.executable, "-c", script, str(tmp_path / "cache")]
    subprocess.run(arguments, check=True, env=child_environment(), timeout=30)
