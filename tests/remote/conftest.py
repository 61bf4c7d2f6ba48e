"""Engines that serve, and the clients that are attached to them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from maos_ckpt.api.address import unix_address
from maos_ckpt.api.doors import Doors
from maos_ckpt.api.places import find_socket
from maos_ckpt.api.remote import RemoteClient
from maos_ckpt.client import EngineClient
from maos_ckpt.config import Config
from maos_ckpt.config.types import Server
from maos_ckpt.local import LocalClient
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.seams import SYSTEM
from tests.engine.support import WAIT_S, Events, wait_until
from tests.lab.build import build_state

NEVER_S = 3600.0
EMBEDDED, REMOTE = "embedded", "remote"


def make_workspace(directory: Path, **settings: object) -> Workspace:
    """A workspace on a small MAOS directory, without a repository yet."""
    team = directory / "team"
    build_state(team, directory / "claude", 150_000, seed=1, transcript_bytes=40_000)
    config = msgspec.structs.replace(Config(), **{"interval_seconds": NEVER_S, "max_checkpoints": 0, **settings})
    return Workspace(team / ".maos-ckpt", f"maos:{team}", directory / "claude", config, SYSTEM)


@dataclass
class Served:
    """An engine with its doors open."""

    workspace: Workspace
    local: LocalClient
    doors: Doors
    stopped: list[bool]

    @property
    def socket(self) -> Path:
        found = find_socket(self.workspace.repository)
        assert found is not None
        return found

    def client(self) -> RemoteClient:
        """A client at the Unix socket, not started."""
        return RemoteClient(unix_address(self.socket))


@contextlib.contextmanager
def served(workspace: Workspace, settings: Server | None = None) -> Iterator[Served]:
    """An engine behind its real doors; both are closed at the end."""
    local, stopped = LocalClient(workspace), list[bool]()
    doors = Doors(workspace.repository, settings or workspace.config.server, SYSTEM, Path)
    doors.prepare()
    local.start()
    try:
        doors.open(local, lambda: stopped.append(True))
        yield Served(workspace, local, doors, stopped)
    finally:
        doors.close()
        assert local.close(WAIT_S)


@contextlib.contextmanager
def attached(one: Served) -> Iterator[tuple[RemoteClient, Events]]:
    """A started client of a served engine, with a listener."""
    client, events = one.client(), Events()
    client.subscribe(events)
    try:
        client.start()
        yield client, events
    finally:
        assert client.close(WAIT_S)


@dataclass
class Subject:
    """A client of either kind on an engine of its own, with all that it has been told."""

    kind: str
    client: EngineClient
    events: Events
    workspace: Workspace

    @property
    def database(self) -> Path:
        return Path(self.workspace.source.removeprefix("maos:")) / "maos.db"


@pytest.fixture(scope="module", params=[EMBEDDED, REMOTE])
def subject(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
    """One engine for all tests of a module, once embedded and once through its socket."""
    workspace = make_workspace(tmp_path_factory.mktemp(request.param))
    if request.param == EMBEDDED:
        client, events = LocalClient(workspace), Events()
        client.subscribe(events)
        client.start()
        wait_until(lambda: bool(client.checkpoints()), "the first checkpoint")
        yield Subject(EMBEDDED, client, events, workspace)
        assert client.close(WAIT_S)
        return
    with served(workspace) as one, attached(one) as (remote, heard):
        wait_until(lambda: bool(remote.checkpoints()), "the first checkpoint")
        yield Subject(REMOTE, remote, heard, workspace)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One served engine for the tests of a module."""
    with served(make_workspace(tmp_path_factory.mktemp("served"))) as one:
        # An engine saves as soon as it starts.
        wait_until(lambda: bool(one.local.checkpoints()), "the first checkpoint")
        yield one
