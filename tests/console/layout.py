"""What must hold of every screen at every size: nothing wider than the terminal, over another, cut off or blank."""

from __future__ import annotations

from itertools import combinations

from rich.cells import cell_len
from textual.app import App
from textual.widget import Widget
from textual.widgets import Input

from maos_ckpt_tui.widgets.key_bar import KeyBar
from maos_ckpt_tui.widgets.mode_bar import ModeBar

#: A widget of at least so many cells is a pane, which is never blank.
_PANE_COLUMNS, _PANE_ROWS = 10, 3


def screen_lines(app: App[int]) -> list[str]:
    """The lines that a terminal shows."""
    return ["".join(segment.text for segment in strip) for strip in app.screen._compositor.render_strips()]


def leaves(app: App[int]) -> list[Widget]:
    """The widgets in sight that hold no other."""
    found = [one for one in app.screen.walk_children(Widget) if not list(one.children) and one.region.area]
    return [one for one in found if all(each.display for each in one.ancestors_with_self if isinstance(each, Widget))]


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
    shown = [one for one in leaves(app) if one.region.intersection(app.screen.region).area]
    for one, other in combinations(shown, 2):
        if one.layer == other.layer and one.region.intersection(other.region).area:
            found.append(f"{one} at {one.region} lies over {other} at {other.region}")
    for one in shown:
        text = _text_in(lines, one)
        if isinstance(one, KeyBar | ModeBar) and "…" in text:
            found.append(f"{type(one).__name__} cuts a word: {text.strip()!r}")
        large = one.region.width >= _PANE_COLUMNS and one.region.height >= _PANE_ROWS
        if large and not isinstance(one, Input) and not text.strip():
            found.append(f"{one} at {one.region} is blank")
        if not app.screen.region.contains_region(one.region) and not _scrolls(one):
            found.append(f"{one} at {one.region} is partly off the screen")
    return found


def _text_in(lines: list[str], widget: Widget) -> str:
    # Wide characters before the widget would shift it; what is drawn in panes side by side is narrow enough for this.
    left, top, width, height = widget.region
    return "\n".join(line[left : left + width] for line in lines[top : top + height])


def _scrolls(widget: Widget) -> bool:
    return any(one.is_scrollable for one in widget.ancestors if isinstance(one, Widget) and one is not widget.screen)
