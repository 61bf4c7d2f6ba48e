"""Events: the journal newest first, live; and what this console asked of the engine, as command lines."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical

from maos_ckpt.model import Checkpoint
from maos_ckpt_tui import journal_view as view
from maos_ckpt_tui.commands import EVENTS, bindings_for
from maos_ckpt_tui.journal_view import Entry
from maos_ckpt_tui.modals.choice import Choice, ChoiceModal
from maos_ckpt_tui.modals.command_log import CommandDetail
from maos_ckpt_tui.modals.event import EventModal, RunbookModal
from maos_ckpt_tui.screens.alerts import WithAlerts
from maos_ckpt_tui.sentences import sentence
from maos_ckpt_tui.widgets.command_list import CommandList
from maos_ckpt_tui.widgets.event_list import EventList, EventPane
from maos_ckpt_tui.widgets.filter_line import FilterLine
from maos_ckpt_tui.widgets.key_bar import KeyBar
from maos_ckpt_tui.widgets.lines import Line, paragraph
from maos_ckpt_tui.widgets.mode_bar import ModeBar
from maos_ckpt_tui.widgets.operation_bar import OperationBar
from maos_ckpt_tui.widgets.row_list import RowList
from maos_ckpt_tui.widgets.title_bar import TitleBar

#: Entries read at first; four times as many each time that one comes near the end, …
ENTRIES_FIRST = 200
_TIMES_MORE = 4
#: … up to so many: what is older is for `maos-ckpt events`.
ENTRIES_MAX = 50_000
_NEAR_THE_END = 20
#: Filters have no place in the command log, and events none among commands.
_OF_EVENTS = frozenset({"problems", "filter", "kind", "runbook", "open"})
_ALL = Choice("", "All", "every kind of event")


class EventsScreen(WithAlerts):
    """Reads while it is in sight, whenever the engine has news."""

    PLACE = EVENTS
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for(EVENTS)]
    AUTO_FOCUS = "#journal"

    def __init__(self) -> None:
        super().__init__()
        self._limit = ENTRIES_FIRST
        self._read_any = False
        self._entries: list[Entry] = []
        self._logged = -1

    def compose(self) -> ComposeResult:
        """One of the two lists, keys below."""
        yield TitleBar("Events")
        yield ModeBar(EVENTS)
        with Horizontal(id="events-side"):
            yield EventList()
            yield EventPane()
        with Vertical(id="commands-side"):
            yield CommandList([], self.console.now_ms())
            yield CommandDetail()
        yield FilterLine()
        yield OperationBar()
        yield KeyBar(EVENTS)

    def on_mount(self) -> None:
        """The journal is shown first."""
        self._switch(commands=False)

    @property
    def _list(self) -> EventList:
        return self.query_one(EventList)

    @property
    def commands_shown(self) -> bool:
        """Whether the command log is in sight, and not the journal."""
        return bool(self.query_one("#commands-side").display)

    def model_changed(self) -> None:
        """See `ConsoleScreen.model_changed`."""
        if self.console.model.problem is None and self.console.model.loaded:
            self._read()
        elif not self._read_any:
            self._show()
        self.refresh_bindings()

    def tick(self) -> None:
        """See `ConsoleScreen.tick`."""
        super().tick()
        if self.commands_shown and self._logged != self.console.command_log.version:
            self._show_commands()

    def _read(self) -> None:
        client, limit = self.console.client, self._limit
        self.ask(lambda: client.recent_events(limit), self._took, group="events", quiet=True, failed=lambda _: None)

    def _took(self, entries: list[Entry]) -> None:
        self._read_any, self._entries = True, entries
        self._show()

    def _show(self) -> None:
        whole = len(self._entries) < self._limit or self._limit >= ENTRIES_MAX
        self._list.show(self._entries, self.console.now_ms(), whole=whole, why=self._why_empty())
        self._show_selected()

    def _why_empty(self) -> list[Line]:
        width, problem = max(20, self.size.width - 4), self.console.model.problem
        if problem is not None:
            texts = (problem.message, problem.kept, problem.hint)
            return [line for text in texts if text for line in paragraph(text, width, indent="  ")]
        text = "Nothing has happened yet: the first save makes the first entry." if self._read_any else "Reading…"
        return paragraph(text, width, indent="  ")

    def _show_selected(self) -> None:
        self.query_one(EventPane).show(self._list.selected)
        self.refresh_bindings()

    def _show_commands(self) -> None:
        log = self.console.command_log
        self._logged = log.version
        commands = self.query_one(CommandList)
        commands.show(log.entries, self.console.now_ms())
        one = commands.selected
        self.query_one(CommandDetail).show(one.line if one else "", one.told if one else "")

    def on_row_list_moved(self, message: RowList.Moved) -> None:
        """Another entry; near the end older ones are read."""
        if isinstance(message.row_list, CommandList):
            self._show_commands()
            return
        self._show_selected()
        near = message.index >= self._list.row_count - _NEAR_THE_END
        if near and len(self._entries) >= self._limit and self._limit < ENTRIES_MAX:
            self._limit = min(self._limit * _TIMES_MORE, ENTRIES_MAX)
            self._read()

    def on_filter_line_typed(self, message: FilterLine.Typed) -> None:
        """Filter as one types."""
        self._list.narrow(needle=message.needle)
        self._show_selected()

    def on_filter_line_closed(self) -> None:
        """The list has the keys again."""
        self._list.focus()

    def offers(self, action: str) -> bool:
        """See `ConsoleScreen.offers`."""
        if self.commands_shown:
            return action not in _OF_EVENTS
        one = self._list.selected
        if action in ("open", "copy"):
            return one is not None
        return action != "runbook" or (one is not None and bool(view.runbook(*one)))

    def action_next_journal(self) -> None:
        """Events ↔ command log."""
        self._switch(commands=not self.commands_shown)

    def _switch(self, *, commands: bool) -> None:
        self.query_one("#commands-side").display = commands
        self.query_one("#events-side").display = not commands
        if commands:
            self.query_one(FilterLine).clear_filter()
            self._show_commands()
            self.query_one(CommandList).focus()
        else:
            self._list.focus()
        self.query_one(TitleBar).retitle("Events: command log" if commands else "Events")
        self.refresh_bindings()

    def action_problems(self) -> None:
        """Only what somebody should look at, or all."""
        if not self.commands_shown:
            self._list.narrow(problems=not self._list.problems)
            self._show_selected()

    def action_filter(self) -> None:
        """Open the filter."""
        if not self.commands_shown:
            self.query_one(FilterLine).open()

    def action_kind(self) -> None:
        """Ask which kind."""
        if self.commands_shown:
            return
        kinds = [Choice(kind, name, ", ".join(sorted(names))) for kind, (name, names) in view.KINDS.items()]
        modal = ChoiceModal("Which events?", [_ALL, *kinds])
        self.app.push_screen(modal, lambda kind: self._narrow(kind) if kind is not None else None)

    def _narrow(self, kind: str) -> None:
        self._list.narrow(kind=kind)
        self._show_selected()

    def action_open(self) -> None:
        """The entry in full; its checkpoint when that is asked for."""
        if not self.commands_shown and (one := self._list.selected) is not None:
            self.app.push_screen(EventModal(one), self._open)

    def _open(self, checkpoint: str | None) -> None:
        if checkpoint:
            client = self.console.client
            self.ask(lambda: client.checkpoint(checkpoint), self._opened, group="open")

    def _opened(self, checkpoint: Checkpoint) -> None:
        from maos_ckpt_tui.screens.detail import DetailScreen  # Loaded when first needed.

        self.app.push_screen(DetailScreen(checkpoint))

    def action_runbook(self) -> None:
        """What to do about a problem."""
        one = None if self.commands_shown else self._list.selected
        if one is None or not (todo := view.runbook(*one)):
            self.console.say("Nothing is to be done about this entry.")
            return
        tone, text = sentence(*one)
        self.app.push_screen(RunbookModal("What to do", (text, tone), todo))

    def action_copy(self) -> None:
        """The entry's sentence, or the command as a line for a shell."""
        if self.commands_shown:
            if (command := self.query_one(CommandList).selected) is not None:
                self.console.copy(command.line)
        elif (one := self._list.selected) is not None:
            self.console.copy(view.as_text(*one))

    def action_back(self) -> None:
        """Out of the command log, then of what is narrowed, then to the overview."""
        if self.commands_shown:
            self._switch(commands=False)
        elif self._list.narrowed:
            self.query_one(FilterLine).clear_filter()
            self._list.narrow(needle="", kind="", problems=False)
            self._show_selected()
        else:
            super().action_back()
