"""The figures of a window as a table: trend, value, percentiles, and how each stands to its target."""

from __future__ import annotations

from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.plots import sparkline
from maos_ckpt_tui.trends import Series, told
from maos_ckpt_tui.widgets.lines import Line, Span, rule
from maos_ckpt_tui.widgets.row_list import EDGES, Column, RowList, choose_columns, table_line

_TREND = 2
_COLUMNS = (
    Column("", 2, 1),
    Column("FIGURE", 13, 1),
    Column("TREND", 6, 2, grow=True, wish=12),
    Column("VALUE", 8, 1, right=True),
    Column("P50", 7, 5, right=True),
    Column("P95", 7, 4, right=True),
    Column("P99", 7, 5, right=True),
    Column("TARGET", 11, 1),
    Column("COUNT", 7, 6, right=True),
)
#: A small save beside a large one stays visible.
_LOGARITHMIC = ("ratio", "stored")
_HEADINGS: list[Span] = [(column.title, "head") for column in _COLUMNS]


class MetricList(RowList):
    """One row a figure; that under the cursor is plotted."""

    def __init__(self) -> None:
        super().__init__(id="figures")
        self._series: tuple[Series, ...] = ()
        self._title = ""
        self._note: list[Span] = []
        self._why: list[Line] = []

    @property
    def row_count(self) -> int:
        """See `RowList.row_count`."""
        return len(self._series)

    @property
    def selected(self) -> Series | None:
        """The figure under the cursor."""
        return self._series[self.cursor] if self._series else None

    def show(self, series: tuple[Series, ...], title: str, note: list[Span]) -> None:
        """Other figures; `title` says of when."""
        self._series, self._title, self._note = series, title, note
        self.rows_changed()

    def explain(self, why: list[Line]) -> None:
        """Why there is nothing."""
        self._why = why
        self.refresh()

    def heading(self, width: int) -> list[Line]:
        """See `RowList.heading`."""
        titles = table_line(_COLUMNS, _HEADINGS, max(0, width - EDGES))
        return [rule(self._title, width, self._note), [("  ", "plain"), *titles]]

    def placeholder(self, width: int) -> list[Line]:
        """See `RowList.placeholder`."""
        return self._why

    def row(self, index: int, width: int) -> Line:
        """See `RowList.row`."""
        one = self._series[index]
        widths = dict(choose_columns(_COLUMNS, width))
        values = [point.value for point in one.points]
        timings = one.timings
        percentiles = (timings.p50_s, timings.p95_s, timings.p99_s) if timings is not None else (None, None, None)
        cells: list[Span] = [
            one.sign,
            (one.title, "strong"),
            (sparkline(values, widths.get(_TREND, 0), logarithmic=one.name in _LOGARITHMIC), "accent"),
            (told(one.now, one.words), "plain" if one.now is not None else "dim"),
            *((told(value, one.words), "plain" if value is not None else "faint") for value in percentiles),
            one.bound,
            (fmt.count(sum(point.count for point in one.points)), "dim"),
        ]
        return table_line(_COLUMNS, cells, width)
