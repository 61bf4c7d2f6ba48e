"""Plots of the figures over one window of time, as many as the terminal has room for, with one cursor through all."""

from __future__ import annotations

from textual import events

from maos_ckpt.model.metrics import MetricsReport
from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.plots import draw_plot, place_of, time_axis
from maos_ckpt_tui.trends import Series, axis_labels, series, stretch, told
from maos_ckpt_tui.widgets.lines import Line, LineView, fit, line_width, rule

#: A plot is at least so wide and high; three lines of its height are heading, time axis and the value at the cursor.
_CELLS_MIN, _ROWS_MIN = 52, 9
_FRAME_ROWS = 3
_APART = 2


class PlotGrid(LineView):
    """The selected figure alone where there is little room, else it and those that follow it."""

    def __init__(self) -> None:
        super().__init__(id="plots")
        self._report: MetricsReport | None = None
        self._selected = 0
        self._cursor: int | None = None

    def show(self, report: MetricsReport, selected: int, cursor: int | None) -> None:
        """Another report, figure, or bucket under the cursor (None: none)."""
        self._report, self._selected, self._cursor = report, selected, cursor
        self.changed()

    def on_resize(self, event: events.Resize) -> None:
        """As high as there is room."""
        self._built_width = -1
        self.refresh()

    def build(self, width: int) -> list[Line]:
        """See `LineView.build`."""
        height = self.size.height
        if self._report is None or height < _FRAME_ROWS + 1:
            return []
        found = series(self._report)
        across = min(len(found), max(1, (width + _APART) // (_CELLS_MIN + _APART)))
        down = max(1, min(height // _ROWS_MIN, -(-len(found) // across)))
        number = min(len(found), across * down)
        # All of them in their order where all fit, so that nothing moves when another one is selected.
        first = 0 if number == len(found) else self._selected
        chosen = [(first + at) % len(found) for at in range(number)]
        cells, rows = (width - _APART * (across - 1)) // across, height // down
        lines: list[Line] = []
        for begin in range(0, number, across):
            blocks = [
                self._block(self._report, found[at], at == self._selected, cells, rows)
                for at in chosen[begin : begin + across]
            ]
            for row in range(rows):
                line: Line = []
                for at, block in enumerate(blocks):
                    blank = cells - line_width(block[row]) + _APART if at < len(blocks) - 1 else 0
                    line += [*block[row], (" " * blank, "plain")]
                lines.append(line)
        return lines

    def _block(self, report: MetricsReport, one: Series, selected: bool, width: int, height: int) -> list[Line]:
        text, tone = one.bound
        title = f"{'> ' if selected else ''}{one.title}"
        note: Line = [(told(one.now, one.words), "strong")]
        if text:
            note += [(f"  target {text}", tone)]
        head = rule(title, width, note)
        rows = height - _FRAME_ROWS
        if not any(point.value is not None for point in one.points):
            nothing: Line = [(f"   No {one.unit} in this time.", "dim")]
            return [head, [], nothing, *([[]] * (height - 3))][:height]
        labels = [(place_of(at, len(one.points), width), text) for at, text in axis_labels(report)]
        mark = None if self._cursor is None else place_of(self._cursor, len(one.points), width)
        plot = draw_plot(one.plot, width, rows, self._cursor)
        return [head, *plot, time_axis(labels, width, mark), self._value(report, one, width)]

    def _value(self, report: MetricsReport, one: Series, width: int) -> Line:
        at = len(one.points) - 1 if self._cursor is None else self._cursor
        point = one.points[at]
        when = stretch(report, point.at_ms)
        if point.value is None:
            yet = " yet" if at == len(one.points) - 1 else ""
            return fit([(" ▲ ", "key"), (f"{when}: nothing measured{yet}", "dim")], width)
        tone = "warn" if one.plot.misses(point.value) else "strong"
        sign = "!! " if one.plot.misses(point.value) else ""
        about = f", {fmt.plural(point.count, one.unit, one.unit[:-1] + 'ies' if one.unit.endswith('y') else '')}"
        return fit([(" ▲ ", "key"), (f"{when}: ", "dim"), (sign + one.words(point.value), tone), (about, "dim")], width)
