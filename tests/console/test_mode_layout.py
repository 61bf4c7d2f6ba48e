"""Every mode at every size it is designed for, with much, with little and with hostile content."""

from __future__ import annotations

import pytest

from maos_ckpt.errors import SourceError
from maos_ckpt_tui.console import ConsoleApp
from maos_ckpt_tui.modes import MODES
from tests.console.fixtures import FixedClock
from tests.console.frozen_client import FrozenClient
from tests.console.frozen_console import HostileClient
from tests.console.layout import faults
from tests.console.test_snapshots import settle

SIZES = [(60, 20), (80, 24), (120, 40), (200, 50)]
CLIENTS = {
    "much": lambda: FrozenClient(2000),
    "nothing": lambda: FrozenClient(0),
    "one": lambda: FrozenClient(1),
    "failing": lambda: FrozenClient(error=SourceError("maos.db is locked by another process.")),
    "hostile": HostileClient,
}


@pytest.mark.parametrize("kind", CLIENTS)
async def test_no_mode_is_cut_blank_or_overlapping_at_any_size(kind: str) -> None:
    app = ConsoleApp(CLIENTS[kind](), clock=FixedClock())
    found = []
    async with app.run_test(size=SIZES[0]) as pilot:
        await settle(pilot)
        # What is told in words differs most at the narrowest and at the widest.
        for size in SIZES if kind == "much" else (SIZES[0], SIZES[2]):
            await pilot.resize_terminal(*size)
            for mode in MODES:
                await pilot.press(mode.key)
                await settle(pilot)
                found += [f"{mode.name} at {size[0]}x{size[1]}: {one}" for one in faults(app)]
    assert app.crash is None
    assert not found, "\n".join(found)
