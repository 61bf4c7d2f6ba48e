"""What a home remembers of its remote copy is expendable: a file that cannot be used costs a listing, nothing else."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from maos_ckpt.errors import StorageError
from maos_ckpt.model import VerifyLevel
from maos_ckpt.replication.pull import make_home, pull
from maos_ckpt.replication.push import pending, push
from maos_ckpt.repository.remote_memory import RemoteMemory
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import SYSTEM
from maos_ckpt.verify import verify
from tests.replication.conftest import Site

_PAGE_BYTES = 4096


def _no_file(path: Path) -> None:
    """Nothing can be opened there, as where the file system is read-only or no file may be made."""
    path.unlink()
    path.mkdir()


def _no_database(path: Path) -> None:
    path.write_bytes(b"not a database" * 1000)


def _damaged_inside(path: Path) -> None:
    """The header is whole, the tables are not."""
    data = path.read_bytes()
    path.write_bytes(data[:_PAGE_BYTES] + b"\xff" * (len(data) - _PAGE_BYTES))


def _gone(path: Path) -> None:
    path.unlink()


@pytest.fixture
def second(site: Site) -> Path:
    """A home that came from the bucket, so that all packs lie there alone; closed."""
    first = site.home("first")
    for seed in range(2):
        site.change(seed)
        site.save(first, f"number {seed}")
    push(first, lease := site.lease(first))
    lease.release()
    home = make_home(site.folder / "second", site.remote, SYSTEM)
    pull(home)
    home.close()
    shutil.rmtree(home.path / "cache" / "reads", ignore_errors=True)
    return home.path


SPOILS: tuple[Callable[[Path], None], ...] = (_no_file, _no_database, _damaged_inside, _gone)


@pytest.mark.parametrize("read_only", [False, True], ids=["writable", "read-only"])
def test_what_lies_in_the_bucket_is_read_whatever_became_of_the_memory(
    site: Site, second: Path, read_only: bool
) -> None:
    for spoil in SPOILS:
        folder = Path(shutil.copytree(second, site.folder / spoil.__name__))
        spoil(folder / "cache" / "remote.sqlite")
        home = Repository.open(folder, SYSTEM, read_only=read_only, remote=site.remote)
        assert [one.description for one in home.checkpoints()] == ["number 1", "number 0"]
        assert verify(home, [], VerifyLevel.FULL).ok, spoil
        home.close()


def test_saves_and_replications_go_on_whatever_became_of_the_memory(site: Site, second: Path) -> None:
    for spoil in SPOILS:
        spoil(second / "cache" / "remote.sqlite")
        home = Repository.open(second, SYSTEM, remote=site.remote)
        site.change(7)
        site.save(home, spoil.__name__)
        push(home, lease := site.lease(home))
        lease.release()
        assert pending(home) == []
        home.close()
        with contextlib.suppress(OSError):
            (second / "cache" / "remote.sqlite").rmdir()
            Repository.open(second, SYSTEM, remote=site.remote).close()
    third = make_home(site.folder / "third", site.remote, SYSTEM)
    pull(third)
    names = [spoil.__name__ for spoil in reversed(SPOILS)]
    assert [one.description for one in third.checkpoints()] == [*names, "number 1", "number 0"]
    assert verify(third, [], VerifyLevel.FULL).ok


def test_nothing_is_removed_where_that_cannot_be_noted(
    site: Site, second: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _no_file(second / "cache" / "remote.sqlite")
    home = Repository.open(second, SYSTEM, remote=site.remote)
    assert "remote.sqlite cannot be used" in caplog.text
    with home.lease("delete"), pytest.raises(StorageError, match="cannot be read or written") as caught:
        home.remove(home.checkpoints()[1])
    assert "untouched" in caught.value.kept
    assert len(home.checkpoints()) == 2


def test_a_full_disk_refuses_in_one_sentence_and_a_listing_is_known_all_the_same(tmp_path: Path) -> None:
    memory = RemoteMemory(tmp_path / "remote.sqlite", "s3://somewhere")
    pages = memory._connection.execute("PRAGMA page_count").fetchone()[0]
    memory._connection.execute(f"PRAGMA max_page_count={pages}")
    packs = [(f"packs/{number:02x}/{number:064x}", number) for number in range(2000)]
    with pytest.raises(StorageError, match="full"):
        memory.doom([name for name, _ in packs])
    memory.replace(packs)
    assert len(memory.below("packs")) == len(packs)
    assert memory.unusable
    memory.close()
    again = RemoteMemory(tmp_path / "remote.sqlite", "s3://somewhere")
    assert (again.unusable, again.below("packs")) == ("", {})


def test_what_is_removed_while_it_is_not_known_what_lies_there_does_not_come_back(site: Site, second: Path) -> None:
    _gone(second / "cache" / "remote.sqlite")
    home = Repository.open(second, SYSTEM, remote=site.remote)
    gone = home.checkpoints()[1]
    with home.lease("delete"):
        home.remove(gone)
    push(home, site.lease(home))
    assert gone.id not in {one.id for one in home.checkpoints()}
    third = make_home(site.folder / "third", site.remote, SYSTEM)
    pull(third)
    assert gone.id not in {one.id for one in third.checkpoints()}
