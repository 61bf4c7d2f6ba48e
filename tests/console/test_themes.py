"""Every theme can be read, and states keep apart for everybody."""

from __future__ import annotations

from itertools import combinations
from typing import get_args

import pytest
from rich.color import Color
from textual.theme import Theme

from maos_ckpt.config.types import Theme as ThemeName
from maos_ckpt_tui import themes
from maos_ckpt_tui.console import ConsoleApp
from maos_ckpt_tui.widgets.lines import TONES
from maos_ckpt_tui.widgets.operation_bar import OperationBar
from tests.console.colour_vision import DEFICIENCIES, contrast, distance
from tests.console.frozen_client import FrozenClient
from tests.console.real import Operator

OWN = [one for one in themes.THEMES if not one.ansi]


def test_the_names_of_themes_are_those_of_the_configuration() -> None:
    assert {"auto", *themes.NAMES} == set(get_args(ThemeName))
    assert list(themes.NAMES.values()) == [one.name for one in themes.THEMES]


@pytest.mark.parametrize("theme", OWN, ids=lambda one: one.name)
async def test_every_tone_can_be_read_on_every_ground(theme: Theme) -> None:
    least = 7.0 if theme.name == themes.HIGH_CONTRAST else 4.5
    grounds = [theme.background, theme.surface, theme.panel]
    app = ConsoleApp(FrozenClient(), theme=theme.name)
    async with app.run_test(size=(80, 24)):
        widget = app.screen.query_one(OperationBar)
        for tone in TONES:
            style = widget.get_component_rich_style(f"tone-{tone}", partial=True)
            drawn_on = [style.bgcolor] if style.bgcolor else [Color.parse(str(one)) for one in grounds]
            for ground in drawn_on:
                assert style.color is not None
                found = contrast(_hex(style.color), _hex(ground))
                assert found >= least, f"{tone} has {found:.1f}:1 on {_hex(ground)}"
        cursor = theme.variables
        assert contrast(cursor["tone-select-text"], cursor["tone-select"]) >= least


@pytest.mark.parametrize("deficiency", ["", *DEFICIENCIES])
def test_good_warning_and_bad_are_three_colours_to_everybody_in_the_colour_blind_theme(deficiency: str) -> None:
    theme = next(one for one in themes.THEMES if one.name == themes.COLOUR_BLIND)
    states = [str(theme.success), str(theme.warning), str(theme.error)]
    for one, other in combinations(states, 2):
        assert distance(one, other, deficiency) >= 20, f"{one} and {other} are alike"


async def test_a_key_goes_through_all_themes_and_says_their_names() -> None:
    app = ConsoleApp(FrozenClient())
    async with app.run_test(size=(80, 24)) as pilot:
        operator = Operator(app, pilot)
        for name in [*list(themes.NAMES)[1:], "dark"]:
            await operator.press("t")
            await operator.sees(f"Colours: {name}.")
            assert app.theme == themes.NAMES[name]


def _hex(colour: Color) -> str:
    return colour.get_truecolor().hex
