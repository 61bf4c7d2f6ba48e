"""Connections that do not behave: each is answered or let go, and nobody else notices."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from maos_ckpt.api import limits, protocol
from maos_ckpt.api.guard import CALLER
from maos_ckpt.model.access import Scope
from tests.api.conftest import HEALTH, Served, problem, raw_problem

REQUEST = f"GET {HEALTH} HTTP/1.1\r\nHost: localhost\r\n".encode()


@pytest.fixture(autouse=True)
def others_are_served(served: Served) -> Iterator[None]:
    """Whatever a test does, the next request is answered, and no connection is left."""
    yield
    with served.over_unix() as client:
        assert client.get(HEALTH).status_code == 200


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short times, so that the tests need not wait."""
    monkeypatch.setattr(protocol, "HEAD_S_MAX", 0.3)
    monkeypatch.setattr(limits, "BODY_S_MAX", 0.3)
    monkeypatch.setattr(protocol, "LINGER_S", 0.3)


@pytest.fixture
def swallowing(served: Served) -> None:
    """A path that reads a body, in the running server."""

    async def swallow(request: Request) -> Response:
        assert CALLER in request.scope
        return Response(str(len(await request.body())))

    assert served.doors._server is not None
    app = served.doors._server._uvicorn.config.app
    assert isinstance(app, Starlette)
    app.router.routes.append(Route("/api/checkpoint/swallow", swallow, methods=["POST"]))


def answer_of(connection: socket.socket) -> bytes:
    """Everything up to the end of the connection."""
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65_536):
            parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\0b\r\n\r\n",
        REQUEST + b"X: " + b"a" * protocol.HEAD_BYTES_MAX,
        b"GET /" + b"a" * protocol.HEAD_BYTES_MAX,
    ],
    ids=["tls", "no version", "no host", "two hosts", "two lengths", "negative", "codings", "zero", "head", "line"],
)
def test_what_is_no_http_is_answered_with_a_problem(served: Served, sent: bytes) -> None:
    with served.raw() as connection:
        connection.sendall(sent)
        found = raw_problem(answer_of(connection), 400)
    assert found["kept"] == "Nothing was done."


@pytest.mark.usefixtures("impatient")
def test_headers_that_trickle_in_are_not_waited_for(served: Served) -> None:
    with served.raw() as connection:
        began = time.monotonic()
        connection.sendall(b"GET / HTTP/1.1\r\n")
        with contextlib.suppress(OSError):
            for _ in range(100):
                time.sleep(0.05)
                connection.sendall(b"X: y\r\n")
        assert time.monotonic() - began < 2
        raw_problem(answer_of(connection), 408)


@pytest.mark.usefixtures("impatient")
def test_a_second_request_that_trickles_in_is_not_waited_for_either(served: Served) -> None:
    with served.raw() as connection:
        connection.sendall(REQUEST + b"\r\n")
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200")
        connection.sendall(b"GET /")
        answer = answer_of(connection)
        raw_problem(answer[answer.find(b"HTTP/1.1 408") :], 408)


@pytest.mark.usefixtures("impatient")
def test_a_connection_that_says_nothing_is_let_go(served: Served) -> None:
    with served.raw() as connection:
        raw_problem(answer_of(connection), 408)


def post(length: int) -> bytes:
    return b"POST /api/checkpoint/swallow HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % length


@pytest.mark.usefixtures("impatient")
def test_a_body_that_is_declared_too_large_is_refused_before_it_is_read(served: Served) -> None:
    for length in (limits.BODY_BYTES_MAX + 1, 10**15):
        with served.raw() as connection:
            connection.sendall(post(length))
            found = raw_problem(answer_of(connection), 413)
        assert str(limits.BODY_BYTES_MAX) in found["detail"]


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("more", [b"", b"Expect: 100-continue\r\n"], ids=["plain", "expects to be asked for the body"])
def test_an_answer_before_the_end_of_the_request_says_that_the_connection_closes(served: Served, more: bytes) -> None:
    head = post(10 << 20).removesuffix(b"\r\n")
    with served.raw() as connection:
        connection.sendall(head + more + b"\r\n")
        answer = answer_of(connection)
    raw_problem(answer, 413)
    assert b"\r\nconnection: close\r\n" in answer.lower()


def test_a_client_that_keeps_its_connections_reads_every_refusal_of_a_large_body(served: Served) -> None:
    with served.over_unix() as client:
        for _ in range(20):
            problem(client.post("/api/checkpoint/checkpoints", content=bytes(limits.BODY_BYTES_MAX + 1)), 413)
            assert client.get(HEALTH).status_code == 200


def test_a_client_that_sends_on_after_the_refusal_still_reads_it(served: Served) -> None:
    with served.raw() as connection:
        connection.sendall(post(10 << 20))
        for _ in range(40):
            connection.sendall(bytes(256 << 10))
        raw_problem(answer_of(connection), 413)


@pytest.mark.usefixtures("swallowing")
def test_a_body_without_a_declared_length_is_stopped_at_the_bound(served: Served) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with served.raw() as connection:
        connection.sendall(post(0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked"))
        chunk = b"40000\r\n" + bytes(0x40000) + b"\r\n"
        with contextlib.suppress(OSError):
            for _ in range(300):
                connection.sendall(chunk)
        raw_problem(answer_of(connection), 413)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40_000


@pytest.mark.usefixtures("swallowing", "impatient")
def test_a_body_that_does_not_arrive_is_not_waited_for(served: Served) -> None:
    with served.raw() as connection:
        connection.sendall(post(100) + b"{")
        raw_problem(answer_of(connection), 408)


@pytest.mark.usefixtures("swallowing")
def test_a_client_that_goes_away_half_way_disturbs_nobody(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    for sent in (b"", b"GET", REQUEST, post(100), post(100) + b"half", REQUEST + b"\r\n"):
        connection = served.raw()
        connection.sendall(sent)
        connection.close()
    time.sleep(0.2)
    assert [one for one in caplog.records if one.levelno >= 40] == []


@pytest.mark.parametrize(
    "path",
    [
        "/api/checkpoint/../checkpoint/health",
        "/api/checkpoint/%2e%2e/%2e%2e/etc/passwd",
        "//api/checkpoint/health",
        "/api/checkpoint//health",
        "/api/checkpoint/health/",
        "/api/checkpoint/health%00",
        "/api/checkpoint/health%2f",
        "/API/checkpoint/health",
        "/api/checkpoint/health;x=1",
        "/api/checkpoint/%ff%fe",
        "/etc/passwd",
        "http://localhost/api/checkpoint/health",
        "*",
    ],
)
def test_path_tricks_lead_nowhere(served: Served, path: str) -> None:
    with served.raw() as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        raw_problem(answer_of(connection), 404)


def test_methods_that_are_not_taken_are_named(served: Served) -> None:
    with served.over_unix() as client:
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"):
            answer = client.request(method, HEALTH)
            problem(answer, 405)
            assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}
        assert client.head(HEALTH).text == ""


def test_an_upgrade_to_a_websocket_is_just_a_request(served: Served) -> None:
    with served.raw() as connection:
        connection.sendall(REQUEST + b"Connection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n")
        assert answer_of(connection).startswith(b"HTTP/1.1 200")


def test_more_connections_than_there_may_be_are_told_so(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "LOCAL_CONNECTIONS_MAX", 5)
    with contextlib.ExitStack() as stack:
        time.sleep(0.2)
        for _ in range(5):
            stack.enter_context(served.raw())
        time.sleep(0.2)
        refused = stack.enter_context(served.raw())
        refused.sendall(REQUEST + b"\r\n")
        raw_problem(answer_of(refused), 503)


@pytest.mark.usefixtures("swallowing")
@pytest.mark.parametrize("bound", ["REQUESTS_MAX", "CALLER_REQUESTS_MAX"])
def test_more_requests_than_there_may_be_are_told_so(
    served: Served, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    monkeypatch.setattr(limits, bound, 3)
    token = served.token(Scope.READ)
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(served.raw()).sendall(post(10))
        time.sleep(0.2)
        with served.over_unix() as client:
            answer = client.get(HEALTH)
        problem(answer, 503)
        assert answer.headers["retry-after"] == "1"
        with served.over_tcp(token) as client:
            assert client.get(HEALTH).status_code == (503 if bound == "REQUESTS_MAX" else 200)
        with served.over_tcp() as client:
            assert client.get(HEALTH).status_code == 401
    time.sleep(0.2)


def test_strangers_do_not_take_the_place_of_the_engines_user(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "TCP_CONNECTIONS_MAX", 3)
    with contextlib.ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(socket.create_connection(served.address))
        time.sleep(0.2)
        with served.over_unix() as client:
            assert client.get(HEALTH).status_code == 200


def test_a_client_that_does_not_read_is_let_go(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "STALLED_S_MAX", 0.2)
    with served.raw() as connection:
        connection.settimeout(0.02)
        deadline = time.monotonic() + 20
        ended = False
        while not ended and time.monotonic() < deadline:
            try:
                connection.send((REQUEST + b"\r\n") * 200)
            except TimeoutError:
                continue
            except (BrokenPipeError, ConnectionResetError):
                ended = True
    assert ended


def test_a_crash_inside_is_told_without_its_details(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served.client, "status", lambda: 1 / 0)
    with served.over_unix() as client:
        found = problem(client.get(HEALTH), 500)
    assert "ZeroDivisionError" in found["detail"]
    assert "division by zero" not in str(found)


def test_fifty_clients_at_once_are_served(served: Served) -> None:
    answers: list[int] = []

    def ask() -> None:
        with served.over_unix() as client:
            answers.extend(client.get(HEALTH).status_code for _ in range(5))

    threads = [threading.Thread(target=ask) for _ in range(50)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert answers == [200] * 250


def test_no_descriptor_is_left_behind(served: Served) -> None:
    def count() -> int:
        return len(os.listdir("/proc/self/fd"))

    with served.over_unix() as client:
        client.get(HEALTH)
    time.sleep(0.2)
    before = count()
    for _ in range(50):
        with served.raw() as connection:
            connection.sendall(REQUEST + b"Connection: close\r\n\r\n")
            answer_of(connection)
    time.sleep(0.3)
    assert count() <= before + 2
