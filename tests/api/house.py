"""A real engine on a real small MAOS, with its API served on loopback; for tests and benchmarks alike."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import msgspec

from maos_ckpt.api.application import PREFIX
from maos_ckpt.api.doors import Doors
from maos_ckpt.api.places import find_listening
from maos_ckpt.api.tokens import Tokens
from maos_ckpt.config import Config
from maos_ckpt.config.types import Server
from maos_ckpt.local import LocalClient
from maos_ckpt.model.access import Scope
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.seams import SYSTEM
from tests.engine.support import WAIT_S
from tests.lab.build import build_state

#: No scheduled save falls into a test.
FAR_S = 3600.0
#: Retention takes nothing away.
CHECKPOINTS = 100_000
HOST = "127.0.0.1"


@dataclass(frozen=True)
class House:
    """An engine and where its API is."""

    workspace: Workspace
    engine: LocalClient
    url: str
    #: With all scopes.
    token: str

    @property
    def directory(self) -> Path:
        """The MAOS directory."""
        return Path(self.workspace.source.removeprefix("maos:"))

    @property
    def database(self) -> Path:
        """Its database."""
        return self.directory / "maos.db"

    def token_for(self, scope: Scope) -> str:
        """A new token with this scope alone, and what it includes."""
        return Tokens(self.workspace.repository, SYSTEM).create(f"test {scope}", (scope,)).text

    @contextlib.contextmanager
    def http(self, token: str | None = None) -> Iterator[httpx2.Client]:
        """A client of the API; paths are below its prefix. Without a token it shows the one with all scopes."""
        shown = self.token if token is None else token
        headers = {"authorization": f"Bearer {shown}"} if shown else {}
        # Without TLS there is nothing to verify, and loading the certificates takes longer than a test.
        with httpx2.Client(base_url=self.url, timeout=WAIT_S, headers=headers, verify=False) as client:
            yield client


def workspace_at(root: Path, db_bytes: int, transcript_bytes: int = 50_000) -> Workspace:
    """A workspace on a fresh MAOS directory of some size, which saves when it is told to."""
    build_state(root / "team", root / "claude", db_bytes, seed=1, transcript_bytes=transcript_bytes)
    config = msgspec.structs.replace(Config(), interval_seconds=FAR_S, max_checkpoints=CHECKPOINTS)
    return Workspace(root / "team" / ".maos-ckpt", f"maos:{root / 'team'}", root / "claude", config, SYSTEM)


@contextlib.contextmanager
def house(workspace: Workspace) -> Iterator[House]:
    """An engine with one checkpoint, and its API at a port of its own."""
    engine = LocalClient(workspace)
    engine.start()
    doors = Doors(workspace.repository, Server(listen=(f"{HOST}:0",), requests_per_second=0), SYSTEM, Path)
    try:
        doors.prepare()
        engine.save("the first")
        doors.open(engine)
        listening = find_listening(workspace.repository)
        assert listening is not None
        url = next(one for one in listening.addresses if one.startswith("http")).rstrip("/")
        token = Tokens(workspace.repository, SYSTEM).create("tests", (Scope.ADMIN,)).text
        yield House(workspace, engine, url + PREFIX, token)
    finally:
        doors.close()
        assert engine.close(WAIT_S)
