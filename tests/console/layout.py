"""What must hold of every screen at every size: nothing wider than the terminal, over another, cut off or blank."""

from __future__ import annotations

from itertools import combinations

from rich.cells import cell_len
from textual.app import App
from textual.geometry import Region
from textual.scrollbar import ScrollBar, ScrollBarCorner
from textual.widget import Widget
from textual.widgets import Input

from maos_ckpt_tui.widgets.key_bar import KeyBar
from maos_ckpt_tui.widgets.mode_bar import ModeBar

#: A widget of at least so many cells is a pane, which is never blank.
_PANE_COLUMNS, _PANE_ROWS = 10, 3


def screen_lines(app: App[int]) -> list[str]:
    """The lines that a terminal shows."""
    return ["".join(segment.text for segment in strip) for strip in app.screen._compositor.render_strips()]


def leaves(app: App[int]) -> dict[Widget, Region]:
    """The widgets in sight that hold no other, and what is seen of each."""
    seen = {one: region.intersection(clip) for one, (region, clip) in app.screen._compositor.visible_widgets.items()}
    # A scroll bar lies in its own widget.
    bars = ScrollBar | ScrollBarCorner
    return {one: at for one, at in seen.items() if at.area and not list(one.children) and not isinstance(one, bars)}


def faults(app: App[int]) -> list[str]:
    """What is wrong with the screen in sight, one sentence each."""
    columns, rows = app.size
    lines = screen_lines(app)
    found = [
        f"line {y} takes {cell_len(line)} cells of {columns}"
        for y, line in enumerate(lines)
        if cell_len(line) > columns
    ]
    if len(lines) > rows:
        found.append(f"there are {len(lines)} lines, the terminal has {rows}")
    shown = leaves(app)
    for (one, region), (other, place) in combinations(shown.items(), 2):
        if one.layer == other.layer and one.screen is other.screen and region.intersection(place).area:
            found.append(f"{one} at {region} lies over {other} at {place}")
    for one, region in shown.items():
        text = _text_in(lines, region)
        if isinstance(one, KeyBar | ModeBar) and text.rstrip().endswith("…"):
            found.append(f"{type(one).__name__} cuts a word: {text.strip()!r}")
        large = region.width >= _PANE_COLUMNS and region.height >= _PANE_ROWS
        if large and not isinstance(one, Input) and not text.strip():
            found.append(f"{one} at {region} is blank")
    return found


def _text_in(lines: list[str], region: Region) -> str:
    # Wide characters before the widget would shift it; what is drawn in panes side by side is narrow enough for this.
    left, top, width, height = region
    return "\n".join(line[left : left + width] for line in lines[top : top + height])
