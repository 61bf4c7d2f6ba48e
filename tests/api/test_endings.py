"""The end of the server: whoever is connected is told, and nothing is left."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator

import anyio
import pytest
from starlette.responses import Response, StreamingResponse

from maos_ckpt.api import application as application_module
from maos_ckpt.api import serving
from maos_ckpt.api.endpoint import Endpoint, Exchange
from maos_ckpt.config.types import Server
from maos_ckpt.model.access import Scope
from maos_ckpt.operations.workspace import Workspace
from tests.api.conftest import raw_problem, serve
from tests.api.test_hostile_connections import answer_of


@pytest.mark.parametrize("kind", ["result", "events", "download"])
def test_whoever_is_connected_when_the_engine_ends_is_told_the_truth(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    monkeypatch.setattr(serving, "GRACE_S", 1)
    waiting = threading.Event()

    async def wait(exchange: Exchange) -> Response:
        waiting.set()
        await anyio.sleep_forever()
        return Response()

    async def pieces() -> AsyncIterator[bytes]:
        yield b"data: 1\n\n"
        waiting.set()
        await anyio.sleep_forever()

    async def stream(exchange: Exchange) -> Response:
        return StreamingResponse(pieces(), media_type="text/event-stream" if kind == "events" else "application/zip")

    endpoint = Endpoint("GET", "/x", Scope.READ, wait if kind == "result" else stream, "a test's")
    monkeypatch.setattr(application_module, "ENDPOINTS", (endpoint,))
    with serve(workspace, Server()) as served, served.raw() as connection:
        connection.sendall(b"GET /api/checkpoint/x HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert waiting.wait(10)
        time.sleep(0.05)
        began = time.monotonic()
        served.doors.close()
        took_s = time.monotonic() - began
        answer = answer_of(connection)
    whole = b"data: 1\n\n\r\n0\r\n\r\n"
    if kind == "result":
        assert "ends" in raw_problem(answer, 503)["detail"]
    elif kind == "events":
        assert answer.endswith(whole)
        assert took_s < 0.9, "a stream of events is not waited for"
    else:
        assert answer.endswith(b"data: 1\n\n\r\n"), "half a download must not look like a whole one"
    assert [one for one in caplog.records if one.levelno >= 40] == []


def test_an_answer_that_breaks_off_is_cut_off_and_logged(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"half"
        raise OSError("the disk")

    async def stream(exchange: Exchange) -> Response:
        return StreamingResponse(pieces(), media_type="application/zip")

    monkeypatch.setattr(application_module, "ENDPOINTS", (Endpoint("GET", "/x", Scope.READ, stream, "a test's"),))
    with serve(workspace, Server()) as served, served.raw() as connection:
        connection.sendall(b"GET /api/checkpoint/x HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert answer_of(connection).endswith(b"half\r\n")
    assert ["broke off" in one.getMessage() for one in caplog.records if one.levelno >= 40] == [True]
