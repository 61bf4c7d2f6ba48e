"""Explore: what a checkpoint, or the live state, holds, as agents, tasks, messages and everything else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal

from maos_ckpt.errors import CkptError
from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.commands import EXPLORE, bindings_for
from maos_ckpt_tui.explore import views
from maos_ckpt_tui.explore.position import Position
from maos_ckpt_tui.explore.reading import LISTED, LISTED_MAX
from maos_ckpt_tui.explore.things import Thing
from maos_ckpt_tui.explore.views import Reading, View
from maos_ckpt_tui.screens.exploring import ExploringScreen, failure
from maos_ckpt_tui.widgets.filter_line import FilterLine
from maos_ckpt_tui.widgets.key_bar import KeyBar
from maos_ckpt_tui.widgets.lines import Span
from maos_ckpt_tui.widgets.mode_bar import ModeBar
from maos_ckpt_tui.widgets.operation_bar import OperationBar
from maos_ckpt_tui.widgets.row_list import RowList
from maos_ckpt_tui.widgets.thing_list import ThingList
from maos_ckpt_tui.widgets.thing_pane import ThingPane
from maos_ckpt_tui.widgets.time_strip import TimeStrip
from maos_ckpt_tui.widgets.title_bar import TitleBar
from maos_ckpt_tui.widgets.view_tabs import ViewTabs


class ExploreScreen(ExploringScreen):
    """The views as tabs, the rows of one below, and beside them, where there is room, the thing under the cursor."""

    PLACE = EXPLORE
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for(EXPLORE)]
    AUTO_FOCUS = "#things"

    def __init__(self) -> None:
        super().__init__(Position())
        self._tab = 0
        self._inside: View | None = None
        self._limit = LISTED
        self._loaded: tuple[str, str, Mapping[str, bytes]] = ("", "", {})
        self._reading: Reading | None = None

    def compose(self) -> ComposeResult:
        """Time, views, rows, keys."""
        yield TitleBar("Explore")
        yield ModeBar("explore")
        yield TimeStrip()
        yield ViewTabs(views.VIEWS[0].name)
        with Horizontal(id="middle"):
            yield ThingList()
            yield ThingPane()
        yield FilterLine()
        yield OperationBar()
        yield KeyBar(EXPLORE)

    @property
    def view(self) -> View:
        """What is in sight: a tab's view, or one collection of that of all records."""
        return self._inside or views.VIEWS[self._tab]

    @property
    def collections(self) -> frozenset[str]:
        """See `ExploringScreen.collections`."""
        if self.view.name == views.ALL and self.checkpoint is not None:
            return frozenset(one.path for one in self.checkpoint.collections)
        return frozenset({"/".join(self.view.collection)})

    @property
    def things(self) -> ThingList:
        """The rows."""
        return self.query_one(ThingList)

    @property
    def thing(self) -> Thing | None:
        """See `ExploringScreen.thing`."""
        row = self.things.current if self.is_mounted else None
        if row is None or not row.entry.key:
            return None
        return Thing(row.entry.component, row.entry.collection, row.entry.key)

    def offers(self, action: str) -> bool:
        """See `ConsoleScreen.offers`; a collection can be opened and nothing else."""
        if action == "open":
            return self.things.current is not None
        return super().offers(action) and (action != "more" or (self._reading is not None and self._reading.more))

    def model_changed(self) -> None:
        """See `ExploringScreen`; the first checkpoints have come, or the first one of all."""
        self.position.settle(self.console.model)
        super().model_changed()
        if self.position.id and not self.shown_at:
            self.reload()

    def reload(self) -> None:
        """Read the view at this place."""
        self.query_one(ViewTabs).show(views.VIEWS[self._tab].name)
        view, place, limit, client = self.view, self.position.id, self._limit, self.console.client
        model = self.console.model
        if not place:
            self.things.empty(view, [[("  Waiting for the list of checkpoints…", "dim")]])
            return
        totals = self.checkpoint or (model.checkpoints[0] if model.checkpoints else None)
        self.shown_at = place
        what = "Reading the live state…" if self.position.live else f"Reading {view.title.lower()}…"
        if self._loaded[:2] != (view.name, place):
            self.things.keep()
            self.things.empty(view, [[(f"  {what} Nothing is written.", "dim")]])
            self.query_one(ThingPane).show(None)
        self.ask(
            lambda: (view, place, views.load(client, place, view, limit, totals)),
            self._read,
            group="view",
            failed=self._failed,
        )

    def _read(self, read: tuple[View, str, Reading]) -> None:
        view, place, self._reading = read
        before = self._loaded[2] if self._loaded[0] == view.name and self._loaded[1] != place else None
        gone = len(before.keys() - self._reading.digests.keys()) if before is not None else 0
        self.difference = self._words(before, self._reading.digests)
        note: list[Span] = [(f"- {fmt.count(gone)} not here", "bad")] if gone and not self._reading.more else []
        if self._reading.more:
            number = fmt.count(len(self._reading.rows))
            note = [(f"!! the first {number} by key, ", "warn"), ("m", "key"), (" more", "dim")]
        elif view.name == views.ALL and self.position.live:
            note = [("counted in the newest checkpoint", "dim")]
        self._loaded = (view.name, place, self._reading.digests)
        self.things.show(view, self._reading, before, note)
        self.show_strip()
        self._show_pane()
        self.refresh_bindings()

    @staticmethod
    def _words(before: Mapping[str, bytes] | None, now: Mapping[str, bytes]) -> str:
        if before is None:
            return ""
        come, gone = len(now.keys() - before.keys()), len(before.keys() - now.keys())
        other = sum(1 for path, digest in now.items() if before.get(path, digest) != digest)
        parts = ((f"+{come}", come), (f"~{other}", other), (f"-{gone}", gone))
        return " ".join(word for word, number in parts if number) or "no change"

    def _failed(self, error: CkptError) -> None:
        self._reading, self._loaded = None, ("", "", {})
        self.things.empty(self.view, failure(error, max(20, self.size.width - 4)))

    def on_row_list_moved(self, _message: RowList.Moved) -> None:
        """The pane follows the cursor."""
        self._show_pane()

    def _show_pane(self) -> None:
        row = self.things.current
        self.query_one(ThingPane).show(row.entry if row is not None else None)

    # --- keys -------------------------------------------------------------------------------------------------

    def action_next_view(self) -> None:
        """The next tab."""
        self._to_tab(self._tab + 1)

    def action_previous_view(self) -> None:
        """The tab before."""
        self._to_tab(self._tab - 1)

    def _to_tab(self, tab: int) -> None:
        self._tab, self._inside, self._limit = tab % len(views.VIEWS), None, LISTED
        self.difference = ""
        self.query_one(FilterLine).clear_filter()
        self.things.only_problems(False)
        self.things.cursor = 0
        self.reload()

    def action_open(self) -> None:
        """A collection opens in place, an agent or a transcript as a conversation, all else as its record."""
        row = self.things.current
        if row is None:
            return
        entry = row.entry
        if not entry.key:
            self._inside, self._limit = views.collection_view(entry.component, entry.collection), LISTED
            self.difference = ""
            self.reload()
        elif (thing := self.thing) is not None and thing.talks:
            from maos_ckpt_tui.screens.conversation import ConversationScreen  # Loaded when first needed.

            self.app.push_screen(ConversationScreen(self.position, thing))
        else:
            self.action_record()

    def action_record(self) -> None:
        """The record in full."""
        from maos_ckpt_tui.screens.record import RecordScreen  # Loaded when first needed.

        if (thing := self._chosen()) is not None:
            self.app.push_screen(RecordScreen(self.position, thing))

    def action_problems(self) -> None:
        """Only what failed, is blocked or paused; or all."""
        self.things.only_problems(not self.things.problems)
        self._show_pane()

    def action_more(self) -> None:
        """Four times as many."""
        self._limit = min(LISTED_MAX, self._limit * 4)
        self.console.say(f"Reading up to {fmt.count(self._limit)} records…")
        self.reload()

    def action_filter(self) -> None:
        """Open the filter."""
        self.query_one(FilterLine).open()

    def on_filter_line_typed(self, message: FilterLine.Typed) -> None:
        """Filter as one types."""
        self.things.filter(message.needle)
        self._show_pane()

    def on_filter_line_closed(self) -> None:
        """The list has the keys again."""
        self.things.focus()

    def action_back(self) -> None:
        """Clear the filter, leave a collection, then go back."""
        if self.query_one(FilterLine).clear_filter():
            return
        if self._inside is not None:
            self._inside = None
            self.reload()
        else:
            super().action_back()
