"""What metrics, events and alerts look like, from frozen values."""

from __future__ import annotations

import pytest

from maos_ckpt.model.alerts import CRITICAL, RUNBOOKS, WARNING, Alert, AlertName, AlertState
from tests.console.fixtures import NOW_MS
from tests.console.frozen_client import FrozenClient
from tests.console.test_snapshots import Compare, app, keys

_HOUR_MS = 3_600_000


def two_alerts() -> tuple[Alert, ...]:
    full = "512 MiB are free on the repository's disk; 1,024 MiB should be."
    waits = "12 checkpoints wait for S3, the oldest for 2 h."
    disk, spool = AlertName.DISK_SPACE, AlertName.SPOOL_AGE
    return (
        Alert(disk, CRITICAL, AlertState.FIRING, full, NOW_MS - 700_000, "k1", RUNBOOKS[disk]),
        Alert(
            spool, WARNING, AlertState.SNOOZED, waits, NOW_MS - 2 * _HOUR_MS, "k2", RUNBOOKS[spool], "anna@ops", NOW_MS
        ),
    )


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (120, 40)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_metrics(snap_compare: Compare, size: tuple[int, int]) -> None:
    """Figures against targets, and as many plots as there is room for."""
    assert snap_compare(app(), terminal_size=size, run_before=keys("8", "left", "left"))


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_events(snap_compare: Compare, size: tuple[int, int]) -> None:
    """The journal, and the entry under the cursor where the terminal is wide."""
    assert snap_compare(app(), terminal_size=size, run_before=keys("9", "down"))


def test_alerts(snap_compare: Compare) -> None:
    """The alerts that stand, and what to do about the one under the cursor."""
    client = FrozenClient()
    client.standing = two_alerts()
    assert snap_compare(app(client), terminal_size=(80, 24), run_before=keys("A"))
