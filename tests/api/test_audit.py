"""What is done through the API is done for somebody: the audit log says for whom."""

from __future__ import annotations

import json
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


def test_the_audit_log_names_the_token_that_a_recovery_was_asked_with(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def recover(exchange: Exchange) -> Response:
        result = await exchange.call_long(
            exchange.client.recover, "latest", Selection(components=("tasks",)), digest=None, reason="a drill"
        )
        return Response(json.dumps({"verified": result.verified}))

    endpoint = Endpoint("POST", "/recover", Scope.RECOVER, recover, "a test's")
    monkeypatch.setattr(application_module, "ENDPOINTS", (endpoint,))
    with serve(workspace, Server(listen=("127.0.0.1:0",))) as served:
        served.client.save()
        made = served.tokens.create("ops", (Scope.RECOVER,))
        with served.over_tcp(made.text) as client:
            assert client.post("/api/checkpoint/recover").json()["verified"]
        with served.over_unix() as client:
            assert client.post("/api/checkpoint/recover").json()["verified"]
        with served.over_tcp(served.token(Scope.SAVE)) as client:
            assert client.post("/api/checkpoint/recover").status_code == 403
        served.client.recover("latest", Selection(), digest=None, reason="by hand")
    entries = [one for one in AuditLog(workspace.repository, SYSTEM).newest_first() if one.verb == "restore"]
    done = [(one.reason, one.who.via) for one in entries if one.result == "done"]
    assert done[0] == ("by hand", "")
    assert done[1][0] == "a drill"
    assert done[1][1].startswith("uid ")
    assert done[2] == ("a drill", f"token {made.token.id} (ops)")
    assert len(done) == 3


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
