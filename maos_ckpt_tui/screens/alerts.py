"""The alerts that stand, what to do about each, and saying that one was seen."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from maos_ckpt.model.alerts import CRITICAL, Alert, AlertState
from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.commands import ALERTS, bindings_for
from maos_ckpt_tui.modals.choice import Choice, ChoiceModal
from maos_ckpt_tui.screens.base import ConsoleScreen
from maos_ckpt_tui.widgets.key_bar import KeyBar
from maos_ckpt_tui.widgets.lines import Line, LineView, Span, facts, paragraph, rule
from maos_ckpt_tui.widgets.operation_bar import OperationBar
from maos_ckpt_tui.widgets.row_list import EDGES, Column, RowList, table_line
from maos_ckpt_tui.widgets.title_bar import TitleBar

_COLUMNS = (
    Column("", 2, 1),
    Column("ALERT", 14, 1),
    Column("SEVERITY", 8, 3),
    Column("STATE", 12, 1),
    Column("SINCE", 8, 2, right=True),
    Column("WHAT", 12, 2, grow=True),
)
_HEADINGS: list[Span] = [(column.title, "head") for column in _COLUMNS]
_SNOOZES = (
    Choice(3600.0, "1 hour", "told again in an hour, if it still stands", "1"),
    Choice(4 * 3600.0, "4 hours", "told again after half a shift", "4"),
    Choice(24 * 3600.0, "1 day", "told again tomorrow", "d"),
    Choice(7 * 86_400.0, "1 week", "told again next week", "w"),
)


class WithAlerts(ConsoleScreen):
    """Base of the screens from which one reaches the alerts."""

    def action_alerts(self) -> None:
        """All that stand."""
        self.app.push_screen(AlertsScreen())


class AlertList(RowList):
    """One row an alert, the worst first."""

    def __init__(self) -> None:
        super().__init__(id="alerts")
        self.alerts: tuple[Alert, ...] = ()
        self._now_ms = 0
        self._why: list[Line] = []

    @property
    def row_count(self) -> int:
        """See `RowList.row_count`."""
        return len(self.alerts)

    @property
    def selected(self) -> Alert | None:
        """The alert under the cursor."""
        return self.alerts[self.cursor] if self.alerts else None

    def show(self, alerts: tuple[Alert, ...], now_ms: int, why: list[Line]) -> None:
        """Other alerts; the cursor stays on its own."""
        chosen = self.selected
        self.alerts, self._now_ms, self._why = alerts, now_ms, why
        if chosen is not None:
            self.cursor = next((at for at, one in enumerate(alerts) if one.key == chosen.key), self.cursor)
        self.rows_changed()

    def heading(self, width: int) -> list[Line]:
        """See `RowList.heading`."""
        return [
            rule(f"Alerts that stand, {fmt.count(len(self.alerts))}", width),
            [("  ", "plain"), *table_line(_COLUMNS, _HEADINGS, max(0, width - EDGES))],
        ]

    def placeholder(self, width: int) -> list[Line]:
        """See `RowList.placeholder`."""
        return self._why

    def row(self, index: int, width: int) -> Line:
        """See `RowList.row`."""
        one = self.alerts[index]
        sign, tone = alert_sign(one)
        cells: list[Span] = [
            (sign, tone),
            (one.name, "strong"),
            (one.severity, "dim"),
            (one.state.value, "dim" if one.state is not AlertState.FIRING else tone),
            (fmt.span((self._now_ms - one.since_ms) / 1000), "dim"),
            (one.message, "plain"),
        ]
        return table_line(_COLUMNS, cells, width)


def alert_sign(one: Alert) -> Span:
    """Sign and tone; one that was seen is quiet."""
    if one.state is not AlertState.FIRING:
        return "..", "dim"
    return ("XX", "bad") if one.severity == CRITICAL else ("!!", "warn")


class AlertPane(LineView):
    """The alert under the cursor in full."""

    def __init__(self) -> None:
        super().__init__(id="alert")
        self._alert: Alert | None = None
        self._now_ms = 0

    def show(self, alert: Alert | None, now_ms: int) -> None:
        """Another one."""
        self._alert, self._now_ms = alert, now_ms
        self.changed()

    def build(self, width: int) -> list[Line]:
        """See `LineView.build`."""
        one = self._alert
        if one is None:
            return []
        seen = f"{one.state.value} by {one.by}" if one.by else "nobody has said that it was seen"
        if one.until_ms is not None:
            seen += f", sent again from {fmt.utc(one.until_ms)}"
        rows = [("since", f"{fmt.utc(one.since_ms)}, {fmt.minutes_ago(one.since_ms, self._now_ms)}", "plain")]
        rows.append(("state", seen, "plain"))
        return [
            rule(one.name, width, [(one.severity, alert_sign(one)[1])]),
            *paragraph(one.message, width, "strong", " "),
            rule("What to do", width),
            *paragraph(one.runbook, width, "plain", " "),
            rule("How it stands", width),
            *facts(rows, width),
        ]


class AlertsScreen(ConsoleScreen):
    """Follows the status; `acknowledge` is the one thing that it changes."""

    PLACE = ALERTS
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for(ALERTS)]
    AUTO_FOCUS = "#alerts"

    def compose(self) -> ComposeResult:
        """List above, the one under the cursor below."""
        yield TitleBar("Alerts")
        yield AlertList()
        yield AlertPane()
        yield OperationBar()
        yield KeyBar(ALERTS)

    def model_changed(self) -> None:
        """See `ConsoleScreen.model_changed`."""
        status = self.console.model.status
        alerts = status.alerts if status is not None else ()
        why: list[Line] = [
            [],
            [("  OK No alert stands.", "ok")],
            *paragraph(
                "Thresholds are the configuration's [alerts] and [performance]; `maos-ckpt alerts test` tries the"
                " hooks out.",
                max(20, self.size.width - 4),
                "dim",
                "  ",
            ),
        ]
        self.query_one(AlertList).show(alerts, self.console.now_ms(), why if status is not None else [])
        self._show()

    def _show(self) -> None:
        self.query_one(AlertPane).show(self.query_one(AlertList).selected, self.console.now_ms())
        self.refresh_bindings()

    def on_row_list_moved(self, message: RowList.Moved) -> None:
        """Another one."""
        self._show()

    def offers(self, action: str) -> bool:
        """See `ConsoleScreen.offers`."""
        return action == "back" or self.query_one(AlertList).selected is not None

    def _chosen(self) -> Alert | None:
        if (one := self.query_one(AlertList).selected) is None:
            self.console.say("There is no alert to do that with.")
        return one

    def action_acknowledge(self) -> None:
        """It was seen."""
        if (one := self._chosen()) is not None:
            self._seen(one, 0.0)

    def action_snooze(self) -> None:
        """Ask for how long."""
        if (one := self._chosen()) is not None:
            modal = ChoiceModal(f"Snooze {one.name}: for how long?", _SNOOZES)
            self.app.push_screen(modal, lambda seconds: self._seen(one, seconds) if seconds is not None else None)

    def _seen(self, alert: Alert, snooze_s: float) -> None:
        client = self.console.client
        self.ask(lambda: client.acknowledge(alert.name, snooze_s), self._told, group="acknowledge")

    def _told(self, alert: Alert) -> None:
        until = f" until {fmt.utc(alert.until_ms)}" if alert.until_ms is not None else " until it clears"
        self.console.say(f"{alert.name} is {alert.state.value}: nothing more is sent{until}.", "ok")
        self.console.refresh_soon()

    def action_copy(self) -> None:
        """What to do."""
        if (one := self._chosen()) is not None:
            self.console.copy(one.runbook)
