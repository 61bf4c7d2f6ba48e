"""The scenarios, how each went last and how fast it has been lately."""

from __future__ import annotations

from maos_ckpt.model.drills import DrillHistory, DrillScenario
from maos_ckpt_tui import drill_words as words
from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.widgets.lines import Line, Span, rule
from maos_ckpt_tui.widgets.row_list import EDGES, Column, RowList, table_line

_COLUMNS = (
    Column("", 2, 1),
    Column("SCENARIO", 20, 1),
    Column("LAST", 16, 2, grow=True),
    Column("RTO", 8, 1, right=True),
    Column("MEDIAN", 8, 3, right=True),
    Column("WORST", 8, 3, right=True),
    Column("PASSED", 8, 2, right=True),
)
_HEADINGS: list[Span] = [(column.title, "head") for column in _COLUMNS]


class DrillList(RowList):
    """One row a scenario; the one that is being rehearsed is marked."""

    def __init__(self) -> None:
        super().__init__(id="scenarios")
        self._history = DrillHistory()
        self._now_ms = 0
        self._under_way = ""
        self.scenarios = words.SCENARIOS
        self._shown = False

    @property
    def selected(self) -> DrillScenario:
        """The scenario under the cursor."""
        return self.scenarios[self.cursor]

    @property
    def row_count(self) -> int:
        """See `RowList.row_count`."""
        return len(self.scenarios)

    def show(self, history: DrillHistory, now_ms: int) -> None:
        """Another history."""
        at = self.selected
        self._history, self._now_ms = history, now_ms
        self.scenarios = words.ordered(history)
        self.cursor = self.scenarios.index(at) if self._shown else 0
        self._shown = True
        self.rows_changed()

    def mark(self, scenario: str) -> None:
        """This one is being rehearsed; "" for none."""
        if scenario != self._under_way:
            self._under_way = scenario
            self.refresh()

    def heading(self, width: int) -> list[Line]:
        """See `RowList.heading`."""
        note = words.standing(self._history.status, self._now_ms)
        titles = table_line(_COLUMNS, _HEADINGS, max(0, width - EDGES))
        return [rule("Scenarios", width, [note]), [("  ", "plain"), *titles]]

    def row(self, index: int, width: int) -> Line:
        """See `RowList.row`."""
        scenario = self.scenarios[index]
        found = words.last_result(self._history, scenario)
        result, at_ms = (found[0], found[1]) if found else (None, 0)
        trend = words.trend_of(self._history, scenario)
        when = fmt.ago(at_ms, self._now_ms) if found else "never"
        if result is not None and not result.applicable:
            when = "not applicable"
        cells: list[Span] = [
            ("..", "accent") if scenario == self._under_way else words.sign(result),
            (scenario.value, "strong"),
            (when, "dim"),
            (words.seconds(result.rto_s if result else None), "plain"),
            (words.seconds(trend.rto_median_s if trend else None), "dim"),
            (words.seconds(trend.rto_worst_s if trend else None), "dim"),
            (f"{trend.passed} of {trend.runs}" if trend and trend.runs else "-", "dim"),
        ]
        return table_line(_COLUMNS, cells, width)
