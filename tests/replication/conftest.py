"""Homes of one system with a bucket that they share."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from maos_ckpt.backends.read_cache import CacheSettings
from maos_ckpt.capture.save import SaveRequest, save_checkpoint
from maos_ckpt.model import Checkpoint, Trigger
from maos_ckpt.repository.connect import RemoteSettings
from maos_ckpt.repository.remote_lease import RemoteLease
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import SYSTEM, Seams
from maos_ckpt.sources.spec import open_source
from tests.backends.servers import Server, moto_server
from tests.lab.build import build_state
from tests.lab.mutate import mutate

_NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with moto_server(tmp_path_factory.mktemp("moto") / "log") as server:
        yield server


class Site:
    """A MAOS directory, a bucket, and any number of homes that write to it."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.folder = folder
        self.directory = folder / "maos"
        self.claude = folder / "claude"
        build_state(self.directory, self.claude, 1_000_000, seed=3, transcript_bytes=50_000)
        self.source = open_source(f"maos:{self.directory}", claude_home=self.claude, seams=SYSTEM)
        s3 = server.settings(f"site-{next(_NUMBERS)}/one")
        self.remote = RemoteSettings(s3, CacheSettings(16 << 20, 3600))

    def home(self, name: str, seams: Seams = SYSTEM) -> Repository:
        return Repository.open_or_create(self.folder / name, self.source.spec, seams, remote=self.remote)

    def lease(self, repository: Repository) -> RemoteLease:
        return RemoteLease(repository.remote_copy, str(repository.path), repository.seams)

    def save(self, repository: Repository, description: str = "") -> Checkpoint:
        with repository.lease("save"):
            request = SaveRequest(Trigger.MANUAL, description)
            return save_checkpoint(repository, self.source, request, lambda _: None, repository.seams)

    def change(self, seed: int) -> None:
        mutate(self.directory, 0.03, seed)


@pytest.fixture
def site(tmp_path: Path, moto: Server) -> Site:
    return Site(tmp_path, moto)
