"""The default screen: is the live state safe, what is kept, what is going on."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal

from maos_ckpt.model import Checkpoint
from maos_ckpt.model.metrics import MetricsReport
from maos_ckpt_tui import modes
from maos_ckpt_tui.commands import OVERVIEW, bindings_for
from maos_ckpt_tui.measures import measures
from maos_ckpt_tui.screens.actions import CheckpointActions
from maos_ckpt_tui.sentences import sentence
from maos_ckpt_tui.viewmodel import alert_trouble, health, next_run, remote_trouble
from maos_ckpt_tui.widgets.checkpoint_list import CheckpointList
from maos_ckpt_tui.widgets.component_pane import SelectedPane
from maos_ckpt_tui.widgets.events_pane import EventsPane
from maos_ckpt_tui.widgets.filter_line import FilterLine
from maos_ckpt_tui.widgets.key_bar import KeyBar
from maos_ckpt_tui.widgets.lines import Line, paragraph
from maos_ckpt_tui.widgets.measures_pane import MeasuresPane, TiersPane
from maos_ckpt_tui.widgets.mode_bar import ModeBar
from maos_ckpt_tui.widgets.operation_bar import OperationBar
from maos_ckpt_tui.widgets.row_list import RowList
from maos_ckpt_tui.widgets.timeline import Timeline
from maos_ckpt_tui.widgets.title_bar import StatusLine, TitleBar

#: The metrics are read again with the next news after so long.
METRICS_INTERVAL_S = 10.0


class OverviewScreen(CheckpointActions):
    """Timeline, list and journal over one selection."""

    PLACE = OVERVIEW
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for(OVERVIEW)]
    AUTO_FOCUS = "#checkpoints"

    def __init__(self) -> None:
        super().__init__()
        self._report: MetricsReport | None = None
        self._read_s: float | None = None

    def compose(self) -> ComposeResult:
        """Lines above, list in the middle, journal and keys below."""
        yield TitleBar("", overview=True)
        yield ModeBar(modes.OVERVIEW)
        yield StatusLine()
        yield Timeline()
        with Horizontal(id="figures-side"):
            yield MeasuresPane()
            yield TiersPane()
        with Horizontal(id="middle"):
            yield CheckpointList()
            yield SelectedPane()
        yield FilterLine()
        yield EventsPane()
        yield OperationBar()
        yield KeyBar(OVERVIEW)

    @property
    def target(self) -> Checkpoint | None:
        """See `CheckpointActions.target`."""
        return self._list.selected

    @property
    def _list(self) -> CheckpointList:
        return self.query_one(CheckpointList)

    def model_changed(self) -> None:
        """See `ConsoleScreen.model_changed`."""
        model, now_ms = self.console.model, self.console.now_ms()
        if model.status is not None:
            self.query_one(TitleBar).retitle(model.status.source)
        self._list.show(model, now_ms, self._why_empty())
        self.query_one(EventsPane).show(model.events)
        self._show_measures()
        self._read_metrics()
        self._show_selection()
        self.show_operation()
        self.refresh_bindings()

    def _show_measures(self) -> None:
        model, now_ms = self.console.model, self.console.now_ms()
        told = (health(model, now_ms).trouble, remote_trouble(model.status, now_ms), alert_trouble(model.status))
        found, crowded = measures(model.checkpoints, self._report), sum(map(bool, told)) > 1
        self.query_one(MeasuresPane).show(found, model.status, crowded=crowded)
        tiers = self.query_one(TiersPane)
        if tiers.display:
            tiers.show(model.status, now_ms)

    def _read_metrics(self) -> None:
        """Errors, ratio and targets are the engine's to tell; they move slowly, and nobody waits for them."""
        now_s, model = self.console.clock.monotonic_s(), self.console.model
        if not model.checkpoints or (self._read_s is not None and now_s - self._read_s < METRICS_INTERVAL_S):
            return
        self._read_s, client = now_s, self.console.client
        self.ask(client.metrics, self._took_metrics, group="metrics", failed=lambda _: None, quiet=True)

    def _took_metrics(self, report: MetricsReport) -> None:
        self._report = report
        self._show_measures()

    def action_alerts(self) -> None:
        """All that stand, and what to do about each."""
        from maos_ckpt_tui.screens.alerts import AlertsScreen  # Loaded when first needed.

        self.app.push_screen(AlertsScreen())

    def tick(self) -> None:
        """See `ConsoleScreen.tick`."""
        super().tick()
        now_ms = self.console.now_ms()
        self.query_one(StatusLine).show(self.console.model, now_ms)
        self._list.age(now_ms)
        self._show_selected()

    def show_operation(self) -> None:
        """See `ConsoleScreen.show_operation`; where the journal has no room, its newest entry stands here."""
        note = self.console.note
        if not note[0] and not self.query_one(EventsPane).display and self.console.model.events:
            tone, text = sentence(*self.console.model.events[0])
            note = (text, tone)
        self.query_one(OperationBar).show(self.console.meter, note)

    def _why_empty(self) -> list[Line]:
        model = self.console.model
        width = max(20, self.size.width - 4)
        if model.problem is not None:
            texts = (model.problem.message, model.problem.kept, model.problem.hint)
            return [line for text in texts if text for line in paragraph(text, width, indent="  ")]
        if not model.loaded:
            return [[("  Loading…", "dim")]]
        upcoming = next_run(model.status, self.console.now_ms())
        lines: list[Line] = [
            [("  No checkpoint yet.", "strong"), (f" Schedule: {upcoming}." if upcoming else "", "plain")]
        ]
        if not self.console.read_only:
            lines.append([("  ", "plain"), ("c", "key"), (" takes one now.", "plain")])
        return lines

    def _show_selection(self) -> None:
        shown, cursor = self._list.shown, self._list.cursor
        nothing = "no checkpoint matches" if self.console.model.checkpoints else "no checkpoint yet"
        self.query_one(Timeline).show(shown, cursor, nothing if self.console.model.loaded else "")
        self._show_selected()

    def _show_selected(self) -> None:
        pane = self.query_one(SelectedPane)
        if pane.display:
            one = self._list.selected
            parent = self.console.model.find(one.parent) if one is not None and one.parent else None
            pane.show(one, parent, self.console.now_ms())

    def on_row_list_moved(self, message: RowList.Moved) -> None:
        """The cursor moved in the list; near its end more is loaded."""
        self._show_selection()
        if message.index >= len(self._list.shown) - 1 and not self.console.model.complete:
            self.console.load_more()

    def on_filter_line_typed(self, message: FilterLine.Typed) -> None:
        """Filter as one types."""
        self._list.filter(message.needle)
        self._show_selection()

    def on_filter_line_closed(self) -> None:
        """The list has the keys again."""
        self._list.focus()

    def action_filter(self) -> None:
        """Open the filter."""
        self.query_one(FilterLine).open()

    def key_escape(self) -> None:
        """Clear the filter, where there is one."""
        self.query_one(FilterLine).clear_filter()

    def action_bars(self) -> None:
        """Bytes stored ↔ size of the state."""
        self.query_one(Timeline).switch_bars()

    def action_older(self) -> None:
        """To the left on the timeline."""
        self._list.action_cursor(1)

    def action_newer(self) -> None:
        """To the right on the timeline."""
        self._list.action_cursor(-1)
