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
#: Nothing that is plotted is as small as this.
_LEAST = 1e-9
_NICE = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
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
    """The end of an axis that reaches to `highest`: a round number."""
    if highest < _LEAST or not math.isfinite(highest):
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


def edges(number: int, width: int) -> list[int]:
    """Where the bars of `number` values begin in a plot of `width` cells, counted from its axis; the last is the end.

    Bars share the room evenly, to a cell; where there are more values than cells, a bar stands for several.
    """
    room = max(1, width - AXIS_CELLS)
    bars = max(1, min(number, room))
    return [at * room // bars for at in range(bars + 1)]


def place_of(index: int, number: int, width: int) -> int:
    """The cell, from the plot's left edge, at which the bar of a value begins."""
    found = edges(number, width)
    return AXIS_CELLS + found[index * (len(found) - 1) // max(1, number)]


def draw_plot(plot: Plot, width: int, rows: int, cursor: int | None) -> list[Line]:
    """`rows` lines from top to bottom; the bar at index `cursor` of the values stands out."""
    rows = max(1, rows)
    begins = edges(len(plot.values), width)
    bars = len(begins) - 1
    apart = begins[-1] // bars >= _CELLS_APART
    values, top = squeezed(plot.values, bars), plot.top
    chosen = None if cursor is None else cursor * bars // max(1, len(plot.values))
    target_row = _target_row(plot, rows)
    columns = [_column(plot, one, top, rows, index == chosen) for index, one in enumerate(values)]
    lines: list[Line] = []
    for row in range(rows):
        line: Line = [_axis(plot, row, rows, target_row)]
        empty: Span = ("-", "warn") if row == target_row else (" ", "plain")
        for index, column in enumerate(columns):
            text, tone = column[row]
            cells = begins[index + 1] - begins[index] - apart
            line.append((empty[0] * cells, empty[1]) if text == " " else (text * cells, tone))
            if apart:
                line.append(empty)
        lines.append(_merged(line))
    return lines


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
        if at >= end and at >= 0 and (mark is None or not at <= mark <= at + cell_len(text)):
            cells[at : at + len(text)] = list(text)
            end = at + len(text) + 1
    if mark is None or not 0 <= mark < width:
        return [("".join(cells), "dim")]
    return [("".join(cells[:mark]), "dim"), ("▲", "key"), ("".join(cells[mark + 1 :]), "dim")]
