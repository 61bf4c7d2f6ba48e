"""What is done through the API is done for somebody: the audit log says for whom."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from starlette.responses import Response

from maos_ckpt.api import application as application_module
from maos_ckpt.api.doors import Doors
from maos_ckpt.api.endpoint import Endpoint, Exchange
from maos_ckpt.audit.actor import acted_for, acting_for
from maos_ckpt.audit.log import AuditLog
from maos_ckpt.config.types import Server
from maos_ckpt.model import Selection
from maos_ckpt.model.access import Scope
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.seams import SYSTEM
from tests.api.conftest import serve


def test_the_audit_log_names_whom_the_api_let_in(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    async def recover(exchange: Exchange) -> Response:
        tasks = Selection(components=("tasks",))
        result = await exchange.call_long(exchange.client.recover, "latest", tasks, digest=None, reason="a test")
        return Response(json.dumps({"verified": result.verified}))

    async def delete(exchange: Exchange) -> Response:
        return Response(await exchange.call_long(exchange.client.delete, exchange.path["id"]))

    endpoints = (
        Endpoint("POST", "/recover", Scope.RECOVER, recover, "in a process of its own"),
        Endpoint("DELETE", "/{id}", Scope.SAVE, delete, "in the engine's own process"),
    )
    monkeypatch.setattr(application_module, "ENDPOINTS", endpoints)
    with serve(workspace, Server(listen=("127.0.0.1:0",))) as served:
        saved = [served.client.save().id for _ in range(2)]
        made = served.tokens.create("ops", (Scope.RECOVER,))
        with served.over_tcp(made.text) as client:
            assert client.post("/api/checkpoint/recover").json()["verified"]
            assert client.delete(f"/api/checkpoint/{saved[0]}").status_code == 403
        with served.over_unix() as client:
            assert client.delete(f"/api/checkpoint/{saved[0]}").text == saved[0]
        served.client.delete(saved[1])
    entries = AuditLog(workspace.repository, SYSTEM).newest_first()
    told = [(one.verb, one.who.via) for one in entries if one.result == "done" and one.verb in ("delete", "restore")]
    by_user = f"uid {os.geteuid()}"
    assert told == [("delete", ""), ("delete", by_user), ("restore", f"token {made.token.id} (ops)")]


def test_whom_something_is_done_for_ends_with_the_block() -> None:
    with acting_for("token 1"):
        with acting_for("token 2"):
            assert acted_for() == "token 2"
        assert acted_for() == "token 1"
    assert acted_for() == ""


def test_an_engine_without_its_doors_prepared_listens_nowhere(tmp_path: Path) -> None:
    doors = Doors(tmp_path, Server(), SYSTEM, Path)
    assert not doors.alive
    doors.close()
    assert list(tmp_path.iterdir()) == []
