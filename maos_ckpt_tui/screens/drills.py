"""Drills: every scenario with its last result, and one under way with its stopwatch and what it would take at 3 a.m."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.timer import Timer

from maos_ckpt.errors import CkptError
from maos_ckpt.model import Progress
from maos_ckpt.model.drills import SCENARIO_TITLES, STEP_HINTS, DrillHistory, DrillReport, DrillScenario
from maos_ckpt_tui import drill_words as words
from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.commands import DRILLS, bindings_for
from maos_ckpt_tui.screens.base import ConsoleScreen
from maos_ckpt_tui.widgets.drill_list import DrillList
from maos_ckpt_tui.widgets.key_bar import KeyBar
from maos_ckpt_tui.widgets.lines import Line, LineView, Span, facts, fit, paragraph, rule
from maos_ckpt_tui.widgets.mode_bar import ModeBar
from maos_ckpt_tui.widgets.operation_bar import OperationBar
from maos_ckpt_tui.widgets.row_list import RowList
from maos_ckpt_tui.widgets.title_bar import TitleBar

_STOPWATCH_S = 0.1
_HISTORY = 20
#: Runs that are listed, and the rows that all above them takes.
_RUNS_MAX, _HEIGHT_OF_THE_REST = 12, 26
_OPERATION = "drill"


class DrillPane(LineView):
    """Below the list: the drill under way, or the selected scenario's last result."""

    def __init__(self) -> None:
        super().__init__(id="drill")
        self._history = DrillHistory()
        self._scenario = DrillScenario.FULL_LOSS
        self._step: Progress | None = None
        self._elapsed_s = 0.0
        self._now_ms = 0

    def age(self, now_ms: int) -> None:
        """Time has passed."""
        self._now_ms = now_ms
        self.changed()

    def show(self, history: DrillHistory, scenario: DrillScenario, step: Progress | None, elapsed_s: float) -> None:
        """Draw again; `step` None where no drill runs."""
        self._history, self._scenario, self._step, self._elapsed_s = history, scenario, step, elapsed_s
        self.changed()

    def build(self, width: int) -> list[Line]:
        """See `LineView.build`."""
        return self._under_way(self._step, width) if self._step is not None else self._last(width)

    def _under_way(self, step: Progress, width: int) -> list[Line]:
        name = next((one for one in DrillScenario if one == step.phase), None)
        title = SCENARIO_TITLES[name] if name else "Preparing a scratch copy; the live system is not touched"
        lines = [rule(f"Drill {words.stopwatch(self._elapsed_s)}", width, [(step.phase, "accent")])]
        texts: list[Span] = [(f"{title}.", "strong"), (f".. {step.detail or step.phase}", "accent")]
        if hint := STEP_HINTS.get(step.detail):
            texts.append((hint, "plain"))
        texts.append(("It goes on if you leave or disconnect; what came of it is in the history.", "dim"))
        return lines + [line for text, tone in texts for line in paragraph(text, width, tone, " ")]

    def _last(self, width: int) -> list[Line]:
        title = SCENARIO_TITLES[self._scenario]
        lines = [rule(self._scenario.value, width), *paragraph(f"{title}.", width, "strong", " ")]
        found = words.last_result(self._history, self._scenario)
        upcoming = ("next", *words.next_words(self._history.status, self._now_ms))
        if found is None:
            lines += paragraph("It was not rehearsed yet: n rehearses it in a scratch copy.", width, "plain", " ")
            return [*lines, *facts([upcoming], width)]
        result, _, evidence = found
        if not result.applicable:
            return [*lines, *paragraph(f"Not applicable: {result.why}.", width, "dim", " "), *facts([upcoming], width)]
        report = next(one for one in self._history.reports if one.evidence == evidence)
        held = sum(one.passed for one in result.assertions)
        rtos, rpos = words.scenario_times(self._history, self._scenario)
        rows = [
            ("held", f"{held} of {len(result.assertions)} assertions", "ok" if result.passed else "bad"),
            ("why", result.why, "bad"),
            ("rto", *words.trend_words(rtos, report.rto_target_s)),
            ("rpo", *words.trend_words(rpos, report.rpo_target_s)),
            upcoming,
            ("fault", result.fault, "plain"),
            ("evidence", evidence, "accent"),
        ]
        return [*lines, *facts((row for row in rows if row[1]), width), *self._runs(width)]

    def _runs(self, width: int) -> list[Line]:
        """The last drills, where the terminal is high enough for a history."""
        room = min(_RUNS_MAX, self.app.size.height - _HEIGHT_OF_THE_REST)
        reports = self._history.reports[:room] if room > 1 else ()
        if not reports:
            return []
        lines: list[Line] = [[], rule(f"The last {fmt.plural(len(self._history.reports), 'drill')}", width)]
        for one in reports:
            sign, tone = ("OK", "ok") if one.passed else ("XX", "bad") if one.failed else ("--", "dim")
            names = ", ".join(one.failed) or fmt.plural(sum(each.applicable for each in one.scenarios), "scenario")
            facts_told = f"{fmt.when(one.started_at_ms, self._now_ms)}  {one.trigger}  {names}  "
            times = f"RTO {words.seconds(one.rto_s)}, RPO {words.seconds(one.rpo_s)}"
            lines.append(fit([(f" {sign} ", tone), (facts_told, "plain"), (times, "dim")], width))
        return lines


class DrillsScreen(ConsoleScreen):
    """Reads the history when it opens and whenever a drill has ended, whoever held it."""

    PLACE = DRILLS
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for(DRILLS)]
    AUTO_FOCUS = "#scenarios"

    def __init__(self) -> None:
        super().__init__()
        self.history = DrillHistory()
        self._asked = False
        self._step: Progress | None = None
        self._began_s = 0.0
        self._known: int | None = None
        self._watch: Timer | None = None

    def compose(self) -> ComposeResult:
        """List above, details or stopwatch below."""
        yield TitleBar("Drills")
        yield ModeBar("drills")
        yield DrillList()
        yield DrillPane()
        yield OperationBar()
        yield KeyBar(DRILLS)

    def on_mount(self) -> None:
        """Read the history."""
        self._watch = self.set_interval(_STOPWATCH_S, self._show, pause=True)
        self._read()

    def _read(self) -> None:
        client = self.console.client
        self.ask(lambda: client.drills(_HISTORY), self._took, group="history", quiet=True)

    def _took(self, history: DrillHistory) -> None:
        self.history = history
        self._known = history.status.last_at_ms
        self.query_one(DrillList).show(history, self.console.now_ms())
        self._show()
        self.refresh_bindings()

    @property
    def scenario(self) -> DrillScenario:
        """The one under the cursor."""
        return self.query_one(DrillList).selected

    def model_changed(self) -> None:
        """A drill that somebody else held, or the schedule, shows as well."""
        status = self.console.model.status
        if status is not None and status.drill is not None and status.drill.last_at_ms != self._known:
            self._known = status.drill.last_at_ms
            self._read()

    def tick(self) -> None:
        """See `ConsoleScreen.tick`."""
        super().tick()
        self.query_one(DrillPane).age(self.console.now_ms())

    def show_operation(self) -> None:
        """See `ConsoleScreen.show_operation`; the stopwatch follows the drill under way."""
        super().show_operation()
        meter = self.console.meter
        step = meter.last if meter is not None else None
        if step is not None and step.operation == _OPERATION:
            self._goes_on(step)
        elif self._step is not None and not self._asked:
            self._ended()

    def _goes_on(self, step: Progress) -> None:
        begins, self._step = self._step is None, step
        if begins:
            self._began_s = self.console.clock.monotonic_s()
            if self._watch is not None:
                self._watch.resume()
            self.refresh_bindings()
        self._show()

    def _ended(self) -> None:
        self._asked, self._step = False, None
        if self._watch is not None:
            self._watch.pause()
        self.refresh_bindings()
        self._show()

    def _show(self) -> None:
        elapsed_s = self.console.clock.monotonic_s() - self._began_s if self._step is not None else 0.0
        self.query_one(DrillPane).show(self.history, self.scenario, self._step, elapsed_s)
        self.query_one(DrillList).mark(self._step.phase if self._step is not None else "")

    def on_row_list_moved(self, message: RowList.Moved) -> None:
        """Another scenario."""
        self._show()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """One drill at a time; without a report there is no evidence."""
        if action in ("run", "run_all") and (self._asked or self._step is not None):
            return False
        if action == "copy" and not self.history.reports:
            return False
        return super().check_action(action, parameters)

    def action_evidence(self) -> None:
        """The evidence of the scenario under the cursor, readable."""
        from maos_ckpt_tui.modals.evidence import EvidenceModal  # Loaded when first needed.

        found = words.last_result(self.history, self.scenario)
        if found is None:
            self.console.say("It was not rehearsed yet: n rehearses it.", "warn")
            return
        report = next(one for one in self.history.reports if one.evidence == found[2])
        self.app.push_screen(EvidenceModal(report, found[0]))

    def action_run(self) -> None:
        """Rehearse the scenario under the cursor."""
        self._hold((self.scenario.value,))

    def action_run_all(self) -> None:
        """Rehearse all that apply."""
        self._hold(())

    def _hold(self, scenarios: tuple[str, ...]) -> None:
        client, self._asked = self.console.client, True
        self._goes_on(Progress(_OPERATION, scenarios[0] if scenarios else "all", detail=""))
        self.console.say("")
        self.ask(lambda: client.drill(scenarios=scenarios), self._done, group="drill", failed=self._failed)

    def _done(self, report: DrillReport) -> None:
        self._ended()
        if report.passed:
            self.console.say(f"Drill passed in {words.seconds(report.duration_s)}.", "ok")
        elif report.failed:
            self.console.say(f"XX Drill FAILED: {', '.join(report.failed)}", "bad")
        else:
            self.console.say("Nothing was rehearsed: the scenario does not apply here.", "warn")
        self._read()
        self.console.refresh_soon()

    def _failed(self, error: CkptError) -> None:
        self._ended()
        self.console.show_error(error)

    def action_copy(self) -> None:
        """The evidence of the selected scenario's last result."""
        found = words.last_result(self.history, self.scenario)
        if found is None:
            self.console.say("There is no report of it yet.", "warn")
        else:
            self.console.copy(found[2])
