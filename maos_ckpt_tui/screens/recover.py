"""First step of a recovery: which part of the checkpoint."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from maos_ckpt.errors import CkptError
from maos_ckpt.model import Checkpoint, Counts, DiffResult, Recommendation, Selection
from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.commands import CHOOSE, bindings_for
from maos_ckpt_tui.recovery import recover
from maos_ckpt_tui.safe_text import safe_text
from maos_ckpt_tui.screens.base import ConsoleScreen
from maos_ckpt_tui.viewmodel import short
from maos_ckpt_tui.widgets.advice import AdviceView
from maos_ckpt_tui.widgets.key_bar import KeyBar
from maos_ckpt_tui.widgets.lines import Line, LineView, Paragraphs, Span, rule
from maos_ckpt_tui.widgets.operation_bar import OperationBar
from maos_ckpt_tui.widgets.row_list import EDGES, Column, RowList, table_line
from maos_ckpt_tui.widgets.title_bar import TitleBar

_COLUMNS = (
    Column("", 3, 1),
    Column("COMPONENT", 14, 1, grow=True),
    Column("RECORDS", 9, 3, right=True),
    Column("SIZE", 8, 4, right=True),
    Column("ADDED SINCE", 11, 2, right=True),
    Column("CHANGED", 8, 2, right=True),
    Column("REMOVED", 8, 2, right=True),
)
_HEADINGS: list[Span] = [(column.title, "head") for column in _COLUMNS]


class ComponentChoice(RowList):
    """The components with a mark each, and what has happened to them since."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__(id="components")
        self._checkpoint = checkpoint
        self._since: dict[str, Counts] | None = None
        self._unknown = "…"
        self.marked = set(checkpoint.components)

    @property
    def row_count(self) -> int:
        """See `RowList.row_count`."""
        return len(self._checkpoint.components)

    def show_since(self, since: dict[str, Counts] | None) -> None:
        """Changes by component since the checkpoint; None where they cannot be told."""
        self._since, self._unknown = since, "?" if since is None else "…"
        self.refresh()

    def toggle(self) -> None:
        """Mark or unmark the one under the cursor."""
        if self.row_count:
            self.marked ^= {self._checkpoint.components[self.cursor]}
            self.refresh()

    def toggle_all(self) -> None:
        """All, or none."""
        self.marked = set() if len(self.marked) == self.row_count else set(self._checkpoint.components)
        self.refresh()

    def heading(self, width: int) -> list[Line]:
        """See `RowList.heading`."""
        return [
            rule("What to recover", width),
            [("  ", "plain"), *table_line(_COLUMNS, _HEADINGS, max(0, width - EDGES))],
        ]

    def placeholder(self, width: int) -> list[Line]:
        """See `RowList.placeholder`."""
        return [[("  This checkpoint holds nothing: there is nothing to recover.", "plain")]]

    def row(self, index: int, width: int) -> Line:
        """See `RowList.row`."""
        name = self._checkpoint.components[index]
        parts = [one for one in self._checkpoint.collections if one.component == name]
        here = name in self.marked
        cells: list[Span] = [
            ("[x]" if here else "[ ]", "key" if here else "dim"),
            (safe_text(name), "strong" if here else "dim"),
            (fmt.count(sum(one.records for one in parts)), "plain"),
            (fmt.size(sum(one.bytes for one in parts)), "plain"),
            *self._since_cells(name),
        ]
        return table_line(_COLUMNS, cells, width)

    def _since_cells(self, name: str) -> list[Span]:
        if self._since is None:
            return [(self._unknown, "dim")] * 3
        counts = self._since.get(name, Counts())
        numbers = ((counts.added, "ok"), (counts.modified, "accent"), (counts.removed, "bad"))
        return [(fmt.count(number) if number else "0", tone if number else "dim") for number, tone in numbers]


class Options(LineView):
    """The two switches, and what the choice amounts to."""

    def __init__(self) -> None:
        super().__init__(id="options")
        self.exact = False
        self.dependencies = False
        self.whole = True
        self.none = False

    def build(self, width: int) -> list[Line]:
        """See `LineView.build`."""
        if self.none:
            return [[], [(" Nothing is marked: ", "warn"), ("space", "key"), (" marks a component.", "plain")], []]
        if self.whole:
            line: Line = [
                (" Everything is marked: ", "strong"),
                ("the live state becomes exactly what it was.", "plain"),
            ]
            return [[], line, [(" Records that came since are removed.", "dim")]]
        exact = (
            "live records that the checkpoint does not hold are removed" if self.exact else "no live record is removed"
        )
        needs = "missing records that these refer to are added" if self.dependencies else "only what is marked"
        return [
            [],
            [(" e", "key"), (f" exact {_switch(self.exact)} ", "strong"), (exact, "plain")],
            [(" w", "key"), (f" deps  {_switch(self.dependencies)} ", "strong"), (needs, "plain")],
        ]


def _switch(on: bool) -> str:
    return "[x]" if on else "[ ]"


class RecoverScreen(ConsoleScreen):
    """Components with marks and two options; `enter` goes on to the plan."""

    PLACE = CHOOSE
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for(CHOOSE)]
    AUTO_FOCUS = "#components"

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__()
        self._checkpoint = checkpoint

    def compose(self) -> ComposeResult:
        """Which checkpoint, which part, which options."""
        one = self._checkpoint
        yield TitleBar(f"Recover {short(one.id)}, step 1 of 4")
        words = (
            f"{fmt.utc(one.created_at_ms)}, {fmt.ago(one.created_at_ms, self.console.now_ms())}, {one.trigger.value}"
        )
        words += f": {one.description}" if one.description else ""
        promise = "Nothing is written before you have seen the plan and confirmed it."
        yield Paragraphs([(words, "plain"), (promise, "dim")], indent=" ")
        yield AdviceView()
        yield ComponentChoice(one)
        yield Options()
        yield OperationBar()
        yield KeyBar(CHOOSE)

    @property
    def held(self) -> frozenset[str]:
        """See `ConsoleScreen.held`."""
        return frozenset({self._checkpoint.id})

    def on_mount(self) -> None:
        """Say for each component what has changed since."""
        client, name = self.console.client, self._checkpoint.id
        self.ask(lambda: client.diff(name, "live", 1), self._compared, group="since", failed=self._unknown)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The options are for partial recoveries; a whole one is always exact."""
        if action in ("exact", "dependencies") and self.is_mounted:
            return not self.query_one(Options).whole
        return super().check_action(action, parameters)

    def _compared(self, result: DiffResult) -> None:
        self._choice.show_since(result.by_component)
        self._ask_advice()

    def _unknown(self, error: CkptError) -> None:
        self._choice.show_since(None)
        self._ask_advice()
        self.console.say(f"The live state cannot be compared now: {error.message}", "warn")

    def _ask_advice(self) -> None:
        """Whether this is the checkpoint to go back to; who does not wait for the answer goes on without it."""
        client, name = self.console.client, self._checkpoint.id
        self.ask(lambda: client.recommend(name), self._advised, group="advice", failed=lambda _: None, quiet=True)

    def _advised(self, found: Recommendation) -> None:
        self.query_one(AdviceView).show(found, self.console.now_ms())

    @property
    def _choice(self) -> ComponentChoice:
        return self.query_one(ComponentChoice)

    def _marks_changed(self) -> None:
        options = self.query_one(Options)
        options.whole = len(self._choice.marked) == self._choice.row_count
        options.none = not self._choice.marked
        options.changed()
        self.refresh_bindings()

    def action_mark(self) -> None:
        """Mark or unmark."""
        self._choice.toggle()
        self._marks_changed()

    def action_mark_all(self) -> None:
        """All or none."""
        self._choice.toggle_all()
        self._marks_changed()

    def action_exact(self) -> None:
        """Removals on or off."""
        options = self.query_one(Options)
        options.exact = not options.exact
        options.changed()

    def action_dependencies(self) -> None:
        """Dependencies on or off."""
        options = self.query_one(Options)
        options.dependencies = not options.dependencies
        options.changed()

    def selection(self) -> Selection:
        """What is marked, as the engine wants it."""
        options, marked = self.query_one(Options), self._choice.marked
        if len(marked) == self._choice.row_count:
            return Selection(exact=True)
        components = tuple(one for one in self._checkpoint.components if one in marked)
        return Selection(components, exact=options.exact, with_dependencies=options.dependencies)

    def action_plan(self) -> None:
        """On to the plan."""
        from maos_ckpt_tui.screens.plan import PlanScreen  # Loaded when first needed.

        if not self._choice.marked:
            self.console.say("Mark at least one component with space.", "warn")
            return
        self.abandon("since")
        self.abandon("advice")
        self.app.push_screen(PlanScreen(recover(self.console.client, self._checkpoint, self.selection())))
