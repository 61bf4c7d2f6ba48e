"""A real engine on a real small MAOS, with its API served on loopback; for tests and benchmarks alike."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import httpx2
import msgspec
from starlette.types import Scope as AsgiScope

from maos_ckpt.api.application import PREFIX, application
from maos_ckpt.api.guard import Caller, Guard
from maos_ckpt.api.listeners import Listener
from maos_ckpt.api.serving import Server
from maos_ckpt.config import Config
from maos_ckpt.local import LocalClient
from maos_ckpt.model.access import ALL_SCOPES
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.seams import SYSTEM
from tests.engine.support import WAIT_S
from tests.lab.build import build_state

#: No scheduled save falls into a test.
FAR_S = 3600.0
#: Retention takes nothing away.
CHECKPOINTS = 100_000
HOST = "127.0.0.1"


class OneToken(Guard):
    """Lets in who shows one token, with all scopes."""

    text = "a-token-of-the-tests-alone"
    headers: ClassVar[dict[str, str]] = {"authorization": f"Bearer {text}"}

    def admit(self, scope: AsgiScope) -> Caller:
        """See `Guard.admit`."""
        if dict(scope["headers"]).get(b"authorization") == f"Bearer {self.text}".encode():
            return Caller("tests", ALL_SCOPES)
        return super().admit(scope)


@dataclass(frozen=True)
class House:
    """An engine and where its API is."""

    workspace: Workspace
    engine: LocalClient
    url: str

    @property
    def directory(self) -> Path:
        """The MAOS directory."""
        return Path(self.workspace.source.removeprefix("maos:"))

    @property
    def database(self) -> Path:
        """Its database."""
        return self.directory / "maos.db"

    @contextlib.contextmanager
    def http(self, **settings: object) -> Iterator[httpx2.Client]:
        """A client of the API; paths are below its prefix."""
        with httpx2.Client(base_url=self.url, timeout=WAIT_S, **settings) as client:  # type: ignore[arg-type]
            yield client


def workspace_at(root: Path, db_bytes: int, transcript_bytes: int = 50_000) -> Workspace:
    """A workspace on a fresh MAOS directory of some size, which saves when it is told to."""
    build_state(root / "team", root / "claude", db_bytes, seed=1, transcript_bytes=transcript_bytes)
    config = msgspec.structs.replace(Config(), interval_seconds=FAR_S, max_checkpoints=CHECKPOINTS)
    return Workspace(root / "team" / ".maos-ckpt", f"maos:{root / 'team'}", root / "claude", config, SYSTEM)


@contextlib.contextmanager
def served(engine: LocalClient, *, guard: Guard | None = None) -> Iterator[str]:
    """The API of an engine on a free port; gives its address with the prefix."""
    door = socket.create_server((HOST, 0))
    address = f"http://{HOST}:{door.getsockname()[1]}"
    server = Server(application(engine, guard=guard, prefix=PREFIX), [Listener(door, address)])
    server.start()
    try:
        yield address + PREFIX
    finally:
        assert server.close()


@contextlib.contextmanager
def house(workspace: Workspace, *, guard: Guard | None = None) -> Iterator[House]:
    """An engine with one checkpoint, and its API."""
    engine = LocalClient(workspace)
    engine.start()
    try:
        engine.save("the first")
        with served(engine, guard=guard) as url:
            yield House(workspace, engine, url)
    finally:
        assert engine.close(WAIT_S)
