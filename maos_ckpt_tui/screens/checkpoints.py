"""All checkpoints: sort, filter, mark, and act on many at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal

from maos_ckpt.model import Checkpoint
from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.checkpoint_order import ORDERS, Order, Verified
from maos_ckpt_tui.commands import CHECKPOINTS, bindings_for
from maos_ckpt_tui.export_file import write_new
from maos_ckpt_tui.modals.choice import Choice, ChoiceModal
from maos_ckpt_tui.screens.integrity_news import IntegrityNews
from maos_ckpt_tui.screens.marked import MarkedActions
from maos_ckpt_tui.widgets.checkpoint_pane import CheckpointPane
from maos_ckpt_tui.widgets.checkpoint_table import CheckpointTable
from maos_ckpt_tui.widgets.filter_line import FilterLine
from maos_ckpt_tui.widgets.key_bar import KeyBar
from maos_ckpt_tui.widgets.lines import Line, paragraph
from maos_ckpt_tui.widgets.mode_bar import ModeBar
from maos_ckpt_tui.widgets.operation_bar import OperationBar
from maos_ckpt_tui.widgets.row_list import RowList
from maos_ckpt_tui.widgets.title_bar import TitleBar


class CheckpointsScreen(MarkedActions, IntegrityNews):
    """The table, and beside it what is selected where there is room."""

    PLACE = CHECKPOINTS
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for(CHECKPOINTS)]
    AUTO_FOCUS = "#table"

    def __init__(self) -> None:
        super().__init__()
        self._looks = Verified()

    def compose(self) -> ComposeResult:
        """Modes above, table and selection, keys below."""
        yield TitleBar("Checkpoints")
        yield ModeBar("checkpoints")
        with Horizontal(id="middle"):
            yield CheckpointTable()
            yield CheckpointPane()
        yield FilterLine()
        yield OperationBar()
        yield KeyBar(CHECKPOINTS)

    @property
    def table(self) -> CheckpointTable:
        """The list."""
        return self.query_one(CheckpointTable)

    @property
    def target(self) -> Checkpoint | None:
        """See `CheckpointActions.target`."""
        return self.table.selected

    @property
    def marked(self) -> list[Checkpoint]:
        """See `MarkedActions.marked`."""
        ids = self.table.marked
        found = (self.console.model.find(one) for one in ids)
        return sorted((one for one in found if one is not None), key=lambda one: -one.seq)

    def model_changed(self) -> None:
        """See `ConsoleScreen.model_changed`."""
        if not self.console.client.shared:
            # An engine of the console's own holds the whole list anyway; another one sends it when it is needed.
            self.console.load_all()
        self.table.show(self.console.model, self.console.now_ms(), self._why_empty())
        self.ask_integrity()
        self._show_selected()
        self.refresh_bindings()

    def tick(self) -> None:
        """See `ConsoleScreen.tick`."""
        super().tick()
        self.table.age(self.console.now_ms())
        self._show_selected()

    def integrity_read(self) -> None:
        """See `IntegrityNews.integrity_read`."""
        if self.report is not None:
            self._looks = Verified(self.report)
            self.table.show_verified(self._looks)
            self._show_selected()

    def _why_empty(self) -> list[Line]:
        model = self.console.model
        if model.problem is not None:
            texts = (model.problem.message, model.problem.kept, model.problem.hint)
            return [line for text in texts if text for line in paragraph(text, self.size.width - 4, indent="  ")]
        if not model.loaded:
            return [[("  Loading…", "dim")]]
        what: Line = [("  No checkpoint yet. ", "strong")]
        return [what if self.console.read_only else [*what, ("c", "key"), (" takes one now.", "plain")]]

    def _show_selected(self) -> None:
        pane = self.query_one(CheckpointPane)
        if pane.display:
            one = self.table.selected
            parent = self.console.model.find(one.parent) if one is not None and one.parent else None
            run = self._looks.of(one) if one is not None else None
            pane.show(one, parent, run, self.console.now_ms())

    def on_row_list_moved(self, message: RowList.Moved) -> None:
        """The cursor moved; near the end more is loaded."""
        self._show_selected()
        if message.index >= self.table.row_count - 1 and not self.console.model.complete:
            self.console.load_more()

    # Filter, order, marks

    def action_filter(self) -> None:
        """Open the filter."""
        self.console.load_all()
        self.query_one(FilterLine).open()

    def on_filter_line_typed(self, message: FilterLine.Typed) -> None:
        """Filter as one types."""
        self.table.filter(message.needle)
        self._show_selected()

    def on_filter_line_closed(self) -> None:
        """The list has the keys again."""
        self.table.focus()

    def action_problems(self) -> None:
        """Only what is damaged or partial, or everything."""
        self.console.load_all()
        self.table.only_problems(not self.table.listing.problems)
        self._show_selected()

    def action_sort(self) -> None:
        """Choose an order; the one in force again reverses it."""
        listing = self.table.listing
        choices = [Choice(one, one.title, f"{one.words[0]}; S reverses it") for one in ORDERS]
        modal = ChoiceModal(f"Sort; now {listing.order_words}", choices)
        self.console.load_all()
        self.app.push_screen(modal, self._sort)

    def _sort(self, order: Order | None) -> None:
        if order is not None:
            listing = self.table.listing
            self.table.sort(order, reverse=order is listing.order and not listing.reversed)

    def action_reverse(self) -> None:
        """The other way round."""
        listing = self.table.listing
        self.console.load_all()
        self.table.sort(listing.order, reverse=not listing.reversed)

    def action_mark(self) -> None:
        """Mark or unmark, and go on."""
        self.table.mark()
        self.refresh_bindings()

    def action_mark_range(self) -> None:
        """From the last mark to here."""
        self.table.mark_range()
        self.refresh_bindings()

    def action_mark_all(self) -> None:
        """All that are shown, or none."""
        self.table.mark_all()
        self.refresh_bindings()

    def action_back(self) -> None:
        """One thing at a time: what still runs, the filter, the problems, the marks; then to the overview."""
        if self.stop_rest() or self.query_one(FilterLine).clear_filter():
            return
        if self.table.listing.problems:
            self.action_problems()
        elif not self.table.unmark():
            super().action_back()

    def action_export(self) -> None:
        """What is shown, as JSON."""
        shown = list(self.table.listing.shown)
        rows = [_as_json(one) for one in shown]
        name = f"maos-ckpt-checkpoints-{fmt.stamp(self.console.now_ms())}.json"
        text = json.dumps(rows, indent=2, ensure_ascii=True) + "\n"
        self.ask(lambda: write_new(Path(name), text), self._written, group="export", quiet=True)

    def _written(self, path: Path) -> None:
        self.console.say(
            f"{fmt.plural(self.table.row_count, 'checkpoint')} written: {path.name} in {path.parent}", "ok"
        )


def _as_json(one: Checkpoint) -> dict[str, object]:
    return {
        "id": one.id,
        "createdAt": fmt.utc(one.created_at_ms),
        "trigger": one.trigger.value,
        "state": one.state.value,
        "description": one.description,
        "tags": list(one.tags),
        "pinned": one.pinned,
        "partial": one.partial,
        "records": one.records,
        "logicalBytes": one.logical_bytes,
        "storedBytes": one.stored_bytes,
        "durationSeconds": one.duration_s,
        "lockSeconds": one.capture.lock_s,
        "sha512": one.digest.hex(),
    }
