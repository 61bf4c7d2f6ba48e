"""The short form of `tests.metrics.restarts`."""

from __future__ import annotations

from pathlib import Path

from tests.metrics.restarts import run


def test_metrics_after_random_restarts_equal_metrics_recomputed_from_the_journal(tmp_path: Path) -> None:
    found = run(tmp_path, 2, seed=4)
    assert found.asked >= 2
    assert any(name == "CheckpointCreated" for name, _ in found.everything)
