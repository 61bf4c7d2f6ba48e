"""A few rounds of `tests.recovery.selections`, which runs a hundred by itself."""

from __future__ import annotations

from pathlib import Path

from tests.recovery.selections import run


def test_random_selections_on_a_live_maos_come_out_as_planned_and_are_taken_back(tmp_path: Path) -> None:
    counts = run(tmp_path, rounds=6, seed=11)
    assert (counts["applied"], counts["writes of MAOS"] > 0) == (6, True)
    assert counts["undone"] >= 5
    assert counts["changes"] > 20
