"""First step of a recovery, and the first screen of its mode: which checkpoint to go back to."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from maos_ckpt.errors import CkptError
from maos_ckpt.model import Checkpoint, Recommendation
from maos_ckpt_tui.commands import CHOOSE, bindings_for
from maos_ckpt_tui.screens.actions import CheckpointActions
from maos_ckpt_tui.screens.recover import RecoverScreen, chosen
from maos_ckpt_tui.sentences import Sentence, at_ms, sentence
from maos_ckpt_tui.suspects import Suspect, find_suspects
from maos_ckpt_tui.viewmodel import next_run
from maos_ckpt_tui.widgets.filter_line import FilterLine
from maos_ckpt_tui.widgets.key_bar import KeyBar
from maos_ckpt_tui.widgets.lines import Line, paragraph
from maos_ckpt_tui.widgets.live_progress import is_recovery
from maos_ckpt_tui.widgets.mode_bar import ModeBar
from maos_ckpt_tui.widgets.operation_bar import OperationBar
from maos_ckpt_tui.widgets.recommendation import RecommendationView
from maos_ckpt_tui.widgets.recovery_choice import RecoveryChoice
from maos_ckpt_tui.widgets.row_list import RowList
from maos_ckpt_tui.widgets.step_line import Step, StepLine
from maos_ckpt_tui.widgets.title_bar import TitleBar

#: A recommendation that is older is asked for again when the screen comes back into sight.
_FRESH_MS = 15_000
#: A recovery that ended longer ago is not told here.
_TOLD_MS = 10 * 60_000
_MODE = "recover"


class RecoveryStartScreen(CheckpointActions):
    """The recommended checkpoint under the cursor, the others below it, and what runs or has just run above."""

    PLACE = CHOOSE
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for(CHOOSE)]
    AUTO_FOCUS = "#choice"

    def __init__(self) -> None:
        super().__init__()
        self._found: Recommendation | None = None
        self._suspects: tuple[Suspect, ...] = ()
        self._looking = False
        self._looked_ms = 0
        self._go_on = False

    def compose(self) -> ComposeResult:
        """Advice above, the list below."""
        yield TitleBar("Recover")
        yield ModeBar(_MODE)
        yield StepLine(Step.CHOOSE)
        yield RecommendationView()
        yield RecoveryChoice()
        yield FilterLine()
        yield OperationBar()
        yield KeyBar(CHOOSE)

    @property
    def target(self) -> Checkpoint | None:
        """See `CheckpointActions.target`."""
        return self._list.selected

    @property
    def _list(self) -> RecoveryChoice:
        return self.query_one(RecoveryChoice)

    @property
    def held(self) -> frozenset[str]:
        """See `ConsoleScreen.held`."""
        best = self._found.recommended if self._found is not None else None
        return frozenset({best.checkpoint} if best is not None else ())

    def on_screen_resume(self) -> None:
        """See `ConsoleScreen.on_screen_resume`; advice that has grown old is asked for again."""
        super().on_screen_resume()
        self._look()

    def _look(self) -> None:
        now_ms = self.console.now_ms()
        if self._looking or now_ms - self._looked_ms < _FRESH_MS or not self.console.model.checkpoints:
            return
        self._looking, self._looked_ms = True, now_ms
        client = self.console.client

        def look() -> tuple[Recommendation, Checkpoint | None, tuple[Suspect, ...]]:
            found = client.recommend()
            best = found.recommended
            if best is None:
                return found, None, ()
            suspects = find_suspects(client, best.checkpoint, found.incident)
            return found, client.checkpoint(best.checkpoint), suspects

        self.ask(look, self._advised, group="advice", failed=self._not_advised, quiet=True)

    def _advised(self, told: tuple[Recommendation, Checkpoint | None, tuple[Suspect, ...]]) -> None:
        self._found, best, self._suspects = told
        self._looking = False
        incident = self._found.incident
        self._list.recommend(best, incident.from_ms if incident is not None else None)
        self.query_one(RecommendationView).show(self._found, self._suspects, "")
        self.console.hold_shown()
        if self._go_on:
            self._go_on = False
            self.console.say("")
            self.action_recover()

    def _not_advised(self, error: CkptError) -> None:
        # Not asked again at once: whoever comes back to this screen asks anew.
        self._looking = self._go_on = False
        waiting = f"!! No recommendation: {error.message} Every checkpoint can still be chosen."
        self.query_one(RecommendationView).show(None, (), waiting)

    def model_changed(self) -> None:
        """See `ConsoleScreen.model_changed`."""
        self._list.show(self.console.model, self.console.now_ms(), self._why_empty())
        if self._found is None or self._recovered_since():
            self._looked_ms = 0
            self._look()
        self._tell()
        self.refresh_bindings()

    def _recovered_since(self) -> bool:
        """Whether a recovery has changed what there is to recommend."""
        events = self.console.model.events
        ended_ms = next((at_ms(fields) for name, fields in events if name == "RecoveryCompleted"), 0)
        return ended_ms > self._looked_ms

    def _why_empty(self) -> list[Line]:
        model, width = self.console.model, max(20, self.size.width - 4)
        if model.problem is not None:
            texts = (model.problem.message, model.problem.kept, model.problem.hint)
            return [line for text in texts if text for line in paragraph(text, width, indent="  ")]
        if not model.loaded:
            return [[("  Loading…", "dim")]]
        upcoming = next_run(model.status, self.console.now_ms())
        words = "No checkpoint yet: there is nothing to go back to."
        words += f" Schedule: {upcoming}." if upcoming else " c in the overview takes one."
        return paragraph(words, width, indent="  ")

    def tick(self) -> None:
        """See `ConsoleScreen.tick`."""
        super().tick()
        now_ms = self.console.now_ms()
        self.query_one(RecommendationView).age(now_ms)
        self._list.age(now_ms)

    def show_operation(self) -> None:
        """See `ConsoleScreen.show_operation`; a running recovery stands above as well."""
        super().show_operation()
        self._tell()

    def _tell(self) -> None:
        meter = self.console.meter
        running = meter if is_recovery(meter) else None
        self.query_one(RecommendationView).tell(running, self._last_recovery())
        self.refresh_bindings()

    def _last_recovery(self) -> Sentence | None:
        now_ms = self.console.now_ms()
        for name, fields in self.console.model.events:
            if name == "RecoveryCompleted":
                return sentence(name, fields) if now_ms - at_ms(fields) < _TOLD_MS else None
        return None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only one recovery at a time: the one that runs can be cancelled, and another begun after it."""
        if action == "cancel" and not is_recovery(self.console.meter):
            return False
        return super().check_action(action, parameters)

    def on_row_list_moved(self, message: RowList.Moved) -> None:
        """Near the end of the list more is loaded."""
        if message.index >= self._list.row_count - 1 and not self.console.model.complete:
            self.console.load_more()

    def on_filter_line_typed(self, message: FilterLine.Typed) -> None:
        """Filter as one types."""
        self._list.filter(message.needle)

    def on_filter_line_closed(self) -> None:
        """The list has the keys again."""
        self._list.focus()

    def action_filter(self) -> None:
        """Open the filter."""
        self.query_one(FilterLine).open()

    def action_back(self) -> None:
        """Clear the filter where there is one, stop waiting for advice, else leave."""
        if self._go_on:
            self._go_on = False
            self.console.say("")
        elif not self.query_one(FilterLine).clear_filter():
            super().action_back()

    def action_recover(self) -> None:
        """On to the selection; before the recommendation is there, wait for it rather than take just any."""
        if self._looking and self._found is None and not self._list.touched:
            self._go_on = True
            self.console.say("The recommended checkpoint is opened as soon as it is found; esc does not wait.")
        elif (one := self._chosen()) is not None:
            best = self._found.recommended if self._found is not None else None
            advice = chosen(self._found) if self._found is not None and best and best.checkpoint == one.id else None
            self.app.push_screen(RecoverScreen(one, advice, self._suspects))

    def action_open(self) -> None:
        """The selected checkpoint in full."""
        from maos_ckpt_tui.screens.detail import DetailScreen  # Loaded when first needed.

        if (one := self._chosen()) is not None:
            self.app.push_screen(DetailScreen(one))

    def action_cancel(self) -> None:
        """Ask the engine to stop at the next safe point."""
        self.ask(self.console.client.cancel_recovery, self._asked_to_stop, group="cancel", quiet=True)

    def _asked_to_stop(self, asked: bool) -> None:
        words = "It stops at the next safe point; once it has committed, it is finished instead."
        self.console.say(words if asked else "There is nothing to cancel now.", "warn")
