"""The API mounted in somebody else's application."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from maos_ckpt.api import checkpoint_api
from maos_ckpt.local import LocalClient
from tests.api.house import workspace_at
from tests.api.rest.test_checkpoints import problem
from tests.engine.support import WAIT_S


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> LocalClient:
    """A started engine, which the tests' application did not make."""
    return LocalClient(workspace_at(tmp_path_factory.mktemp("mounted"), 60_000, 10_000))


@pytest.fixture(scope="module")
def app(engine: LocalClient) -> Starlette:
    """An application with a page of its own, and the API beside it."""

    async def page(_: object) -> PlainTextResponse:
        return PlainTextResponse("hello")

    return Starlette(routes=[Route("/", page), Mount("/ops/checkpoint", app=checkpoint_api(engine))])


@pytest.fixture(scope="module", autouse=True)
def _started(engine: LocalClient) -> object:
    engine.start()
    yield
    assert engine.close(WAIT_S)


def test_it_answers_below_its_mount_and_says_so(app: Starlette) -> None:
    with TestClient(app) as client:
        assert client.get("/").text == "hello"
        assert client.get("/ops/checkpoint/health").json()["status"] == "healthy"
        assert client.get("/ops/checkpoint/openapi.json").json()["servers"] == [{"url": "/ops/checkpoint"}]
        saved = client.post("/ops/checkpoint/checkpoints", json={"description": "mounted"})
        assert saved.status_code == 201
        assert saved.headers["location"] == f"/ops/checkpoint/checkpoints/{saved.json()['id']}"
        assert client.get(saved.headers["location"]).json() == saved.json()
        assert client.get("/ops/checkpoint/checkpoints").headers["link"].startswith("</ops/checkpoint/checkpoints?")
        problem(client.get("/ops/checkpoint/nothing"), 404)  # type: ignore[arg-type]
        problem(client.get("/ops/checkpoint/checkpoints/..%2f..%2fetc"), 404)  # type: ignore[arg-type]


def test_a_system_with_an_engine_inside_does_as_well(engine: LocalClient, tmp_path: Path) -> None:
    with TestClient(Starlette(routes=[Mount("/c", app=checkpoint_api(SimpleNamespace(client=engine)))])) as client:
        assert client.get("/c/tiers").status_code == 200


def test_a_mistake_in_the_name_is_told() -> None:
    import maos_ckpt.api

    with pytest.raises(AttributeError, match="checkpoint_apy"):
        maos_ckpt.api.checkpoint_apy  # type: ignore[attr-defined]  # noqa: B018
