"""The REST API: one ASGI application over an `EngineClient`, and the doors it is served behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from maos_ckpt.api.mounting import checkpoint_api

__all__ = ["checkpoint_api"]


def __getattr__(name: str) -> object:
    """Load what serves only where it is asked for."""
    if name == "checkpoint_api":
        from maos_ckpt.api.mounting import checkpoint_api

        return checkpoint_api
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
