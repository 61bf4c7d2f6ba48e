"""Last steps: the recovery runs, then what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll

from maos_ckpt.errors import CkptError, PlanMovedError
from maos_ckpt.model import Plan, RecoveryResult
from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.commands import RUN, bindings_for
from maos_ckpt_tui.modals.choice import Choice, ChoiceModal
from maos_ckpt_tui.modals.error import error_paragraphs
from maos_ckpt_tui.progress import ProgressMeter
from maos_ckpt_tui.recovery import Recovery
from maos_ckpt_tui.safe_text import safe_text, wrap_command
from maos_ckpt_tui.screens.base import ConsoleScreen
from maos_ckpt_tui.viewmodel import short
from maos_ckpt_tui.widgets.key_bar import KeyBar
from maos_ckpt_tui.widgets.lines import Line, LineView, Span, facts, paragraph
from maos_ckpt_tui.widgets.live_progress import goes_on_lines, is_recovery, progress_lines
from maos_ckpt_tui.widgets.operation_bar import OperationBar
from maos_ckpt_tui.widgets.step_line import Step, StepLine
from maos_ckpt_tui.widgets.title_bar import TitleBar

_ORDER = "A safety checkpoint, then the changes in one transaction, then they are read back."
FRESH, AS_IS = "fresh", "as-is"
_CHOICES = (
    Choice(
        FRESH,
        "Look at the fresh plan",
        "Plans again against the live state of now, so that you decide with that before you.",
        "l",
    ),
    Choice(
        AS_IS,
        "Apply to what is there now",
        "Plans once more while MAOS stands still, and applies that: it cannot be out of date. The selection is the "
        "same, and undo brings all of it back.",
        "a",
    ),
)


def moved_words(error: PlanMovedError, seen: int) -> str:
    """What the plan is by now, beside the number of records that the operator saw; both as far as they are known."""
    total, counts = error.data.get("changes"), error.data.get("summary")
    if not isinstance(total, int) or not isinstance(counts, dict):
        return error.message
    kinds = (("+", counts.get("added")), ("~", counts.get("modified")), ("-", counts.get("removed")))
    signs = " ".join(f"{sign}{number:,}" for sign, number in kinds if isinstance(number, int) and number)
    before = "as many as you saw, but not the same" if total == seen else f"you saw {seen:,}"
    return f"The plan now changes {fmt.plural(total, 'record')} ({'; '.join(one for one in (signs, before) if one)})."


def result_paragraphs(result: RecoveryResult, *, undo: bool) -> list[Span]:
    """What a recovery did, in words."""
    what = "Taken back" if undo else "Recovered"
    lines: list[Span] = []
    if not result.applied:
        lines.append(("OK Nothing to do: the live state was already so.", "ok"))
    elif result.verified and result.partial:
        lines.append((f"!! {what} in part, verified as far as it went: the notes say what was left alone.", "warn"))
    elif result.verified:
        lines.append((f"OK {what} and verified: planning again finds nothing left to change.", "ok"))
        read = fmt.plural(result.plan.summary.total, "written record")
        lines.append((f"Read back: the live state, compared with what was planned; {read}, none differs.", "plain"))
    else:
        lines.append((f"XX {what}, but NOT verified: planning again still finds differences.", "bad"))
        lines.append(("Something may have written at the same time. Look at the differences, or undo.", "plain"))
    return [*lines, ("", "plain")]


def result_facts(result: RecoveryResult) -> list[tuple[str, str, str]]:
    """The figures of a recovery as (label, value, tone)."""
    counts = result.plan.summary
    written = f"{fmt.plural(counts.total, 'record')}: {counts.added:,} added, {counts.modified:,} changed, "
    rows = [
        ("written", written + f"{counts.removed:,} removed", "plain"),
        ("took", f"{fmt.duration(result.duration_s)}; MAOS was held still for {fmt.duration(result.stall_s)}", "plain"),
    ]
    if result.safety_checkpoint:
        rows.append(
            ("safety", f"{short(result.safety_checkpoint)}: the state of just before, which undo goes back to", "plain")
        )
    return rows + [("note" if number == 0 else "", note, "warn") for number, note in enumerate(result.notes)]


def command_lines(commands: Iterable[str], width: int) -> list[Line]:
    """Shell lines, broken so that they stay right when they are selected and pasted."""
    lines: list[Line] = []
    for command in commands:
        for part in wrap_command(safe_text(command), max(20, width - 3)):
            lines.append([("   ", "plain"), (part, "accent")])
    return lines


class Outcome(LineView):
    """Progress first, then what came of it."""

    def __init__(self, recovery: Recovery) -> None:
        super().__init__(id="outcome")
        self._recovery = recovery
        self._result: RecoveryResult | None = None
        self._error: CkptError | None = None
        self._meter: ProgressMeter | None = None

    def tell(self, meter: ProgressMeter | None) -> None:
        """How far it is."""
        self._meter = meter
        self.changed()

    def show(self, result: RecoveryResult | None, error: CkptError | None) -> None:
        """Running where both are None."""
        self._result, self._error = result, error
        self.changed()

    def build(self, width: int) -> list[Line]:
        """See `LineView.build`."""
        if self._result is not None:
            return [[], *self._of_result(self._result, width)]
        if self._error is not None:
            texts = [("XX Not done", "bad"), ("", "plain"), *error_paragraphs(self._error)]
            return [[], *self._of_texts(texts, width)]
        what: list[Span] = [(f".. {self._recovery.what}", "strong"), (_ORDER, "dim"), ("", "plain")]
        running = progress_lines(self._meter, width)
        return [[], *self._of_texts(what, width), *running, [], *goes_on_lines(width)]

    @staticmethod
    def _of_texts(texts: Iterable[Span], width: int) -> list[Line]:
        return [line for text, tone in texts for line in paragraph(text, width, tone, " ")]

    def _of_result(self, result: RecoveryResult, width: int) -> list[Line]:
        lines = self._of_texts(result_paragraphs(result, undo=self._recovery.undo), width)
        lines += facts(result_facts(result), width)
        if result.applied:
            lines += [[], [(" u", "key"), (" takes this back.", "plain")]]
        if not result.resume_commands:
            return lines
        return [*lines, [], [(" To resume the agents:", "head")], *command_lines(result.resume_commands, width)]


class RecoveryRunScreen(ConsoleScreen):
    """Cannot be left while it runs: the engine finishes what it began."""

    PLACE = RUN
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for(RUN)]
    AUTO_FOCUS = "#outcome-scroll"

    def __init__(self, recovery: Recovery, plan: Plan, reason: str, replan: Callable[[], None]) -> None:
        super().__init__()
        self._recovery = recovery
        self._plan = plan
        self._reason = reason
        self._replan = replan
        self._applying = True
        self._cancelling = False
        self.result: RecoveryResult | None = None

    def compose(self) -> ComposeResult:
        """One block of text that changes with the steps."""
        yield TitleBar(self._recovery.title.capitalize())
        yield StepLine(Step.RECOVER)
        with VerticalScroll(id="outcome-scroll"):
            yield Outcome(self._recovery)
        yield OperationBar()
        yield KeyBar(RUN)

    def on_mount(self) -> None:
        """Begin."""
        self._apply(self._plan.digest)

    def _apply(self, digest: str | None) -> None:
        self._applying, self._cancelling = True, False
        apply, reason = self._recovery.apply, self._reason
        self.query_one(Outcome).show(None, None)
        self.query_one(StepLine).show(Step.RECOVER)
        self.refresh_bindings()
        self.ask(lambda: apply(digest, reason), self._done, group="apply", failed=self._failed)

    def show_operation(self) -> None:
        """See `ConsoleScreen.show_operation`; the figures stand in full as well."""
        super().show_operation()
        meter = self.console.meter
        self.query_one(Outcome).tell(meter if is_recovery(meter) else None)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """While it runs there is nothing to do but watch, or to cancel it."""
        if action == "cancel" and (not self._applying or self._cancelling):
            return False
        if self._applying and action in ("back", "undo", "copy"):
            return False
        if action == "undo" and (self.result is None or not self.result.applied):
            return False
        if action == "copy" and (self.result is None or not self.result.resume_commands):
            return False
        return super().check_action(action, parameters)

    def _done(self, result: RecoveryResult) -> None:
        self._applying, self.result = False, result
        self.query_one(Outcome).show(result, None)
        self.query_one(StepLine).show(Step.VERIFIED)
        self.refresh_bindings()
        self.console.refresh_soon()

    def _failed(self, error: CkptError) -> None:
        self._applying = False
        self.query_one(Outcome).show(None, error)
        self.refresh_bindings()
        self.console.refresh_soon()
        if isinstance(error, PlanMovedError):
            kept = error.kept or "Nothing was changed."
            intro = [(moved_words(error, self._plan.summary.total), "plain"), (f"OK {kept}", "ok")]
            title = "!! MAOS moved on since you looked"
            self.app.push_screen(ChoiceModal(title, _CHOICES, intro, "warn", "back to the plan"), self._moved)

    def _moved(self, choice: str | None) -> None:
        if choice == AS_IS:
            self._apply(None)
            return
        self.app.pop_screen()
        if choice == FRESH:
            self._replan()

    def action_cancel(self) -> None:
        """Ask the engine to stop at the next safe point; how it ended tells the recovery itself."""
        self._cancelling = True
        self.refresh_bindings()
        self.ask(self.console.client.cancel_recovery, self._asked_to_stop, group="cancel", quiet=True)

    def _asked_to_stop(self, asked: bool) -> None:
        if not self._applying:
            return
        if asked:
            self.console.say("It stops at the next safe point; once it has committed, it is finished instead.", "warn")
        else:
            self._cancelling = False
            self.refresh_bindings()
            self.console.say("There is nothing to cancel now.", "warn")

    def action_back(self) -> None:
        """Back to the mode's first screen, past the steps; where nothing was done, to the plan."""
        if self.result is None:
            super().action_back()
        else:
            self.console.to_root()

    def action_undo(self) -> None:
        """Plan taking this back."""
        from maos_ckpt_tui.screens.undo import undo_screen  # Imports the plan screen, which imports this module.

        self.console.to_root()
        self.app.push_screen(undo_screen(self.console.client, self.console.now_ms()))

    def action_copy(self) -> None:
        """The resume commands, one a line."""
        if self.result is not None:
            self.console.copy("\n".join(self.result.resume_commands))
