"""Random keys, sizes and hostile content: the console neither crashes nor draws a control character."""

from __future__ import annotations

import random
import unicodedata

import pytest
from textual.events import Key

from maos_ckpt_tui.console import ConsoleApp
from tests.console.fixtures import FixedClock
from tests.console.frozen_client import FrozenClient
from tests.console.frozen_console import HostileClient

KEYS = [
    *"abcdefghjklmnoprstuvwxyGJ:?/ 0",
    *("enter", "escape", "tab", "shift+tab", "up", "down", "left", "right", "home", "end", "pageup", "pagedown"),
    *("backspace", "ctrl+p", "ctrl+u", "ctrl+d", "ctrl+c", "space", "f1"),
]
SIZES = [(80, 24), (60, 20), (120, 40), (200, 60), (40, 12), (20, 6), (3, 2), (79, 23)]
STEPS = 25


@pytest.mark.parametrize("seed", range(5))
async def test_random_keys_and_sizes_break_nothing(seed: int) -> None:
    chance = random.Random(seed)
    client: FrozenClient = HostileClient() if seed % 2 else FrozenClient(chance.choice([0, 1, 64, 3000]))
    app = ConsoleApp(client, clock=FixedClock(), read_only=seed == 4)
    async with app.run_test(size=chance.choice(SIZES)) as pilot:
        await pilot.pause(0.05)
        for _ in range(STEPS):
            for key in chance.choices(KEYS, k=chance.randint(1, 4)):
                app.post_message(Key({" ": "space"}.get(key, key), key if len(key) == 1 else None))
            if chance.random() < 0.1:
                await pilot.resize_terminal(*chance.choice(SIZES))
            await pilot.pause()
            for line in app.screen._compositor.render_strips():
                text = "".join(segment.text for segment in line)
                assert not any(unicodedata.category(one) in {"Cc", "Cf", "Cs", "Co", "Cn"} for one in text), text
    assert app.crash is None
