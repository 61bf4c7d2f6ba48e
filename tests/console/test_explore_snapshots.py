"""Explore at the sizes it is designed for, from frozen values."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.console.test_snapshots import app, keys

Compare = Callable[..., bool]


@pytest.mark.parametrize(
    ("pressed", "size"),
    [
        (("3",), (120, 40)),
        (("3", "tab", "tab", "left"), (80, 24)),
        (("3", "down", "enter", "up", "enter"), (80, 24)),
        (("3", "down", "enter"), (60, 20)),
        (("3", "down", "H"), (80, 24)),
        (("3", "o"), (80, 24)),
    ],
    ids=["agents", "tasks", "conversation", "narrow", "versions", "record"],
)
def test_explore(snap_compare: Compare, pressed: tuple[str, ...], size: tuple[int, int]) -> None:
    """The views, a conversation, versions and a record."""
    assert snap_compare(app(), terminal_size=size, run_before=keys(*pressed))
