"""A real engine behind real sockets."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

from maos_ckpt.api.doors import Doors
from maos_ckpt.api.places import find_listening, find_socket
from maos_ckpt.api.tokens import Tokens
from maos_ckpt.config.types import Config, Server
from maos_ckpt.local import LocalClient
from maos_ckpt.model.access import Scope
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.seams import SYSTEM
from tests.engine.support import WAIT_S
from tests.lab.build import build_state

HEALTH = "/api/checkpoint/health"


@dataclass
class Served:
    """An engine with its doors open."""

    workspace: Workspace
    client: LocalClient
    doors: Doors
    tokens: Tokens = field(init=False)

    def __post_init__(self) -> None:
        self.tokens = Tokens(self.workspace.repository, SYSTEM)

    @property
    def socket(self) -> Path:
        """Its Unix socket, found as a console finds it."""
        found = find_socket(self.workspace.repository)
        assert found is not None
        return found

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of its first TCP listener."""
        listening = find_listening(self.workspace.repository)
        assert listening is not None
        url = httpx2.URL(next(one for one in listening.addresses if one.startswith("http")))
        assert url.port
        return url.host, url.port

    def token(self, *scopes: Scope) -> str:
        """A new token."""
        return self.tokens.create("test", scopes).text

    @contextlib.contextmanager
    def over_unix(self) -> Iterator[httpx2.Client]:
        """An HTTP client at the Unix socket."""
        # Without `verify=False` every client would load all of the machine's certificates first.
        transport = httpx2.HTTPTransport(uds=str(self.socket), verify=False)
        with httpx2.Client(transport=transport, base_url="http://localhost", timeout=WAIT_S) as client:
            yield client

    @contextlib.contextmanager
    def over_tcp(self, token: str = "") -> Iterator[httpx2.Client]:
        """An HTTP client at the first TCP listener."""
        headers = {"authorization": f"Bearer {token}"} if token else {}
        host, port = self.address
        with httpx2.Client(base_url=f"http://{host}:{port}", headers=headers, timeout=WAIT_S, verify=False) as client:
            yield client

    def raw(self) -> socket.socket:
        """A bare connection to the Unix socket."""
        made = socket.socket(socket.AF_UNIX)
        made.settimeout(WAIT_S)
        made.connect(str(self.socket))
        return made


@contextlib.contextmanager
def serve(workspace: Workspace, settings: Server) -> Iterator[Served]:
    """An engine on a workspace, with doors of these settings."""
    client = LocalClient(workspace)
    doors = Doors(workspace.repository, settings, SYSTEM, Path)
    try:
        doors.prepare()
        client.start()
        doors.open(client)
        yield Served(workspace, client, doors)
    finally:
        doors.close()
        assert client.close(WAIT_S)


MakeServed = Callable[[Server], contextlib.AbstractContextManager[Served]]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace on a small MAOS directory; its engine saves once."""
    root = tmp_path_factory.mktemp("served")
    build_state(root / "team", root / "claude", 60_000, seed=1, transcript_bytes=10_000)
    config = Config(interval_seconds=3600)
    return Workspace(root / "team" / ".maos-ckpt", f"maos:{root / 'team'}", root / "claude", config, SYSTEM)


@pytest.fixture(scope="module")
def served(workspace: Workspace) -> Iterator[Served]:
    """That engine, at its Unix socket and a TCP port."""
    with serve(workspace, Server(listen=("127.0.0.1:0",), hosts=("ckpt.example",))) as one:
        yield one


def problem(answer: httpx2.Response, status: int) -> dict[str, Any]:
    """The problem in an answer that must be one, of this status."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = answer.json()
    assert found["status"] == status
    assert found["detail"].endswith(".")
    assert {"type", "title", "kind", "kept", "hint", "data"} <= set(found)
    return found


def raw_problem(answer: bytes, status: int) -> dict[str, Any]:
    """As `problem`, of a whole answer's bytes."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode()), answer[:500]
    found: dict[str, Any] = json.loads(body)
    assert found["status"] == status
    return found


@dataclass(frozen=True)
class Certificate:
    """A self-signed certificate for 127.0.0.1, and its key."""

    certificate: Path
    key: Path


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """One that is valid for a day."""
    return make_certificate(tmp_path_factory.mktemp("tls"), "first")


def make_certificate(directory: Path, name: str, days: int = 1) -> Certificate:
    """As openssl makes it."""
    made = Certificate(directory / f"{name}.pem", directory / f"{name}.key")
    subject = ["-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-days", str(days)]
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    out = ["-keyout", str(made.key), "-out", str(made.certificate)]
    subprocess.run(["openssl", "req", "-x509", *key, *subject, *out], check=True, capture_output=True)
    return made
