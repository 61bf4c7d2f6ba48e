"""Calls that no client of ours makes, answers that no engine of ours gives, and addresses of nothing."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import msgspec
import pytest

from maos_ckpt.api import ongoing
from maos_ckpt.api.address import parse_address, unix_address
from maos_ckpt.api.names import CLIENT, ENGINE, KEY, MEDIA_TYPE
from maos_ckpt.api.remote import RemoteClient
from maos_ckpt.client import EngineClient
from maos_ckpt.errors import (
    CkptError,
    ConflictError,
    EngineUnreachableError,
    PermissionRefusedError,
    UnavailableError,
    UsageError,
)
from tests.api.conftest import make_certificate
from tests.engine.support import wait_until
from tests.remote.conftest import Served

KEYED = {"content-type": MEDIA_TYPE, KEY: "k" * 32, CLIENT: "c" * 24}
SAVE = msgspec.msgpack.encode({"description": "x"})
PLAN = {"name": "latest", "selection": {}, "limit": 1}


@pytest.fixture
def http(engine: Served) -> Iterator[httpx2.Client]:
    transport = httpx2.HTTPTransport(uds=str(engine.socket), verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    with httpx2.Client(base_url="http://localhost/api/checkpoint/calls", transport=transport) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "body", "headers", "status"),
    [
        ("/save", SAVE, {}, 415),
        ("/save", SAVE, {"content-type": "application/json"}, 415),
        ("/save", SAVE, {"content-type": MEDIA_TYPE}, 422),
        ("/save", SAVE, {**KEYED, KEY: "short"}, 422),
        ("/save", SAVE, {**KEYED, KEY: "no/slash" * 4}, 422),
        ("/save", b"", KEYED, 422),
        ("/save", b"\xc1", KEYED, 422),
        ("/save", b"\x91" * 100_000 + b"\xc0", KEYED, 422),
        ("/save", msgspec.msgpack.encode({"description": "x", "trigger": "safety"}), KEYED, 422),
        ("/save", msgspec.msgpack.encode({"tags": "no list"}), KEYED, 422),
        ("/save", msgspec.msgpack.encode(["x"]), KEYED, 422),
        ("/save", SAVE + b"\xc0", KEYED, 422),
        ("/plan", msgspec.msgpack.encode({**PLAN, "limit": -1}), KEYED, 422),
        ("/plan", msgspec.msgpack.encode({**PLAN, "limit": 1 << 62}), KEYED, 422),
        ("/plan", msgspec.msgpack.encode({**PLAN, "selection": {"merge": "everything"}}), KEYED, 422),
        ("/verify", msgspec.msgpack.encode({"names": [], "level": "deepest"}), KEYED, 422),
        ("/hold", msgspec.msgpack.encode({"names": ["x"]}), {"content-type": MEDIA_TYPE}, 422),
        ("/save", SAVE, {**KEYED, ENGINE: "another"}, 409),
        ("/start", b"\x80", KEYED, 404),
        ("/subscribe", b"\x80", KEYED, 404),
        ("/_ask", b"\x80", KEYED, 404),
        ("/__init__", b"\x80", KEYED, 404),
        ("/../calls/save/..", SAVE, KEYED, 404),
    ],
)
def test_each_is_refused_with_a_problem_and_changes_nothing(
    engine: Served, http: httpx2.Client, path: str, body: bytes, headers: dict[str, str], status: int
) -> None:
    before = engine.local.checkpoints()
    answer = http.post(path, content=body, headers=headers)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"].endswith(".")
    assert engine.local.checkpoints() == before


def test_a_path_in_an_id_leads_nowhere(engine: Served, http: httpx2.Client) -> None:
    for name in ("../../etc/passwd", "cp_/../x", "\0", "latest~99999999999999999999", "x" * 5000, "\x1b[31m"):
        for call, more in (("checkpoint", {}), ("set_pinned", {"pinned": True}), ("delete", {})):
            body = msgspec.msgpack.encode({"name": name, **more})
            answer = http.post(f"/{call}", content=body, headers={**KEYED, KEY: f"{call}-{len(name)}-{'k' * 20}"})
            assert answer.status_code in (404, 422), answer.text


def test_a_key_stands_for_one_request_and_a_done_call_is_not_made_again(engine: Served, http: httpx2.Client) -> None:
    headers = {**KEYED, KEY: "once" * 6}
    before = len(engine.local.checkpoints())
    first = http.post("/save", content=SAVE, headers=headers, timeout=30)
    again = http.post("/save", content=SAVE, headers=headers, timeout=30)
    assert (first.status_code, again.content) == (200, first.content)
    assert len(engine.local.checkpoints()) == before + 1
    other = http.post("/save", content=msgspec.msgpack.encode({"description": "y"}), headers=headers)
    assert (other.status_code, other.json()["kind"]) == (409, "conflict")
    assert http.post("/verify", content=SAVE, headers=headers).status_code == 422


def test_a_call_that_goes_on_is_said_to_and_can_be_joined(
    engine: Served, http: httpx2.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ongoing, "WAIT_S", 0.02)
    headers = {**KEYED, KEY: "long" * 6}
    statuses = [http.post("/save", content=SAVE, headers=headers).status_code]
    while statuses[-1] == 202:
        statuses.append(http.post("/save", content=SAVE, headers=headers).status_code)
    assert statuses.count(202) > 1
    assert statuses[-1] == 200


def test_a_key_outlives_its_answer_so_that_nothing_is_done_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ongoing, "KEPT_MAX", 2)
    made: list[int] = []

    def work(number: int) -> bytes:
        made.append(number)
        return b"x" * (number + 1)

    async def ask(calls: ongoing.OngoingCalls, number: int) -> bytes | None:
        return await calls.join(f"key {number}", b"request", lambda: work(number))

    calls = ongoing.OngoingCalls()
    for number in range(5):
        assert asyncio.run(ask(calls, number)) == b"x" * (number + 1)
        wait_until(lambda: calls.running == 0, "the call to be noted")
    assert asyncio.run(ask(calls, 4)) == b"xxxxx"
    with pytest.raises(ConflictError, match="not kept"):
        asyncio.run(ask(calls, 0))
    assert made == [0, 1, 2, 3, 4]
    monkeypatch.setattr(ongoing, "KEPT_BYTES_MAX", 4)
    asyncio.run(ask(calls, 5))
    with pytest.raises(ConflictError, match="not kept"):
        asyncio.run(ask(calls, 4))
    # Long after, it is a new call.
    monkeypatch.setattr(ongoing, "KEPT_S", -1.0)
    assert asyncio.run(ask(calls, 0)) == b"x"
    assert made == [0, 1, 2, 3, 4, 5, 0]


def test_events_from_a_cursor_that_is_none_are_refused(http: httpx2.Client) -> None:
    for cursor in ("-1", "1.5", "x", "9" * 30, "\u0663"):
        answer = http.get("/events", params={"cursor": cursor})
        assert (answer.status_code, answer.json()["kind"]) == (422, "usage")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "unix:",
        f"unix:/{'x' * 120}",
        "ftp://host",
        "host:80",
        "https://",
        "https://host/path",
        "https://host?x=1",
        "https://host:99999",
        "https://user:secret@host",
        "http://192.0.2.1:80",
        "http://example.org",
        "http://127.0.0.1.example.org",
        "https://[::1",
    ],
)
def test_what_is_no_address_is_refused_without_a_word_of_what_may_be_secret(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_address(text, Path("/"))
    assert "secret" not in caught.value.message + caught.value.hint


def test_addresses_are_taken_in_every_form() -> None:
    assert parse_address("unix:a.sock", Path("/run")) == unix_address(Path("/run/a.sock"))
    assert parse_address("https://host", Path("/")).url == "https://host"
    assert parse_address("https://[2001:db8::1]:8443/", Path("/")).url == "https://[2001:db8::1]:8443"
    assert parse_address("http://[::1]:80", Path("/")).url == "http://[::1]:80"
    assert parse_address("http://localhost:8080", Path("/")).socket is None


class Impostor:
    """Answers every connection with the same bytes, or with nothing at all."""

    def __init__(self, answer: bytes | None) -> None:
        self._answer = answer
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._held: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def client(self) -> EngineClient:
        port = self._listening.getsockname()[1]
        return RemoteClient(parse_address(f"http://127.0.0.1:{port}", Path("/")))

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                one, _ = self._listening.accept()
                self._held.append(one)
                if self._answer is not None:
                    one.recv(65536)
                    one.sendall(self._answer)
                    one.close()

    def close(self) -> None:
        for one in (self._listening, *self._held):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


_OK = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH_9\r\n",
        b"HTTP/1.1 301 Moved\r\nlocation: http://example.org/\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 500 Oops\r\ncontent-length: 4\r\n\r\noops",
        b"HTTP/1.1 500 Oops\r\ncontent-length: 20\r\n\r\n" + b'{"kind":"\\u001b","x":1',
        _OK % (5, b"hello"),
        _OK % (4, b"\xff\xff\xff\xff"),
        _OK % (5, b"\x00\x00\x00\x01\xc1"),
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_no_engine_is_told_from_one(answer: bytes) -> None:
    impostor = Impostor(answer)
    client = impostor.client()
    try:
        for call in (client.start, client.status):
            with pytest.raises(UnavailableError):
                call()
    finally:
        client.close(5)
        impostor.close()


def test_problems_that_carry_what_they_should_not_stay_errors() -> None:
    for fields in (
        {"kind": "usage", "detail": "x", "data": {"message": 1, "self": 2, "kept": 3, "hint": 4, "a b": 5}},
        {"kind": "no such kind", "detail": "x"},
        {"kind": "usage", "detail": 3},
        {"kind": ["usage"]},
    ):
        body = msgspec.json.encode(fields)
        impostor = Impostor(b"HTTP/1.1 422 No\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
        client = impostor.client()
        with pytest.raises(CkptError):
            client.start()
        client.close(5)
        impostor.close()


def test_who_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    from maos_ckpt.api import connection

    monkeypatch.setattr(connection, "READ_S", 0.3)
    impostor = Impostor(None)
    client = impostor.client()
    with pytest.raises(EngineUnreachableError):
        client.start()
    client.close(5)
    impostor.close()


def test_a_socket_that_is_none_and_one_that_nobody_listens_at(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / "left"))
    left.close()
    for name in ("missing", "file", "left"):
        client = RemoteClient(unix_address(tmp_path / name))
        with pytest.raises(EngineUnreachableError):
            client.start()
        assert client.close(5)


def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tls_server(tmp_path) as (port, authority):
        address = parse_address(f"https://127.0.0.1:{port}", Path("/"))
        monkeypatch.delenv("SSL_CERT_FILE", raising=False)
        client = RemoteClient(address, token="t0ken-that-must-not-show")
        with pytest.raises(PermissionRefusedError, match="certificate") as caught:
            client.start()
        client.close(5)
        assert "t0ken" not in repr(vars(caught.value))
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))
        trusting = RemoteClient(address, token="t0ken")
        # The certificate is taken now; behind it is no engine.
        with pytest.raises(UnavailableError, match="no engine"):
            trusting.start()
        trusting.close(5)


@contextlib.contextmanager
def tls_server(directory: Path) -> Iterator[tuple[int, Path]]:
    """A TLS server with a certificate of its own; gives its port and the certificate."""
    made = make_certificate(directory, "impostor")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.certificate, made.key)
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                one, _ = listening.accept()
                with contextlib.suppress(OSError), context.wrap_socket(one, server_side=True) as secure:
                    secure.recv(65536)
                    secure.sendall(b"HTTP/1.1 404 No\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno")

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listening.getsockname()[1], made.certificate
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
