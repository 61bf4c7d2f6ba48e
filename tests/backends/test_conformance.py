"""What `Backend` promises, kept by every backend: a directory, S3, and both behind faults and retries."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from maos_ckpt.backends import s3, s3_listing, s3_multipart
from maos_ckpt.backends.base import HEADER_NAME, RANGE_BYTES_MAX, Backend
from maos_ckpt.backends.breaker import CircuitBreaker
from maos_ckpt.backends.local import LocalBackend
from maos_ckpt.backends.local_directory import TEMPORARY
from maos_ckpt.backends.retrying import RetryingBackend
from maos_ckpt.backends.s3 import S3Backend
from maos_ckpt.backends.s3_probe import choose_create_mode, probe
from maos_ckpt.errors import IntegrityError, MissingObjectError, PermissionRefusedError, UsageError
from maos_ckpt.seams import SYSTEM
from tests.backends.faulty import Fault, FaultyBackend, Kind
from tests.backends.servers import VARIABLES, Server
from tests.engine.clocks import VirtualClock, seams_with

METHODS = ("create", "create_file", "replace", "read", "read_range", "size", "delete", "entries")
DIRECTORIES = ["packs", "pack", "manifests", "marks", TEMPORARY]
NAME = "manifests/000000000042"
BAD_NAMES = (
    "", "/", "manifests", "manifests/", "/manifests/1", "manifests//1", "manifests/../1", "../manifests/1",
    "manifests/.", "Manifests/1", "manifests/A", "manifests/1/2/3", "manifests/1\n", "manifests/1\0", "manifests/ä",
    "maos-ckpt.json/1", f"manifests/{'1' * 81}", "manifests/1.txt", "manifests/1 ",
)  # fmt: skip


@dataclass
class Place:
    """A backend, and a way to put something there behind its back."""

    backend: Backend
    plant: Callable[[str, bytes], None]


def with_faults(backend: Backend) -> Backend:
    """Every other call fails: one before it is carried out, the next after it."""
    seams = seams_with(VirtualClock())
    before = [Fault(method, range(0, 10_000, 4), Kind.BEFORE) for method in METHODS]
    after = [Fault(method, range(2, 10_000, 4), Kind.AFTER) for method in METHODS]
    # Of many threads' calls together, many in a row fail; opening the circuit is not the matter here.
    breaker = CircuitBreaker(seams, failures_max=1000)
    return RetryingBackend(FaultyBackend(backend, seams.clock, before + after), seams, breaker=breaker)


@contextmanager
def s3_backend(server: Server) -> Iterator[S3Backend]:
    backend = S3Backend(server.settings(f"conformance/{os.urandom(8).hex()}"), SYSTEM)
    backend.create_mode = choose_create_mode(probe(backend, SYSTEM), single_writer=False)
    yield backend
    backend.close()
    backend.close()


@pytest.fixture(scope="session")
def moto_backend(moto: Server) -> Iterator[S3Backend]:
    with s3_backend(moto) as backend:
        yield backend


@pytest.fixture(scope="session")
def second_backend(second: Server) -> Iterator[S3Backend]:
    with s3_backend(second) as backend:
        yield backend


def s3_place(backend: S3Backend) -> Place:
    def plant(path: str, data: bytes) -> None:
        key = f"{backend.client.settings.prefix}/{path}"
        backend.client.call("put_object", Key=key, Body=data)

    found = [item["Key"] for item in backend.client.call("list_objects_v2", Prefix="conformance/").get("Contents", [])]
    for key in found:
        backend.client.call("delete_object", Key=key)
    return Place(backend, plant)


def local_place(root: Path) -> Place:
    backend = LocalBackend(root, SYSTEM)
    backend.make_directories(DIRECTORIES)

    def plant(path: str, data: bytes) -> None:
        (root / path).write_bytes(data)

    return Place(backend, plant)


PLACES = ["local", "moto", *(["second"] if os.environ.get(VARIABLES[0]) else [])]


@pytest.fixture(params=[f"{place}{faults}" for place in PLACES for faults in ("", "-faults")])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    kind, _, faults = request.param.partition("-")
    if kind == "local":
        made = local_place(tmp_path / "repository")
    else:
        made = s3_place(request.getfixturevalue(f"{kind}_backend"))
    if faults:
        made.backend = with_faults(made.backend)
    return made


@pytest.fixture
def backend(place: Place) -> Backend:
    return place.backend


def write(path: Path, data: bytes) -> tuple[Path, str]:
    path.write_bytes(data)
    return path, hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("name", [NAME, "packs/3f/3f00", "marks/cp_1.json", HEADER_NAME])
@pytest.mark.parametrize("data", [b"", b"x", bytes(range(256)) * 300], ids=len)
def test_what_was_created_is_read_back(backend: Backend, name: str, data: bytes) -> None:
    assert backend.create(name, data)
    assert backend.read(name, len(data)) == data
    assert backend.size(name) == len(data)


def test_a_taken_name_stays_as_it_is_and_says_so(backend: Backend) -> None:
    assert backend.create(NAME, b"first")
    assert not backend.create(NAME, b"other")
    assert not backend.create(NAME, b"a longer one")
    assert backend.create(NAME, b"first")
    assert backend.read(NAME, 100) == b"first"


def test_a_replaced_object_is_the_new_one(backend: Backend) -> None:
    backend.replace(NAME, b"first")
    backend.replace(NAME, b"the second")
    assert backend.read(NAME, 100) == b"the second"
    assert not backend.create(NAME, b"first")


def test_a_missing_object_is_missing(backend: Backend) -> None:
    assert backend.size(NAME) is None
    with pytest.raises(MissingObjectError, match=NAME):
        backend.read(NAME, 100)
    with pytest.raises(MissingObjectError, match=NAME):
        backend.read_range(NAME, 0, 1)


def test_an_object_larger_than_asked_for_is_refused(backend: Backend) -> None:
    backend.create(NAME, b"12345")
    with pytest.raises(IntegrityError, match="larger than 4 bytes"):
        backend.read(NAME, 4)


def test_a_range_is_exactly_that_range(backend: Backend) -> None:
    data = os.urandom(5000)
    backend.create(NAME, data)
    for offset, length in [(0, 5000), (0, 1), (4999, 1), (1234, 2345), (0, 0), (5000, 0)]:
        assert backend.read_range(NAME, offset, length) == data[offset : offset + length]


@pytest.mark.parametrize(("offset", "length"), [(0, 6), (5, 1), (4, 2), (1 << 40, 10)])
def test_a_range_beyond_the_end_is_an_integrity_error(backend: Backend, offset: int, length: int) -> None:
    backend.create(NAME, b"12345")
    with pytest.raises(IntegrityError, match="ends before"):
        backend.read_range(NAME, offset, length)


@pytest.mark.parametrize(("offset", "length"), [(-1, 1), (0, -1), (0, RANGE_BYTES_MAX + 1)])
def test_a_range_that_cannot_be_is_refused_before_it_is_asked_for(backend: Backend, offset: int, length: int) -> None:
    with pytest.raises(UsageError):
        backend.read_range(NAME, offset, length)


def test_names_of_another_form_are_refused_at_the_door(backend: Backend, tmp_path: Path) -> None:
    path, sha256 = write(tmp_path / "file", b"x")
    calls: list[Callable[[str], object]] = [
        lambda name: backend.create(name, b"x"),
        lambda name: backend.create_file(name, path, sha256=sha256),
        lambda name: backend.replace(name, b"x"),
        lambda name: backend.read(name, 1),
        lambda name: backend.read_range(name, 0, 1),
        lambda name: backend.size(name),
        lambda name: backend.delete(name),
        lambda name: list(backend.entries("manifests", name or "?")),
    ]
    for name in BAD_NAMES:
        for call in calls:
            with pytest.raises(UsageError):
                call(name)
    for directory in ("", "/", "..", "manifests/", "../packs", "a/b/c", "Packs"):
        with pytest.raises(UsageError):
            list(backend.entries(directory))
    assert list(backend.entries("manifests")) == []


def test_a_listing_has_all_names_below_in_byte_order(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_listing, "_PAGE_MAX", 3)
    names = sorted(["packs/3f", "packs/3f/aa", "packs/3f_/a", "packs/30", "packs/3f0", "packs/a_b", "packs/zz/0.json"])
    # A directory cannot have a file's name on a file system, so that pair is left to the object stores.
    names.remove("packs/3f")
    for size, name in enumerate(reversed(names)):
        backend.replace(name, b"x" * size)
    backend.replace("pack/1", b"")
    backend.replace(NAME, b"")
    sizes = {name: size for size, name in enumerate(reversed(names))}
    assert list(backend.entries("packs")) == [(name, sizes[name]) for name in names]
    assert list(backend.entries("packs/3f")) == [("packs/3f/aa", sizes["packs/3f/aa"])]
    for index, name in enumerate(names):
        assert [one for one, _ in backend.entries("packs", name)] == names[index + 1 :]
    assert [one for one, _ in backend.entries("packs", "packs/31")] == names[1:]


def test_what_others_put_there_is_passed_over(place: Place) -> None:
    place.backend.create(NAME, b"x")
    for foreign in ("manifests/Thumbs.db", "manifests/.hidden", "manifests/0.txt", "manifests/zz zz"):
        place.plant(foreign, b"x")
    assert list(place.backend.entries("manifests")) == [(NAME, 1)]


def test_deleted_objects_are_gone_and_may_be_deleted_again(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "_DELETE_BATCH_MAX", 3)
    names = [f"marks/{number:03d}" for number in range(8)]
    for name in names:
        backend.replace(name, b"x")
    backend.delete(*names[:4], "marks/never", *names[4:7])
    assert list(backend.entries("marks")) == [(names[7], 1)]
    backend.delete(*names)
    backend.delete(*names)
    backend.delete()
    assert list(backend.entries("marks")) == []
    assert backend.create(names[0], b"anew")


def test_no_name_goes_where_one_of_them_is_wrong(backend: Backend) -> None:
    backend.create(NAME, b"x")
    with pytest.raises(UsageError):
        backend.delete(NAME, "../outside")
    assert backend.size(NAME) == 1


@pytest.mark.parametrize("size", [0, 1000, 5_000_000 + 1, 2 * 5_242_880 + 7], ids=lambda size: f"{size} bytes")
def test_a_file_becomes_an_object(backend: Backend, tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (s3, s3_multipart):
        monkeypatch.setattr(module, "PART_BYTES", 5 << 20)
    data = os.urandom(size)
    path, sha256 = write(tmp_path / "pack", data)
    name = f"packs/{sha256[:2]}/{sha256}"
    assert backend.create_file(name, path, sha256=sha256)
    assert backend.create_file(name, path, sha256=sha256)
    assert backend.size(name) == size
    assert backend.read(name, size) == data == path.read_bytes()
    assert backend.create(name, data)
    other, other_sha256 = write(tmp_path / "other", os.urandom(size + 1))
    assert not backend.create_file(name, other, sha256=other_sha256)
    assert backend.read(name, size) == data


@pytest.mark.parametrize("size", [1000, 5_242_880 + 1], ids=lambda size: f"{size} bytes")
def test_a_file_that_holds_something_else_is_not_stored(
    backend: Backend, tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (s3, s3_multipart):
        monkeypatch.setattr(module, "PART_BYTES", 5 << 20)
    path, _ = write(tmp_path / "pack", os.urandom(size))
    with pytest.raises(IntegrityError, match="does not hold what it should"):
        backend.create_file("packs/00/00", path, sha256="0" * 64)
    assert backend.size("packs/00/00") is None
    assert list(backend.entries("packs")) == []


def take(backend: Backend, name: str, writers: list[bytes]) -> list[bytes]:
    """The writers that were told that the name holds their data, of all that tried at the same moment."""
    start = threading.Barrier(len(writers))

    def work(data: bytes) -> bool:
        start.wait()
        return backend.create(name, data)

    with ThreadPoolExecutor(len(writers)) as pool:
        return [data for data, won in zip(writers, pool.map(work, writers), strict=True) if won]


def test_one_of_many_writers_at_the_same_moment_takes_a_name(backend: Backend) -> None:
    for number in range(6):
        name = f"manifests/{number:012d}"
        won = take(backend, name, [os.urandom(100) for _ in range(8)])
        assert len(won) == 1
        assert backend.read(name, 100) == won[0]


def test_many_threads_write_side_by_side(backend: Backend) -> None:
    names = [f"packs/{number % 3:02d}/{number:02d}" for number in range(24)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: backend.replace(name, name.encode()), names))
    assert [name for name, _ in backend.entries("packs")] == sorted(names)


def test_a_location_says_where_without_secrets(backend: Backend) -> None:
    assert backend.location
    assert "test:" not in backend.location


def test_a_wrong_secret_is_refused_by_a_store_that_checks_it(second: Server) -> None:
    backend = S3Backend(second.settings("conformance", secret_access_key="wrong"), SYSTEM)
    for call in (lambda: backend.create(NAME, b"x"), lambda: list(backend.entries("manifests"))):
        with pytest.raises(PermissionRefusedError, match="refuses the credentials"):
            call()
    backend.close()


def test_a_second_implementation_of_s3_was_run_against_as_well(second_backend: S3Backend) -> None:
    assert "second" in PLACES
    second_backend.replace(NAME, b"x")
    assert second_backend.read(NAME, 1) == b"x"
