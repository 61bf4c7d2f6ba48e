"""maos-ckpt: checkpoints and recovery for MAOS. Importing this package loads nothing beyond the standard library.

The names of the library (`quick_start`, `create_checkpoint_system`, `CheckpointSystem`, …) are loaded when they are
asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from maos_ckpt.api.mounting import checkpoint_api
    from maos_ckpt.library.start import create_checkpoint_system, quick_start
    from maos_ckpt.library.system import CheckpointSystem
    from maos_ckpt.library.trends import MetricsCollector, PerformanceTrends
    from maos_ckpt.logs import set_log_level

__version__ = "0.1.0"

__all__ = [
    "quick_start",
    "create_checkpoint_system",
    "CheckpointSystem",
    "MetricsCollector",
    "PerformanceTrends",
    "checkpoint_api",
    "set_log_level",
]

_HOMES = {
    "quick_start": "library.start",
    "create_checkpoint_system": "library.start",
    "CheckpointSystem": "library.system",
    "MetricsCollector": "library.trends",
    "PerformanceTrends": "library.trends",
    "checkpoint_api": "api.mounting",
    "set_log_level": "logs",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"maos_ckpt.{home}"), name)
