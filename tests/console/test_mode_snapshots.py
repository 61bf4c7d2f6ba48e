"""What each mode looks like: at three sizes in the dark theme, and at 80x24 in every other look. An app for a look.

Layouts are checked by `test_mode_layout`; these pictures are for the eye, and for what changes unawares.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from pytest_textual_snapshot import SVGImageExtension
from syrupy import SnapshotAssertion

from maos_ckpt_tui import themes
from maos_ckpt_tui.console import ConsoleApp
from maos_ckpt_tui.looks import Looks
from maos_ckpt_tui.modes import MODES
from tests.console.fixtures import FixedClock
from tests.console.frozen_client import FrozenClient
from tests.console.test_snapshots import settle

DESIGNED_FOR = (80, 24)


@dataclass(frozen=True)
class Look:
    """One way to look at the console."""

    name: str
    sizes: tuple[tuple[int, int], ...] = (DESIGNED_FOR,)
    theme: str = themes.DARK
    ascii: bool = False
    no_color: bool = False


LOOKS = (
    Look("dark", ((60, 20), (80, 24), (120, 40))),
    *(Look(one.name.removeprefix("maos-"), theme=one.name) for one in themes.THEMES if one.name != themes.DARK),
    Look("no-color", theme=themes.ANSI, no_color=True),
    Look("ascii", ascii=True),
)


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.name)
async def test_every_mode(look: Look, snapshot: SnapshotAssertion, monkeypatch: pytest.MonkeyPatch) -> None:
    if look.no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    pictures = snapshot.use_extension(SVGImageExtension)
    app = ConsoleApp(FrozenClient(), theme=look.theme, clock=FixedClock(), looks=Looks(ascii=look.ascii))
    differ = []
    async with app.run_test(size=look.sizes[0]) as pilot:
        await settle(pilot)
        for columns, rows in look.sizes:
            await pilot.resize_terminal(columns, rows)
            for mode in MODES:
                await pilot.press(mode.key)
                await settle(pilot)
                name = f"{mode.name}-{columns}x{rows}"
                if app.export_screenshot(title="maos-ckpt") != pictures(name=name):
                    differ.append(name)
    assert app.crash is None
    assert not differ, f"These look different now (see --snapshot-update): {', '.join(differ)}"
