"""A MAOS that is protected as well as it can be: an encrypted repository with a copy in a bucket."""

from __future__ import annotations

import hashlib
import itertools
import os
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
import msgspec
import pytest

from maos_ckpt.config import Config
from maos_ckpt.config.types import Drill, S3Storage, Storage
from maos_ckpt.model import Progress, Trigger
from maos_ckpt.model.drills import DrillReport, DrillScenario, ScenarioResult
from maos_ckpt.operations import checkpoints, drills
from maos_ckpt.operations.tiers import replicate_now
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.seams import SYSTEM
from tests.backends.servers import Server, moto_server
from tests.lab.build import build_state

_NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with moto_server(tmp_path_factory.mktemp("moto") / "log") as server:
        yield server


def fingerprint(folder: Path) -> dict[str, str]:
    """Every file below a folder: its bytes, size, inode and times."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            stat = path.stat()
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            found[str(path.relative_to(folder))] = f"{digest} {stat.st_ino} {stat.st_mtime_ns} {stat.st_mode}"
    return found


def open_files(below: Path) -> dict[str, bool]:
    """Files below a folder that this process has open, and whether for writing."""
    found = {}
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            path = os.readlink(f"/proc/self/fd/{descriptor}")
            info = Path(f"/proc/self/fdinfo/{descriptor}").read_text()
        except OSError:
            continue
        if path.startswith(f"{below}/"):
            flags = next(int(line.split()[1], 8) for line in info.splitlines() if line.startswith("flags:"))
            found[path] = flags & os.O_ACCMODE != os.O_RDONLY
    return found


@dataclass
class Protected:
    """A MAOS with a repository and, where there is a server, a bucket. Drills never write to the MAOS, so tests share
    one; repository and bucket are a test's own, since tests break them."""

    team: Path
    workspace: Workspace
    server: Server | None = None

    @classmethod
    def build(cls, folder: Path, server: Server | None, *, encrypted: bool) -> Protected:
        """A MAOS, saved once and replicated."""
        team, claude = folder / "team", folder / "claude"
        build_state(team, claude, 150_000, seed=5, transcript_bytes=30_000)
        config = Config()
        if server is not None:
            s3 = S3Storage(
                bucket=server.bucket,
                prefix=f"drill-{next(_NUMBERS)}",
                endpoint_url=server.endpoint,
                access_key_id=server.access_key,
                secret_access_key=server.secret_key,
            )
            config = msgspec.structs.replace(config, storage=Storage(s3=s3))
        if encrypted:
            key = folder / "key"
            key.write_bytes(random.Random(1).randbytes(64))
            config = msgspec.structs.replace(config, encryption_enabled=True, encryption_key=f"file:{key}")
        made = cls(team, Workspace(folder / "repository", f"maos:{team}", claude, config, SYSTEM), server)
        checkpoints.save(made.workspace, Trigger.MANUAL, "", (), lambda step: None)
        if server is not None:
            replicate_now(made.workspace)
        return made

    def copy(self, folder: Path) -> Protected:
        """The same MAOS with a repository and a prefix of its own."""
        shutil.copytree(self.repository, folder / "repository")
        config = self.workspace.config
        if self.server is not None:
            s3 = msgspec.structs.replace(config.storage.s3, prefix=f"drill-{next(_NUMBERS)}")
            for key in self.bucket():
                target = s3.prefix + key.removeprefix(config.storage.s3.prefix)
                place = {"Bucket": self.server.bucket, "Key": key}
                self.client.copy_object(Bucket=self.server.bucket, Key=target, CopySource=place)
            config = msgspec.structs.replace(config, storage=Storage(s3=s3))
        workspace = replace(self.workspace, repository=folder / "repository", config=config)
        return Protected(self.team, workspace, self.server)

    @property
    def repository(self) -> Path:
        return self.workspace.repository

    @property
    def claude(self) -> Path:
        return self.workspace.claude_home

    @cached_property
    def client(self) -> Any:
        assert self.server is not None
        return boto3.client(
            "s3",
            endpoint_url=self.server.endpoint,
            aws_access_key_id=self.server.access_key,
            aws_secret_access_key=self.server.secret_key,
            region_name="us-east-1",
        )

    def configure(self, **drill: object) -> None:
        config = msgspec.structs.replace(self.workspace.config, drill=Drill(**drill))
        self.workspace = replace(self.workspace, config=config)

    def drill(
        self,
        *scenarios: DrillScenario,
        name: str = drills.LATEST,
        progress: Callable[[Progress], None] = lambda step: None,
    ) -> DrillReport:
        names = tuple(one.value for one in scenarios)
        return drills.drill(self.workspace, name, names, drills.MANUAL, "a test", progress)

    def one(self, scenario: DrillScenario) -> ScenarioResult:
        """Play one scenario that applies."""
        (result,) = self.drill(scenario).scenarios
        assert result.applicable, result.why
        return result

    def bucket(self) -> dict[str, str]:
        """What lies in the bucket below this system's prefix: key → tag and time."""
        assert self.server is not None
        prefix = f"{self.workspace.config.storage.s3.prefix}/"
        listed = self.client.list_objects_v2(Bucket=self.server.bucket, Prefix=prefix).get("Contents", [])
        return {one["Key"]: f"{one['ETag']} {one['LastModified']}" for one in listed}

    def empty_bucket(self, part: str) -> None:
        """Remove every object of the bucket with this in its key."""
        assert self.server is not None
        gone = [key for key in self.bucket() if part in key]
        assert gone
        for key in gone:
            self.client.delete_object(Bucket=self.server.bucket, Key=key)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory, moto: Server) -> Protected:
    return Protected.build(tmp_path_factory.mktemp("protected"), moto, encrypted=True)


@pytest.fixture(scope="session")
def template_alone(tmp_path_factory: pytest.TempPathFactory) -> Protected:
    return Protected.build(tmp_path_factory.mktemp("alone"), None, encrypted=False)


@pytest.fixture
def protected(tmp_path: Path, template: Protected) -> Protected:
    """Encrypted, and in a bucket."""
    return template.copy(tmp_path)


@pytest.fixture
def alone(tmp_path: Path, template_alone: Protected) -> Protected:
    """In the clear, on this machine alone."""
    return template_alone.copy(tmp_path)
