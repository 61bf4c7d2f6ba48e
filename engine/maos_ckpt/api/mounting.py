"""The API inside an application of one's own."""

from __future__ import annotations

from typing import Any, Protocol

from starlette.types import ASGIApp

from maos_ckpt.api.application import application
from maos_ckpt.client import EngineClient


class HasClient(Protocol):
    """Something with an engine inside, as the library's checkpoint system."""

    @property
    def client(self) -> EngineClient:
        """The engine."""
        ...


def checkpoint_api(system: EngineClient | HasClient) -> ASGIApp:
    """The REST API as an ASGI application, to be mounted in another one: `app.mount("/api/checkpoint", …)`.

    Who may ask is the outer application's to decide: whatever it lets through may do everything. The engine is started
    and ended by whoever made it. Served by asyncio alone, as by uvicorn.
    """
    inside: Any = system
    client: EngineClient = getattr(inside, "client", inside)
    return application(client)
