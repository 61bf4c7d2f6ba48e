"""What differs between a checkpoint and the live state, or between it and the one before."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from maos_ckpt.errors import CkptError
from maos_ckpt.model import Checkpoint, DiffResult
from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.changes import ChangeTree
from maos_ckpt_tui.commands import DIFF, bindings_for
from maos_ckpt_tui.screens.actions import CheckpointActions, kept_with_parent
from maos_ckpt_tui.screens.change_screen import ChangeScreen
from maos_ckpt_tui.viewmodel import short
from maos_ckpt_tui.widgets.change_list import ChangeList, component_counts
from maos_ckpt_tui.widgets.filter_line import FilterLine
from maos_ckpt_tui.widgets.key_bar import KeyBar
from maos_ckpt_tui.widgets.lines import Line, LineView, Span, flow
from maos_ckpt_tui.widgets.operation_bar import OperationBar
from maos_ckpt_tui.widgets.title_bar import TitleBar

LIVE, BEFORE = "live", "before"
CHANGES_LISTED = 1000
#: `m` lists ten times as many, up to here; the command line has no such bound.
CHANGES_LISTED_MAX = 100_000


class DiffSummary(LineView):
    """Which two states, and how many changes by component."""

    def __init__(self) -> None:
        super().__init__(id="summary")
        self._sides = ""
        self._result: DiffResult | None = None

    def show(self, sides: str, result: DiffResult | None) -> None:
        """`sides` names the two states in words."""
        self._sides, self._result = sides, result
        self.changed()

    def build(self, width: int) -> list[Line]:
        """See `LineView.build`."""
        lines: list[Line] = [[(f" {self._sides}", "plain")]]
        if self._result is None:
            return [*lines, []]
        if self._result.summary.total == 0:
            return [*lines, [(" OK the two are equal", "ok")]]
        total: Line = [(f" {fmt.plural(self._result.summary.total, 'change')}  ", "strong")]
        return [*lines, *flow(component_counts(self._result.by_component), width, total)]


class DiffScreen(ChangeScreen, CheckpointActions):
    """A tree of changes; comparing with the live state reads it, so it runs in a thread."""

    PLACE = DIFF
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for(DIFF)]

    def __init__(self, checkpoint: Checkpoint, side: str = LIVE) -> None:
        super().__init__()
        self._checkpoint = checkpoint
        self._side = side
        self._limit = CHANGES_LISTED
        self._result: DiffResult | None = None

    @property
    def target(self) -> Checkpoint | None:
        """See `CheckpointActions.target`."""
        return self._checkpoint

    @property
    def held(self) -> frozenset[str]:
        """See `ConsoleScreen.held`; the one before is a key away."""
        return kept_with_parent(self._checkpoint)

    def compose(self) -> ComposeResult:
        """Summary, tree, keys."""
        yield TitleBar(f"Differences {short(self._checkpoint.id)}")
        yield DiffSummary()
        yield ChangeList()
        yield FilterLine()
        yield OperationBar()
        yield KeyBar(DIFF)

    def on_mount(self) -> None:
        """Compare at once."""
        self._compare()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what makes sense with this comparison."""
        if action == "live":
            return self._side != LIVE
        if action == "before":
            return self._side != BEFORE and self._checkpoint.parent is not None
        if action == "more":
            return self._result is not None and self._result.truncated and self._limit < CHANGES_LISTED_MAX
        return super().check_action(action, parameters)

    def _compare(self) -> None:
        one, limit, client = self._checkpoint, self._limit, self.console.client
        self._result = None
        before, after = (one.id, "live") if self._side == LIVE else (one.parent or "", one.id)
        what = "Reading the live state and comparing…" if self._side == LIVE else "Comparing…"
        self.query_one(DiffSummary).show(self._sides(), None)
        self.changes.show(ChangeTree(), "Changes", [], [[(f"  {what} Nothing is written.", "dim")]])
        self.refresh_bindings()
        self.ask(lambda: client.diff(before, after, limit), self._compared, group="diff", failed=self._failed)

    def _sides(self) -> str:
        one = self._checkpoint
        if self._side == LIVE:
            return f"{short(one.id)} of {fmt.utc(one.created_at_ms)} → live state now"
        return f"{short(one.parent or '')} → {short(one.id)} of {fmt.utc(one.created_at_ms)}"

    def _compared(self, result: DiffResult) -> None:
        self._result = result
        self.query_one(DiffSummary).show(self._sides(), result)
        listed, total = len(result.changes), result.summary.total
        note: list[Span] = []
        if result.truncated:
            note = [
                (f"!! only {fmt.count(listed)} of {fmt.count(total)} are listed, ", "warn"),
                ("m", "key"),
                (" more", "dim"),
            ]
        empty: list[Line] = [[("  Nothing differs: ", "plain"), (self._equal_words(), "plain")]]
        self.changes.show(ChangeTree(result.changes, result.by_component), "Changes", note, empty)
        self.refresh_bindings()

    def _equal_words(self) -> str:
        return "the live state is what it was then." if self._side == LIVE else "this save found no change."

    def _failed(self, error: CkptError) -> None:
        self.changes.show(ChangeTree(), "Changes", [], [[("  XX ", "bad"), (error.message, "plain")]])
        self.console.show_error(error)

    def action_live(self) -> None:
        """Against the live state."""
        self._side = LIVE
        self._compare()

    def action_before(self) -> None:
        """Against the one before."""
        self._side = BEFORE
        self._compare()

    def action_more(self) -> None:
        """List ten times as many."""
        self._limit = min(CHANGES_LISTED_MAX, self._limit * 10)
        self._compare()
