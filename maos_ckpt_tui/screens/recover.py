"""Second step of a recovery: which part of the checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from maos_ckpt.errors import CkptError
from maos_ckpt.model import Checkpoint, DiffResult, Recommendation
from maos_ckpt.model.contents import RecordPage
from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.choosing import PAGE_RECORDS, Choosing, Node, next_merge
from maos_ckpt_tui.commands import SELECT, bindings_for
from maos_ckpt_tui.recovery import recover
from maos_ckpt_tui.screens.base import ConsoleScreen
from maos_ckpt_tui.suspects import Suspect, find_suspects
from maos_ckpt_tui.viewmodel import short
from maos_ckpt_tui.widgets.advice import AdviceView
from maos_ckpt_tui.widgets.key_bar import KeyBar
from maos_ckpt_tui.widgets.lines import Paragraphs
from maos_ckpt_tui.widgets.operation_bar import OperationBar
from maos_ckpt_tui.widgets.row_list import RowList
from maos_ckpt_tui.widgets.selection_options import SelectionOptions
from maos_ckpt_tui.widgets.selection_tree import SelectionTree
from maos_ckpt_tui.widgets.step_line import Step, StepLine
from maos_ckpt_tui.widgets.title_bar import TitleBar

_HEIGHT_MID = 24
_PROMISE = "Nothing is written before you have seen the plan and confirmed it."


class RecoverScreen(ConsoleScreen):
    """Marks and options; `enter` goes on to the plan of what is marked, or of the row under the cursor.

    Args:
        advice, suspects: what the step before has found out already; without them they are asked for.
    """

    PLACE = SELECT
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for(SELECT)]
    AUTO_FOCUS = "#choosing"

    def __init__(
        self, checkpoint: Checkpoint, advice: Recommendation | None = None, suspects: Sequence[Suspect] = ()
    ) -> None:
        super().__init__()
        self._checkpoint = checkpoint
        self._advice = advice
        self.choosing = Choosing(checkpoint, suspects)

    def compose(self) -> ComposeResult:
        """Which checkpoint, which part, which options."""
        yield TitleBar(f"Recover {short(self._checkpoint.id)}")
        yield StepLine(Step.SELECT)
        yield Paragraphs(indent=" ", id="which")
        if self._advice is None or self.app.size.height >= _HEIGHT_MID:
            yield AdviceView()  # Where the terminal is low, what was read in the step before is not told again.
        yield SelectionTree(self.choosing)
        yield SelectionOptions(self.choosing)
        yield OperationBar()
        yield KeyBar(SELECT)

    @property
    def held(self) -> frozenset[str]:
        """See `ConsoleScreen.held`."""
        return frozenset({self._checkpoint.id})

    def on_mount(self) -> None:
        """Say for each component what has changed since."""
        client, name = self.console.client, self._checkpoint.id
        self._show_advice()
        self.ask(lambda: client.diff(name, "live", 1), self._compared, group="since", failed=self._unknown)
        self._marks_changed()

    def tick(self) -> None:
        """See `ConsoleScreen.tick`; the checkpoint's age moves."""
        super().tick()
        one = self._checkpoint
        words = f"{fmt.utc(one.created_at_ms)}, {fmt.minutes_ago(one.created_at_ms, self.console.now_ms())}, "
        words += one.trigger.value + (f": {one.description}" if one.description else "")
        told = [(words, "plain"), (_PROMISE, "dim")]
        self.query_one("#which", Paragraphs).show(told if self.size.height >= _HEIGHT_MID else told[:1])

    def _compared(self, result: DiffResult) -> None:
        self._tree.show_since(result.by_component)
        self._ask_advice()

    def _unknown(self, error: CkptError) -> None:
        self._tree.show_since(None)
        self._ask_advice()
        self.console.say(f"The live state cannot be compared now: {error.message}", "warn")

    def _ask_advice(self) -> None:
        """Whether this is the checkpoint to go back to; who does not wait for the answer goes on without it."""
        if self._advice is not None:
            return
        client, name = self.console.client, self._checkpoint.id

        def look() -> tuple[Recommendation, tuple[Suspect, ...]]:
            found = client.recommend(name)
            return found, find_suspects(client, name, found.incident)

        self.ask(look, self._advised, group="advice", failed=lambda _: None, quiet=True)

    def _advised(self, told: tuple[Recommendation, tuple[Suspect, ...]]) -> None:
        self._advice, suspects = told
        self._show_advice()
        # What stood under the cursor stays there: enter means what it meant a moment ago.
        at = self._tree.current
        self.choosing.suggest(suspects)
        self._tree.stay_at(at)
        self._marks_changed()

    def _show_advice(self) -> None:
        if self._advice is not None:
            for view in self.query(AdviceView):
                view.show(self._advice, self.console.now_ms())

    @property
    def _tree(self) -> SelectionTree:
        return self.query_one(SelectionTree)

    def _marks_changed(self) -> None:
        self.query_one(SelectionOptions).show(self.choosing.meant(self._tree.current))
        self._tree.refresh()

    def on_row_list_moved(self, message: RowList.Moved) -> None:
        """Where nothing is marked, enter means another row now."""
        self._marks_changed()

    def action_mark(self) -> None:
        """Mark or unmark."""
        if (node := self._tree.current) is not None and (why := self.choosing.toggle(node)):
            self.console.say(why, "warn")
        self._marks_changed()

    def action_mark_all(self) -> None:
        """All or none."""
        self.choosing.toggle_all()
        self._marks_changed()

    def action_unfold(self) -> None:
        """Show what is inside; what was not read yet is read now."""
        if (node := self._tree.current) is None or not node.foldable:
            return
        if self.choosing.fold(node, True):
            self._read(node)
        self._tree.stay_at(node)

    def action_fold(self) -> None:
        """Fold, or go up to the row that this one stands under."""
        if (node := self._tree.current) is None:
            return
        target = node if node.opened else self.choosing.parent(node) or node
        if target is node:
            self.choosing.fold(node, False)
        self._tree.stay_at(target)
        self._marks_changed()

    def action_more(self) -> None:
        """The next page of the node at hand, or of the one it stands in."""
        node: Node | None = self._tree.current
        while node is not None and not node.next:
            node = self.choosing.parent(node)
        if node is None:
            self.console.say("All there is in here is listed.")
        else:
            self._read(node)

    def _read(self, node: Node) -> None:
        assert node.source is not None
        client, name, (component, collection), after = self.console.client, self._checkpoint.id, node.source, node.next
        self.console.say("Reading…", "dim")

        def page() -> RecordPage:
            pattern = f"{component}/{collection}/*"
            return client.records(name, component=component, record=pattern, after=after, limit=PAGE_RECORDS)

        self.ask(page, partial(self._read_in, node), group=f"read {node.id}", failed=partial(self._not_read, node))

    def _read_in(self, node: Node, page: RecordPage) -> None:
        at = self._tree.current
        self.choosing.take_page(node, page)
        self.console.say("")
        self._tree.stay_at(at)
        self._marks_changed()

    def _not_read(self, node: Node, error: CkptError) -> None:
        self.choosing.fold(node, False)
        self._tree.stay_at(node)
        self.console.show_error(error)

    def action_exact(self) -> None:
        """Removals on or off."""
        self.choosing.exact = not self.choosing.exact
        self._marks_changed()

    def action_dependencies(self) -> None:
        """Dependencies on or off."""
        self.choosing.dependencies = not self.choosing.dependencies
        self._marks_changed()

    def action_merge(self) -> None:
        """The next merge policy."""
        self.choosing.merge = next_merge(self.choosing.merge)
        self._marks_changed()

    def action_find(self) -> None:
        """Mark what contains a text."""
        from maos_ckpt_tui.modals.prompt import PromptModal  # Loaded when first needed.

        intro = "Every record is marked that contains it, in the checkpoint or live, whatever the case of letters."
        self.app.push_screen(PromptModal("Recover what contains a text", intro, "text", "mark it"), self._found)

    def _found(self, text: str | None) -> None:
        if text:
            self._tree.stay_at(self.choosing.add_text(text))
            self._marks_changed()

    def action_plan(self) -> None:
        """On to the plan."""
        from maos_ckpt_tui.screens.plan import PlanScreen  # Loaded when first needed.

        meant = self.choosing.meant(self._tree.current)
        if not meant:
            self.console.say("Nothing is marked: space marks a row, the right arrow unfolds it.", "warn")
            return
        self.abandon("since")
        self.abandon("advice")
        recovery = recover(self.console.client, self._checkpoint, self.choosing.selection(meant))
        self.app.push_screen(PlanScreen(recovery))


def chosen(found: Recommendation) -> Recommendation:
    """A recommendation as the answer about the checkpoint that it names."""
    return replace(found, asked=found.recommended)
