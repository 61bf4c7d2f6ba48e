"""A repository of a few KB with a remote copy, and its objects in both tiers as bytes that a test may change."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from maos_ckpt.backends.base import HEADER_NAME, Backend
from maos_ckpt.backends.read_cache import CacheSettings
from maos_ckpt.capture.save import SaveRequest, save_checkpoint
from maos_ckpt.codec.crypto import PlainSealer
from maos_ckpt.fs import SystemFilesystem
from maos_ckpt.model import Checkpoint, Trigger
from maos_ckpt.operations.tiers import replicate
from maos_ckpt.replication.push import Pushed
from maos_ckpt.repository import repository as module
from maos_ckpt.repository.connect import RemoteSettings
from maos_ckpt.repository.remote import MIRRORED, RemoteCopy
from maos_ckpt.repository.remote_lease import RemoteLease
from maos_ckpt.repository.remote_memory import RemoteMemory
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import SYSTEM, Seams
from maos_ckpt.sources.spec import open_source
from tests.backends.memory import MemoryBackend
from tests.backends.servers import Server, moto_server

_NUMBERS = itertools.count()
LOCAL_DIRECTORIES = ("manifests", "packs", "marks")


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with moto_server(tmp_path_factory.mktemp("moto") / "log") as server:
        yield server


class _Unsynced(SystemFilesystem):
    """Thousands of repairs need not survive a power cut each."""

    def sync(self, fd: int) -> None:
        pass

    def sync_directory(self, path: Path) -> None:
        pass


class Pair:
    """A small database, its home, and the home's remote copy."""

    def __init__(self, folder: Path, remote: RemoteSettings | None, seams: Seams = SYSTEM) -> None:
        self.seams = seams
        self.database = folder / "small.db"
        self.path = folder / "home"
        self.remote = remote
        with contextlib.closing(sqlite3.connect(self.database)) as connection, connection:
            connection.execute("CREATE TABLE notes(id INTEGER PRIMARY KEY, text TEXT)")
            connection.execute("INSERT INTO notes(text) VALUES('first'), ('second')")
        self.source = open_source(f"sqlite:{self.database}", claude_home=folder, seams=seams)
        self.home = Repository.open_or_create(self.path, self.source.spec, seams, remote=remote)

    def reopen(self) -> Repository:
        self.home.close()
        self.home = Repository.open(self.path, self.seams, remote=self.remote)
        return self.home

    def add(self, text: str) -> None:
        with contextlib.closing(sqlite3.connect(self.database)) as connection, connection:
            connection.execute("INSERT INTO notes(text) VALUES(?)", (text,))

    def save(self) -> Checkpoint:
        with self.home.lease("save"):
            return save_checkpoint(self.home, self.source, SaveRequest(Trigger.MANUAL), lambda _: None, self.seams)

    def replicate(self) -> Pushed:
        lease = RemoteLease(self.home.remote_copy, str(self.path), self.seams)
        try:
            return replicate(self.home, lease)
        finally:
            lease.release()

    @property
    def bucket(self) -> Backend:
        return self.home.remote_copy.uncached

    def here(self) -> dict[str, bytes]:
        """The home's objects."""
        names = [HEADER_NAME, *(name for one in LOCAL_DIRECTORIES for name in self.home.backend.list(one))]
        return {name: (self.path / name).read_bytes() for name in names}

    def there(self) -> dict[str, bytes]:
        """The remote copy's objects."""
        names = [HEADER_NAME, *(name for one in MIRRORED for name, _ in self.bucket.entries(one))]
        return {name: self.bucket.read(name, 1 << 20) for name in names}

    def kept_aside(self) -> list[Path]:
        """Files in quarantine."""
        return sorted((self.path / "quarantine").iterdir())


def filled(pair: Pair) -> Pair:
    """Two replicated checkpoints, one of them pinned and tagged."""
    first = pair.save()
    pair.home.set_marks(first, pinned=True, tags=["good"])
    pair.add("third")
    pair.save()
    pair.replicate()
    return pair


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    """With the remote copy in this process's memory, so that thousands of rounds are quick."""
    bucket = MemoryBackend()
    memory = RemoteMemory(None, "memory")

    def connected(*_: object, **__: object) -> RemoteCopy:
        return RemoteCopy(lambda: bucket, "memory", memory, PlainSealer())

    memory_close: Callable[[], None] = memory.close
    monkeypatch.setattr(memory, "close", lambda: None)
    monkeypatch.setattr(module, "open_remote", connected)
    settings = RemoteSettings(None, CacheSettings(0, 1))  # type: ignore[arg-type]
    made = filled(Pair(tmp_path, settings, dataclasses.replace(SYSTEM, fs=_Unsynced())))
    yield made
    made.home.close()
    memory_close()


@pytest.fixture
def s3_pair(tmp_path: Path, moto: Server) -> Iterator[Pair]:
    """With the remote copy in a real S3 server."""
    s3 = moto.settings(f"pair-{next(_NUMBERS)}/one")
    made = filled(Pair(tmp_path, RemoteSettings(s3, CacheSettings(16 << 20, 3600))))
    yield made
    made.home.close()


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Pair]:
    """Without a remote copy."""
    made = Pair(tmp_path, None)
    yield made
    made.home.close()
