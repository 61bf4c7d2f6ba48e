"""Second step: exactly what would change, what it would break, who is running; nothing has been written yet."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from maos_ckpt.errors import CkptError
from maos_ckpt.model import RESCUE, Plan, Selection, Severity
from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.changes import ChangeTree
from maos_ckpt_tui.commands import PLAN, bindings_for
from maos_ckpt_tui.modals.choice import ChoiceModal
from maos_ckpt_tui.modals.confirm import DangerModal
from maos_ckpt_tui.modals.report import FINDING_TONES, FindingsModal
from maos_ckpt_tui.recovery import Recovery
from maos_ckpt_tui.screens.change_screen import ChangeScreen
from maos_ckpt_tui.viewmodel import short
from maos_ckpt_tui.widgets.change_list import ChangeList, component_counts, counts_spans
from maos_ckpt_tui.widgets.filter_line import FilterLine
from maos_ckpt_tui.widgets.key_bar import KeyBar
from maos_ckpt_tui.widgets.lines import Line, LineView, Span, facts, flow, paragraph
from maos_ckpt_tui.widgets.operation_bar import OperationBar
from maos_ckpt_tui.widgets.step_line import Step, StepLine
from maos_ckpt_tui.widgets.title_bar import TitleBar

CHANGES_LISTED = 1000
_FINDINGS_SHOWN, _FINDINGS_SHOWN_TALL = 2, 6
_HEIGHT_TALL = 36
_RUNNING_SHOWN = 2


def running_words(plan: Plan) -> str:
    """Which processes use the state, and what happens to them."""
    if not plan.running:
        return "no MAOS process has this state open"
    names = "; ".join(plan.running[:_RUNNING_SHOWN])
    more = len(plan.running) - _RUNNING_SHOWN
    names += f" and {more} more" if more > 0 else ""
    verbs = ("it is", "goes on") if len(plan.running) == 1 else ("they are", "go on")
    return f"{names}: {verbs[0]} held still while the database is written, then {verbs[1]}"


class PlanSummary(LineView):
    """The plan's facts."""

    def __init__(self, what: str, nothing: str = "") -> None:
        super().__init__(id="summary")
        self._what = what
        self._nothing: list[Span] = [("OK nothing to do: the live state is already so", "ok"), (nothing, "plain")]
        self._plan: Plan | None = None

    def show(self, what: str, plan: Plan | None) -> None:
        """Another plan, and what it does in words."""
        self._what, self._plan = what, plan
        self.changed()

    def build(self, width: int) -> list[Line]:
        """See `LineView.build`."""
        lines = facts([("what    ", self._what, "strong")], width)
        plan = self._plan
        if plan is None:
            return lines
        if plan.summary.total == 0 and not plan.kept and not plan.conflicts:
            return [*lines, *(line for words, tone in self._nothing for line in paragraph(words, width, tone, " "))]
        counts: Line = [(fmt.plural(plan.summary.total, "record"), "strong"), *counts_spans(plan.summary)]
        cost: Line = [(f"{fmt.size(plan.write_bytes)} to write", "plain")]
        time: Line = [(f"about {fmt.duration(plan.estimated_s)}", "plain")]
        lines += flow([counts, cost, time], width, [(" changes   ", "dim")])
        lines += flow(component_counts(plan.by_component), width, [("           ", "dim")])
        if plan.kept or plan.conflicts:
            left = (
                f"{fmt.plural(plan.kept, 'record')} and {fmt.plural(plan.conflicts, 'conflict')} stay as they are live"
            )
            lines += facts([("left    ", left, "warn" if plan.conflicts else "plain")], width)
        lines += facts([("running ", running_words(plan), "warn" if plan.running else "plain")], width)
        lines += self._findings(plan)
        digest: Line = [(plan.digest[:16], "dim")]
        return lines + flow([digest, [("a safety checkpoint comes first", "dim")]], width, [(" digest    ", "dim")])

    def _findings(self, plan: Plan) -> list[Line]:
        if not plan.findings:
            return [[(" findings  ", "dim"), ("OK no reference would be left dangling", "ok")]]
        tall = self.is_attached and self.app.size.height >= _HEIGHT_TALL
        most = _FINDINGS_SHOWN_TALL if tall else _FINDINGS_SHOWN
        order = [Severity.ERROR, Severity.WARNING, Severity.INFO]
        ranked = sorted(plan.findings, key=lambda one: order.index(one.severity))
        lines: list[Line] = []
        for number, one in enumerate(ranked[:most]):
            sign, tone = FINDING_TONES[one.severity]
            lines.append([(" findings  " if number == 0 else "           ", "dim"), (sign, tone), (one.message, tone)])
        more = len(ranked) - most
        words = f"{more} more; " if more > 0 else ""
        lines.append([("           ", "dim"), (words, "warn"), ("n", "key"), (" shows all findings in full", "dim")])
        return lines


class PlanScreen(ChangeScreen):
    """A plan and its changes; `a` asks for reason and confirmation."""

    PLACE = PLAN
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for(PLAN)]

    def __init__(self, recovery: Recovery) -> None:
        super().__init__()
        self._recovery = self._whole = recovery
        self._reason = ""
        self.plan: Plan | None = None

    def compose(self) -> ComposeResult:
        """Facts, changes, keys."""
        yield TitleBar(f"Plan to {self._recovery.title}")
        yield StepLine(Step.PLAN)
        yield PlanSummary(self._recovery.what, self._recovery.nothing)
        yield ChangeList()
        yield FilterLine()
        yield OperationBar()
        yield KeyBar(PLAN)

    @property
    def held(self) -> frozenset[str]:
        """See `ConsoleScreen.held`."""
        return frozenset({self.plan.checkpoint} if self.plan and self.plan.checkpoint != RESCUE else ())

    def on_mount(self) -> None:
        """Plan at once."""
        self.action_replan()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Nothing to apply before there is a plan, or where it is empty."""
        if action == "apply" and (self.plan is None or self.plan.summary.total == 0):
            return False
        if action == "part":
            narrowed = self._recovery is not self._whole
            return self._whole.part is not None and self.plan is not None and (narrowed or bool(self.plan.changes))
        if action == "findings":
            return self.plan is not None and bool(self.plan.findings)
        return super().check_action(action, parameters)

    def action_replan(self) -> None:
        """Compute the plan against the live state of now."""
        self.plan = None
        self.query_one(PlanSummary).show(self._recovery.what, None)
        waiting: list[Line] = [
            [("  Computing the plan: reading the live state and comparing. Nothing is written.", "dim")]
        ]
        self.changes.show(ChangeTree(), "Changes", [], waiting)
        self.refresh_bindings()
        recovery = self._recovery

        def make() -> tuple[Plan, str]:
            plan = recovery.plan(CHANGES_LISTED)
            return plan, recovery.words(plan)

        self.ask(make, self._planned, group="plan", failed=self._failed)

    def _planned(self, made: tuple[Plan, str]) -> None:
        plan, what = made
        whole = self._recovery is self._whole
        self.plan, self._recovery = plan, replace(self._recovery, what=what)
        if whole:
            self._whole = self._recovery
        self.console.hold_shown()
        self.query_one(PlanSummary).show(what, plan)
        note: list[Span] = []
        if plan.truncated:
            listed, total = fmt.count(len(plan.changes)), fmt.count(plan.summary.total)
            note = [(f"!! only {listed} of {total} are listed; all are applied", "warn")]
        nothing: list[Line] = [
            [("  Nothing to do. ", "plain"), ("esc", "key"), (" goes back, ", "plain"), ("l", "key"),
             (" plans again.", "plain")]
        ]  # fmt: skip
        self.changes.show(
            ChangeTree(plan.changes, plan.by_component), "What is written to the live state", note, nothing
        )
        self.refresh_bindings()

    def _failed(self, error: CkptError) -> None:
        # The dialog is closed at some time; why there is no plan, and what to do, stays.
        width = max(20, self.size.width - 6)
        texts: list[Span] = [(f"XX {error.message}", "bad"), (error.kept, "ok"), (error.hint, "plain")]
        lines: list[Line] = [line for text, tone in texts if text for line in paragraph(text, width, tone, "  ")]
        again: Line = [("  l", "key"), (" plans again, ", "plain"), ("esc", "key"), (" goes back.", "plain")]
        self.changes.show(ChangeTree(), "No plan", [], [*lines, again])
        self.console.show_error(error)

    def action_findings(self) -> None:
        """All findings in full."""
        if self.plan is not None:
            self.app.push_screen(FindingsModal(self.plan.findings))

    def action_part(self) -> None:
        """Choose a part, and plan that."""
        from maos_ckpt_tui.parts import part_choices  # Loaded when first needed.

        row = self.changes.current
        if self.plan is not None:
            choices = part_choices(self.plan, None if row is None else row.change, self._recovery is not self._whole)
            self.app.push_screen(ChoiceModal("Plan a part of it", choices, leave="back to the plan"), self._part_chosen)

    def _part_chosen(self, part: Selection | None) -> None:
        if part is not None and self._whole.part is not None:
            # What the words say of the whole is kept with it.
            self._recovery = self._whole if part.all_records else self._whole.part(part)
            self.action_replan()

    def action_apply(self) -> None:
        """Ask for reason and confirmation."""
        plan = self.plan
        if plan is None:
            return
        removed = f", {fmt.count(plan.summary.removed)} of them removed" if plan.summary.removed else ""
        text: list[Span] = [
            (f"{self._recovery.what}.", "plain"),
            (f"{fmt.plural(plan.summary.total, 'live record')} will be written{removed}.", "strong"),
            ("The state of now is kept as a safety checkpoint: undo takes this back.", "dim"),
        ]
        word = short(plan.checkpoint)
        title = f"!! {self._recovery.title.capitalize()}? Step {Step.CONFIRM.value} of {len(Step)}"
        modal = DangerModal(title, text, word=word, label="Apply", reason=self._reason, leads=True)
        self.query_one(StepLine).show(Step.CONFIRM)
        self.app.push_screen(modal, lambda reason: self._confirmed(plan, reason))

    def _confirmed(self, plan: Plan, reason: str | None) -> None:
        from maos_ckpt_tui.screens.recovery_run import RecoveryRunScreen  # Loaded when first needed.

        self.query_one(StepLine).show(Step.PLAN)
        if reason is not None:
            self._reason = reason
            self.app.push_screen(RecoveryRunScreen(self._recovery, plan, reason, self.action_replan))
