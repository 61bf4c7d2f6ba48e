"""What has changed of one thing between a checkpoint and the live state."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from maos_ckpt.errors import CkptError
from maos_ckpt.model import ChangeKind, Checkpoint, Counts, Plan
from maos_ckpt.model.changes import RecordChange
from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.changes import ChangeTree
from maos_ckpt_tui.commands import PART, bindings_for
from maos_ckpt_tui.explore.things import Thing, turned
from maos_ckpt_tui.safe_text import safe_text
from maos_ckpt_tui.screens.change_screen import ChangeScreen
from maos_ckpt_tui.screens.exploring import failure
from maos_ckpt_tui.viewmodel import short
from maos_ckpt_tui.widgets.change_list import ChangeList
from maos_ckpt_tui.widgets.filter_line import FilterLine
from maos_ckpt_tui.widgets.key_bar import KeyBar
from maos_ckpt_tui.widgets.lines import Paragraphs, Span
from maos_ckpt_tui.widgets.operation_bar import OperationBar
from maos_ckpt_tui.widgets.title_bar import TitleBar

CHANGES_LISTED = 1000
_WORDS_CELLS_MAX = 60


class PartChangesScreen(ChangeScreen):
    """Reads the live state, so it runs in a thread: what recovering the thing would change, the other way round."""

    PLACE = PART
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for(PART)]

    def __init__(self, checkpoint: Checkpoint, thing: Thing) -> None:
        super().__init__()
        self._checkpoint, self._thing = checkpoint, thing

    @property
    def held(self) -> frozenset[str]:
        """See `ConsoleScreen.held`."""
        return frozenset({self._checkpoint.id})

    def compose(self) -> ComposeResult:
        """What is compared, the changes, keys."""
        one = self._checkpoint
        what = f"{safe_text(self._thing.words, _WORDS_CELLS_MAX)}: {short(one.id)} of {fmt.utc(one.created_at_ms)}"
        yield TitleBar("Changes since")
        yield Paragraphs([(f"{what} → live state now", "plain"), ("", "plain")], indent=" ", id="summary")
        yield ChangeList()
        yield FilterLine()
        yield OperationBar()
        yield KeyBar(PART)

    def on_mount(self) -> None:
        """Compare at once."""
        client, name, selection = self.console.client, self._checkpoint.id, self._thing.exact_selection()
        reading = "  Reading the live state and comparing… Nothing is written."
        self.changes.show(ChangeTree(), "Changes", [], [[(reading, "dim")]])
        self.ask(
            lambda: client.plan(name, selection, CHANGES_LISTED), self._compared, group="diff", failed=self._failed
        )

    def _compared(self, plan: Plan) -> None:
        changes = [turned(one) for one in plan.changes]
        note: list[Span] = []
        if plan.truncated:
            note = [(f"!! only {fmt.count(len(changes))} of {fmt.count(plan.summary.total)} are listed", "warn")]
        counts = {name: _turned_counts(one) for name, one in plan.by_component.items()}
        nothing = "  OK nothing has changed: live it is what it was then."
        self.changes.show(ChangeTree(changes, counts), "Changes", note, [[(nothing, "plain")]])

    def _failed(self, error: CkptError) -> None:
        self.changes.show(ChangeTree(), "Changes", [], failure(error))

    def action_recover(self) -> None:
        """Plan recovering this thing alone."""
        from maos_ckpt_tui.recovery import recover
        from maos_ckpt_tui.screens.plan import PlanScreen  # Loaded when first needed.

        self.app.push_screen(PlanScreen(recover(self.console.client, self._checkpoint, self._thing.selection())))


def _turned_counts(counts: Counts) -> Counts:
    return Counts(counts.removed, counts.modified, counts.added)


class VersionChangesScreen(ChangeScreen):
    """What differs between two versions of a record, which are both known."""

    PLACE = PART
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for(PART)]

    def __init__(self, change: RecordChange, words: str) -> None:
        super().__init__()
        self._change, self._words = change, words

    def offers(self, action: str) -> bool:
        """Two versions are not recovered; one is opened for that."""
        return action != "recover"

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """See `offers`."""
        return action != "recover" and super().check_action(action, parameters)

    def compose(self) -> ComposeResult:
        """What is compared, the changes, keys."""
        yield TitleBar("Two versions")
        yield Paragraphs([(self._words, "plain"), ("", "plain")], indent=" ", id="summary")
        yield ChangeList()
        yield FilterLine()
        yield OperationBar()
        yield KeyBar(PART)

    def on_mount(self) -> None:
        """Show it."""
        differs = self._change.fields or self._change.kind is not ChangeKind.MODIFIED
        tree = ChangeTree([self._change] if differs else [])
        tree.fold_records(False)
        self.changes.show(tree, "Changes", [], [[("  OK the two versions are equal.", "plain")]])

    def action_recover(self) -> None:
        """Not offered here."""
