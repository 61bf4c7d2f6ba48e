"""Bars over time, drawn from characters: sparklines of one line, and plots with axes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from maos_ckpt_tui.checkpoint_view import BARS, bar_cells
from maos_ckpt_tui.safe_text import pad
from maos_ckpt_tui.widgets.lines import Line, Span

Values = Sequence[float | None]

#: Cells of the axis at the left, its line included.
AXIS_CELLS = 10
#: The value axis reaches up to a target that is not further away than this many times the highest value.
TARGET_IN_SIGHT = 3.0
_NICE = (1.0, 2.0, 2.5, 5.0, 10.0)
#: Bars of this many cells stand a blank apart.
_CELLS_APART = 3


def shares(values: Values, *, logarithmic: bool = False) -> list[float | None]:
    """Each value's share of the largest, from 0 to 1; None stays."""
    numbers = [None if one is None else math.log1p(max(one, 0.0)) if logarithmic else max(one, 0.0) for one in values]
    top = max((one for one in numbers if one is not None), default=0.0)
    return [None if one is None else one / top if top > 0 else 0.0 for one in numbers]


def sparkline(values: Values, cells: int, *, logarithmic: bool = False) -> str:
    """The newest `cells` values as bars, the newest at the right; blank where there is none."""
    shown = list(values)[-cells:] if cells > 0 else []
    marks = [
        " " if one is None else BARS[max(1, min(8, math.ceil(one * 8)))]
        for one in shares(shown, logarithmic=logarithmic)
    ]
    return " " * (cells - len(marks)) + "".join(marks)


def squeezed(values: Values, number: int) -> list[float | None]:
    """At most `number` values: the largest of each stretch, since a peak is what one looks for."""
    if len(values) <= number:
        return list(values)
    found: list[float | None] = []
    for at in range(number):
        stretch = values[at * len(values) // number : (at + 1) * len(values) // number]
        found.append(max((one for one in stretch if one is not None), default=None))
    return found


def nice_top(highest: float) -> float:
    """The end of an axis that reaches to `highest`: 1, 2, 2.5 or 5 times a power of ten."""
    if highest <= 0 or not math.isfinite(highest):
        return 1.0
    power = 10.0 ** math.floor(math.log10(highest))
    return next(step * power for step in _NICE if step * power >= highest * 0.999999)


@dataclass(frozen=True, slots=True)
class Plot:
    """What is drawn.

    Args:
        values: one for each stretch of time, oldest first; None where nothing was measured.
        words: a value as an axis says it, in at most `AXIS_CELLS` - 2 characters.
        target: drawn as a line where it is in sight; `least` where values are to be above it, else below.
        whole: the axis ends at 1, as shares do.
    """

    values: tuple[float | None, ...]
    words: Callable[[float], str]
    target: float | None = None
    least: bool = False
    whole: bool = False

    @property
    def top(self) -> float:
        """Where the axis ends."""
        if self.whole:
            return 1.0
        highest = max((one for one in self.values if one is not None), default=0.0)
        if self.target is not None and self.target <= highest * TARGET_IN_SIGHT:
            highest = max(highest, self.target)
        return nice_top(highest)

    def misses(self, value: float) -> bool:
        """Whether a value is on the wrong side of the target."""
        if self.target is None:
            return False
        return value < self.target if self.least else value > self.target


def layout(number: int, width: int) -> tuple[int, int]:
    """(bars, cells of each) of `number` values in a plot of `width` cells."""
    room = max(1, width - AXIS_CELLS)
    return (number, room // number) if 0 < number <= room else (min(number, room), 1)


def place_of(index: int, number: int, width: int) -> int:
    """The cell, from the plot's left edge, at which the bar of a value begins."""
    bars, cells = layout(number, width)
    return AXIS_CELLS + (index * bars // max(1, number)) * cells


def draw_plot(plot: Plot, width: int, rows: int, cursor: int | None) -> list[Line]:
    """`rows` lines from top to bottom; the bar at index `cursor` of the values stands out."""
    rows = max(1, rows)
    bars, cells = layout(len(plot.values), width)
    values, top = squeezed(plot.values, bars), plot.top
    chosen = None if cursor is None else cursor * bars // max(1, len(plot.values))
    target_row = _target_row(plot, rows)
    columns = [_column(plot, one, top, rows, index == chosen) for index, one in enumerate(values)]
    lines: list[Line] = []
    for row in range(rows):
        line: Line = [_axis(plot, row, rows, target_row)]
        for column in columns:
            text, tone = column[row]
            if text == " " and row == target_row:
                line.append(("-" * cells, "warn"))
            else:
                line.append((_wide(text, cells, "-" if row == target_row else " "), tone))
        lines.append(_merged(line))
    return lines


def _wide(text: str, cells: int, between: str) -> str:
    return text * cells if cells < _CELLS_APART else text * (cells - 1) + between


def _column(plot: Plot, value: float | None, top: float, rows: int, chosen: bool) -> list[Span]:
    if value is None:
        return [(" ", "plain")] * (rows - 1) + [("." if not chosen else "^", "faint" if not chosen else "key")]
    tone = "key" if chosen else "warn" if plot.misses(value) else "accent"
    cells = bar_cells(min(1.0, max(value, 0.0) / top), rows) if value > 0 else [" "] * (rows - 1) + [BARS[1]]
    return [(text, tone if text != " " else "plain") for text in cells]


def _target_row(plot: Plot, rows: int) -> int | None:
    if plot.target is None or not 0 < plot.target <= plot.top:
        return None
    return min(rows - 1, max(0, rows - 1 - math.floor(plot.target / plot.top * rows - 1e-9)))


def _axis(plot: Plot, row: int, rows: int, target_row: int | None) -> Span:
    if row == 0:
        text = plot.words(plot.top)
    elif row == target_row and rows > 2 and plot.target is not None:
        text = plot.words(plot.target)
    elif row == rows - 1:
        text = "0"
    else:
        text = ""
    return pad(text, AXIS_CELLS - 2, right=True) + " │", "warn" if row == target_row and row else "dim"


def _merged(line: Line) -> Line:
    """Neighbours of one tone as one piece: a plot is a few pieces a line, not one for each cell."""
    found: Line = []
    for text, tone in line:
        if found and found[-1][1] == tone:
            found[-1] = (found[-1][0] + text, tone)
        else:
            found.append((text, tone))
    return found


def time_axis(labels: Sequence[tuple[int, str]], width: int, mark: int | None) -> Line:
    """Labels below a plot: (cell at which it begins, text), those left out that would touch the one before; `mark`
    points up at a cell."""
    cells = [" "] * width
    end = 0
    for at, text in labels:
        at = min(at, width - cell_len(text))
        if at >= end and at >= 0:
            cells[at : at + len(text)] = list(text)
            end = at + len(text) + 1
    if mark is None or not 0 <= mark < width:
        return [("".join(cells), "dim")]
    return [("".join(cells[:mark]), "dim"), ("▲", "key"), ("".join(cells[mark + 1 :]), "dim")]
