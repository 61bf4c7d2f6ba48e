"""Sockets: where they are, what may be in their way, and certificates that are wrong."""

from __future__ import annotations

import dataclasses
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx2
import pytest

from maos_ckpt.api.checkup import check_doors
from maos_ckpt.api.doors import Doors, is_loopback, parse_address
from maos_ckpt.api.listeners import tcp_listener, unix_listener
from maos_ckpt.api.places import SOCKET_PATH_BYTES_MAX, find_listening, find_socket, socket_path
from maos_ckpt.config.types import Server
from maos_ckpt.errors import CkptError, ConfigError, ConflictError, PermissionRefusedError, UsageError
from maos_ckpt.model.access import Scope
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.seams import SYSTEM
from tests.api.conftest import HEALTH, Certificate, Served, make_certificate, serve
from tests.engine.clocks import VirtualClock, seams_with


def test_a_socket_that_a_dead_engine_left_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "engine.sock"
    script = f"import socket,os; s=socket.socket(socket.AF_UNIX); s.bind({str(path)!r}); s.listen(); os._exit(9)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 9
    assert path.is_socket()
    listener = unix_listener(path)
    assert listener.address == f"unix:{path}"
    listener.close()
    assert not path.exists()


def test_a_socket_that_somebody_answers_at_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "engine.sock"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        with pytest.raises(ConflictError, match="Another process listens"):
            unix_listener(path)
        assert path.is_socket()


@pytest.mark.parametrize("kind", ["file", "directory", "link"])
def test_what_is_no_socket_is_not_removed_for_one(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "engine.sock"
    if kind == "file":
        path.write_text("mine")
    elif kind == "directory":
        path.mkdir()
    else:
        path.symlink_to("/nowhere")
    with pytest.raises(ConflictError, match="no socket"):
        unix_listener(path)
    assert os.path.lexists(path)


def test_a_port_that_is_taken_is_named_before_anything_is_started(workspace: Workspace) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        doors = Doors(workspace.repository, Server(listen=(f"127.0.0.1:{port}",)), SYSTEM, Path)
        with pytest.raises(ConflictError, match=f"127.0.0.1:{port} is taken"):
            doors.prepare()
        doors.close()
    tcp_listener("127.0.0.1", port, None).close()


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid", "a" * 300, "x\0y", ""])
def test_an_address_that_is_not_this_machines_is_refused(host: str) -> None:
    with pytest.raises(UsageError):
        tcp_listener(host, 0, None) if host else parse_address("nonsense")


@pytest.mark.parametrize(
    "text",
    ["", ":", "localhost", "localhost:", "localhost:99999", "localhost:-1", "::1:80", "h:8a", "h:٣", "h:" + "9" * 5000],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no address"):
        parse_address(text)


def test_addresses_are_loopback_unless_they_say_otherwise() -> None:
    assert parse_address("8470") == ("127.0.0.1", 8470)
    assert parse_address(":8470") == ("127.0.0.1", 8470)
    assert parse_address("[::1]:0") == ("::1", 0)
    assert parse_address("ckpt.example:443") == ("ckpt.example", 443)
    assert [one for one in ("127.0.0.1", "127.9.9.9", "::1", "localhost") if not is_loopback(one)] == []
    assert [one for one in ("0.0.0.0", "::", "10.0.0.1", "example.org", "localhost.evil") if is_loopback(one)] == []


def test_tokens_never_leave_the_machine_in_the_clear_unless_that_is_said(workspace: Workspace) -> None:
    doors = Doors(workspace.repository, Server(listen=("0.0.0.0:0",)), SYSTEM, Path)
    with pytest.raises(UsageError, match="in the clear"):
        doors.prepare()
    doors.close()
    said = Doors(workspace.repository, Server(listen=("0.0.0.0:0",), allow_plaintext=True), SYSTEM, Path)
    said.prepare()
    said.close()


def test_a_long_path_has_its_socket_elsewhere_and_a_note_that_leads_to_it(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As short as such a directory is; the tests' own folder may be long.
    runtime = Path(tempfile.mkdtemp(prefix="run"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    moved = dataclasses.replace(workspace, repository=deep / ".maos-ckpt")
    with serve(moved, Server()) as served:
        path = find_socket(moved.repository)
        assert path is not None
        assert path.is_relative_to(runtime)
        assert len(os.fsencode(path)) <= SOCKET_PATH_BYTES_MAX
        assert path.parent.stat().st_mode & 0o777 == 0o700
        with served.over_unix() as client:
            assert client.get(HEALTH).status_code == 200
    assert find_socket(moved.repository) is None
    assert socket_path(deep / "other") != socket_path(deep / ".maos-ckpt")
    shutil.rmtree(runtime)


def test_a_socket_in_a_directory_of_somebody_else_is_neither_made_nor_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = tmp_path / "run"
    shared.mkdir()
    os.chown(shared, 12345, -1)
    with pytest.raises(PermissionRefusedError, match="own directory"):
        unix_listener(shared / "engine.sock", directory_is_ours=True)
    (tmp_path / "api").mkdir()
    note = f'{{"pid": 1, "socket": "{shared}/engine.sock", "addresses": []}}'
    (tmp_path / "api" / "listening.json").write_text(note)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(shared / "engine.sock"))
        assert find_socket(tmp_path) is None


@pytest.mark.parametrize(
    "note",
    [b"", b"{", b"[]", b'{"pid": "x"}', b'{"pid":1,"socket":1,"addresses":1}', b"\xff" * 100_000],
    ids=["empty", "torn", "list", "text", "numbers", "noise"],
)
def test_a_damaged_note_leads_nowhere(tmp_path: Path, note: bytes) -> None:
    (tmp_path / "api").mkdir()
    (tmp_path / "api" / "listening.json").write_bytes(note)
    assert find_listening(tmp_path) is None
    assert find_socket(tmp_path) is None


def tls_settings(certificate: Certificate) -> Server:
    return Server(listen=("127.0.0.1:0",), tls_certificate=str(certificate.certificate), tls_key=str(certificate.key))


def ask(served: Served, trusted: Certificate) -> httpx2.Response:
    host, port = served.address
    context = ssl.create_default_context(cafile=str(trusted.certificate))
    headers = {"authorization": f"Bearer {served.token(Scope.READ)}"}
    return httpx2.get(f"https://{host}:{port}{HEALTH}", verify=context, headers=headers)


def test_a_certificate_serves_and_is_renewed_without_an_interruption(
    workspace: Workspace, certificate: Certificate, tmp_path: Path
) -> None:
    current = Certificate(tmp_path / "current.pem", tmp_path / "current.key")

    def install(one: Certificate) -> None:
        current.certificate.write_bytes(one.certificate.read_bytes())
        current.key.write_bytes(one.key.read_bytes())

    install(certificate)
    with serve(workspace, tls_settings(current)) as served:
        assert ask(served, certificate).status_code == 200
        with served.over_tcp() as plain, pytest.raises(httpx2.HTTPError):
            plain.get(HEALTH)
        renewed = make_certificate(tmp_path, "second")
        install(renewed)
        served.doors.reload(tls_settings(current))
        assert ask(served, renewed).status_code == 200
        with pytest.raises(httpx2.ConnectError):
            ask(served, certificate)
        current.certificate.write_bytes(certificate.certificate.read_bytes())
        with pytest.raises(ConfigError, match="not the key"):
            served.doors.reload(tls_settings(current))
        assert ask(served, renewed).status_code == 200


def wrong_certificates(tmp_path: Path, right: Certificate) -> dict[str, Certificate]:
    """Each wrong in its way, by what the error says."""
    other = make_certificate(tmp_path, "other")
    locked = tmp_path / "locked.key"
    command = ["openssl", "pkey", "-in", str(right.key), "-aes256", "-passout", "pass:secret", "-out", str(locked)]
    subprocess.run(command, check=True, capture_output=True)
    noise = tmp_path / "noise.pem"
    noise.write_bytes(os.urandom(500))
    return {
        "not the key": Certificate(right.certificate, other.key),
        "no such file": Certificate(tmp_path / "gone.pem", right.key),
        "has a passphrase": Certificate(right.certificate, locked),
        "no certificate in PEM": Certificate(noise, right.key),
        "OpenSSL does not take": Certificate(right.certificate, noise),
    }


def test_a_wrong_certificate_is_named_before_anything_is_started(
    workspace: Workspace, certificate: Certificate, tmp_path: Path
) -> None:
    for said, wrong in wrong_certificates(tmp_path, certificate).items():
        doors = Doors(workspace.repository, tls_settings(wrong), SYSTEM, Path)
        with pytest.raises(ConfigError, match=said) as refused:
            doors.prepare()
        assert "server.tls_certificate" in refused.value.hint
        doors.close()


@pytest.mark.parametrize(("wall_s", "said"), [(4_000_000_000.0, "ended on"), (1_000_000_000.0, "begins on")])
def test_a_certificate_that_is_not_valid_now_is_refused(
    workspace: Workspace, certificate: Certificate, wall_s: float, said: str
) -> None:
    doors = Doors(workspace.repository, tls_settings(certificate), seams_with(VirtualClock(wall_s)), Path)
    with pytest.raises(ConfigError, match=said):
        doors.prepare()
    doors.close()


def test_a_client_that_never_shakes_hands_holds_nothing_up(workspace: Workspace, certificate: Certificate) -> None:
    with (
        serve(workspace, tls_settings(certificate)) as served,
        socket.create_connection(served.address),
        socket.create_connection(served.address) as noisy,
    ):
        noisy.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert ask(served, certificate).status_code == 200
        noisy.settimeout(5)
        assert b"HTTP/1.1 2" not in noisy.recv(1000)


def test_a_key_without_its_certificate_is_a_mistake(workspace: Workspace, certificate: Certificate) -> None:
    doors = Doors(workspace.repository, Server(tls_key=str(certificate.key)), SYSTEM, Path)
    with pytest.raises(CkptError, match="tls_certificate"):
        doors.prepare()


def test_the_doctor_tells_of_a_certificate_that_ends_soon_and_of_an_engine_that_answers(
    workspace: Workspace, certificate: Certificate, tmp_path: Path
) -> None:
    long = make_certificate(tmp_path, "long", days=400)
    with serve(workspace, tls_settings(long)) as served:
        served.token(Scope.READ)
        found = {one.name: one for one in check_doors(workspace.repository, tls_settings(long), Path, SYSTEM)}
        assert [one.detail for one in found.values() if not one.ok] == []
        assert "399 days" in found["certificate"].detail
        assert "stored as hashes" in found["tokens"].detail
        assert str(served.socket) in found["api"].detail
        (workspace.repository / "api" / "tokens.json").write_text("{}")
        soon = {one.name: one for one in check_doors(workspace.repository, tls_settings(certificate), Path, SYSTEM)}
        assert [name for name, one in soon.items() if not one.ok] == ["certificate", "tokens"]
        (workspace.repository / "api" / "tokens.json").unlink()
    assert [one.name for one in check_doors(workspace.repository, Server(), Path, SYSTEM)] == ["tokens"]
    assert check_doors(tmp_path, Server(), Path, SYSTEM) == []
