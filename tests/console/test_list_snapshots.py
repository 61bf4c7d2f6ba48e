"""What checkpoints, integrity and diff look like at the sizes they are designed for, from frozen values."""

from __future__ import annotations

import pytest

from tests.console.test_snapshots import Compare, app, keys


@pytest.mark.parametrize(
    ("pressed", "size"),
    [
        (("2", "space", "space"), (60, 20)),
        (("2", "s", "down", "enter"), (80, 24)),
        (("2", "down"), (120, 40)),
        (("5",), (80, 24)),
        (("5", "v", "enter", "enter"), (120, 40)),
        (("4", "end", "up", "up", "up", "up", "A"), (80, 24)),
    ],
    ids=["marks", "sorted", "beside", "integrity", "verified", "sides"],
)
def test_mode(snap_compare: Compare, pressed: tuple[str, ...], size: tuple[int, int]) -> None:
    """The modes with something done in them."""
    assert snap_compare(app(), terminal_size=size, run_before=keys(*pressed))
