"""Metrics: every figure of a window of time, plotted against its target, with percentiles, totals and growth."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from maos_ckpt.errors import CkptError
from maos_ckpt.model.metrics import HOURS, MetricsReport
from maos_ckpt_tui import metrics_export, trends
from maos_ckpt_tui.commands import METRICS, bindings_for
from maos_ckpt_tui.export_file import write_new
from maos_ckpt_tui.modals.choice import Choice, ChoiceModal
from maos_ckpt_tui.screens.alerts import WithAlerts
from maos_ckpt_tui.widgets.key_bar import KeyBar
from maos_ckpt_tui.widgets.lines import Line, LineView, Span, flow, paragraph
from maos_ckpt_tui.widgets.metric_list import MetricList
from maos_ckpt_tui.widgets.mode_bar import ModeBar
from maos_ckpt_tui.widgets.operation_bar import OperationBar
from maos_ckpt_tui.widgets.plot_grid import PlotGrid
from maos_ckpt_tui.widgets.row_list import RowList
from maos_ckpt_tui.widgets.title_bar import TitleBar

#: Without news, and after news, the figures are read again no sooner than this.
_READ_AGAIN_S = 5.0
_FORMATS = (
    Choice(metrics_export.JSON, "JSON", "all figures, percentiles, totals and trends, as `metrics --json` prints them"),
    Choice(metrics_export.CSV, "CSV", "the trends alone, a line for each stretch of time"),
)
_ROWS_LOW = 24


class TotalsView(LineView):
    """The figures of the whole window in a line or two."""

    def __init__(self) -> None:
        super().__init__(id="totals")
        self._report: MetricsReport | None = None

    def show(self, report: MetricsReport) -> None:
        """Another report."""
        self._report = report
        self.changed()

    def build(self, width: int) -> list[Line]:
        """See `LineView.build`."""
        if self._report is None:
            return []
        found = trends.totals(self._report)
        parts: list[Line] = [[(f"{name} ", "dim"), (value, tone or "strong")] for name, value, tone in found]
        lines = flow(parts, width, [(" ", "plain")])
        # The least is said first; where the terminal is low the rest makes room for the plot.
        return lines if self.app.size.height >= _ROWS_LOW else lines[:2]


class MetricsScreen(WithAlerts):
    """Reads the figures while it is in sight, whenever the engine has news."""

    PLACE = METRICS
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for(METRICS)]
    AUTO_FOCUS = "#figures"

    def __init__(self) -> None:
        super().__init__()
        self.report: MetricsReport | None = None
        self._hours = HOURS
        #: The bucket that is read, counted from the newest; 0 follows the time.
        self._back = 0
        self._read_s: float | None = None
        self._stale = False

    def compose(self) -> ComposeResult:
        """Totals, figures, plots."""
        yield TitleBar("Metrics")
        yield ModeBar(METRICS)
        yield TotalsView()
        yield MetricList()
        yield PlotGrid()
        yield OperationBar()
        yield KeyBar(METRICS)

    def model_changed(self) -> None:
        """See `ConsoleScreen.model_changed`."""
        self.refresh_bindings()
        problem = self.console.model.problem
        if self.report is None:
            width = max(20, self.size.width - 4)
            texts = (problem.message, problem.kept, problem.hint) if problem is not None else ("Reading…",)
            self.query_one(MetricList).explain(
                [line for text in texts if text for line in paragraph(text, width, indent="  ")]
            )
        self._stale = True
        self._read_again()

    def tick(self) -> None:
        """See `ConsoleScreen.tick`; news that came too soon after a reading are read by now."""
        super().tick()
        self._read_again()

    def _read_again(self) -> None:
        now_s = self.console.clock.monotonic_s()
        due = self._read_s is None or now_s - self._read_s >= _READ_AGAIN_S
        if due and self._stale and self.console.model.loaded:
            self._read()

    def _read(self) -> None:
        client, hours = self.console.client, self._hours
        self._read_s, self._stale = self.console.clock.monotonic_s(), False
        self.ask(lambda: client.metrics(hours), self._took, group="metrics", failed=self._not_read, quiet=True)

    def _took(self, report: MetricsReport) -> None:
        self.report = report
        self._back = min(self._back, len(report.save_time_trend) - 1)
        self.query_one(TotalsView).show(report)
        note: list[Span] = []
        for hours in trends.WINDOWS_H:
            here = hours == report.hours
            name = trends.window_name(hours)
            note.append((f"[{name}]" if here else f" {name} ", "strong" if here else "dim"))
        self.query_one(MetricList).show(trends.series(report), f"Last {trends.window_name(report.hours)}", note)
        self._plot()

    def _not_read(self, error: CkptError) -> None:
        self.console.say(error.message, "warn")

    def _plot(self) -> None:
        if (report := self.report) is not None:
            last = len(report.save_time_trend) - 1
            self.query_one(PlotGrid).show(report, self.query_one(MetricList).cursor, last - self._back)

    def on_row_list_moved(self, message: RowList.Moved) -> None:
        """Another figure."""
        self._plot()

    def action_longer(self) -> None:
        """Look back on more time."""
        self._look_back(1)

    def action_shorter(self) -> None:
        """Look back on less time."""
        self._look_back(-1)

    def _look_back(self, step: int) -> None:
        known = trends.WINDOWS_H
        at = min(max(known.index(self._hours) + step, 0), len(known) - 1)
        if known[at] == self._hours:
            edge = "more" if step > 0 else "less"
            self.console.say(f"{trends.window_name(self._hours)} is as far as it goes: there is no {edge}.")
            return
        self._hours, self._back = known[at], 0
        self._read()

    def action_older(self) -> None:
        """The value before."""
        self._move(1)

    def action_newer(self) -> None:
        """The value after."""
        self._move(-1)

    def _move(self, step: int) -> None:
        if self.report is not None:
            self._back = min(max(self._back + step, 0), len(self.report.save_time_trend) - 1)
            self._plot()

    def action_export(self) -> None:
        """Ask how, then write."""
        if self.report is None:
            self.console.say("There is nothing to export yet.", "warn")
            return
        report = self.report
        modal = ChoiceModal(f"Export the metrics of the last {trends.window_name(report.hours)}", _FORMATS)
        self.app.push_screen(modal, lambda kind: self._export(report, kind))

    def _export(self, report: MetricsReport, kind: str | None) -> None:
        if kind is None:
            return
        text = metrics_export.as_json(report) if kind == metrics_export.JSON else metrics_export.as_csv(report)
        path = Path.cwd() / metrics_export.file_name(report, self.console.now_ms(), kind)
        if kind == metrics_export.JSON:
            line = ["maos-ckpt", "metrics", "--hours", str(report.hours), "--json", *self.console.command_log.where]
            self.console.log_command(f"{shlex.join(line)} > {shlex.quote(str(path))}")
        self.ask(lambda: write_new(path, text), self._exported, group="export", quiet=True)

    def _exported(self, path: Path) -> None:
        self.console.say(f"Written: {path}", "ok")
