"""An agent's conversation, or a transcript's: turn by turn, tool calls folded, as it was at one place in time."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from maos_ckpt.errors import CkptError
from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.commands import CONVERSATION, bindings_for
from maos_ckpt_tui.explore.conversation import TURNS_MAX, USER, Budget, Turn
from maos_ckpt_tui.explore.position import Position
from maos_ckpt_tui.explore.talk import Page, Talk, find_talk, read_page
from maos_ckpt_tui.explore.things import Thing
from maos_ckpt_tui.safe_text import safe_name, safe_text
from maos_ckpt_tui.screens.exploring import ExploringScreen, failure
from maos_ckpt_tui.widgets.conversation_view import ConversationView
from maos_ckpt_tui.widgets.filter_line import FilterLine
from maos_ckpt_tui.widgets.key_bar import KeyBar
from maos_ckpt_tui.widgets.lines import Line
from maos_ckpt_tui.widgets.operation_bar import OperationBar
from maos_ckpt_tui.widgets.talk_facts import TalkFacts
from maos_ckpt_tui.widgets.time_strip import TimeStrip
from maos_ckpt_tui.widgets.title_bar import TitleBar

_WHY_NOT = {
    "absent": "This agent is not in this state: it had not been registered, or had been removed.",
    "nothing": "This state holds no transcript of it: Claude Code writes one once the agent has begun to work.",
    "session": "This state holds no transcript of it, and MAOS's own session has no turns: it keeps them seldom.",
    "": "The transcript is empty, or was not there yet.",
}
_TITLE_CELLS_MAX = 40


class ConversationScreen(ExploringScreen):
    """Pages are read in the background; the last turn stays in sight until the operator moves."""

    PLACE = CONVERSATION
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for(CONVERSATION)]
    AUTO_FOCUS = "#conversation"

    def __init__(self, position: Position, thing: Thing, line: int | None = None) -> None:
        super().__init__(position)
        self._thing = thing
        self._wanted_line = line
        self._follow = line is None
        self._all: list[Turn] = []
        self._budget = Budget()
        self._talk: Talk | None = None
        self._reading = True
        self._problems = False
        self._needle = ""
        self._known_line: int | None = None

    def compose(self) -> ComposeResult:
        """Time, agent, turns, keys."""
        yield TitleBar(f"Conversation {safe_name(self._thing.words, _TITLE_CELLS_MAX)}")
        yield TimeStrip()
        yield TalkFacts()
        yield ConversationView()
        yield FilterLine("search: enter goes to the next · n and N on and back · esc clears it")
        yield OperationBar()
        yield KeyBar(CONVERSATION)

    def on_mount(self) -> None:
        """Read at once."""
        self.reload()

    @property
    def conversation(self) -> ConversationView:
        """The turns."""
        return self.query_one(ConversationView)

    @property
    def thing(self) -> Thing | None:
        """See `ExploringScreen.thing`."""
        return self._thing

    def reload(self) -> None:
        """Read it from the beginning, as it is at this place."""
        client, place, thing = self.console.client, self.position.id, self._thing
        current = self.conversation.current
        self.shown_at = place
        # What was not read to its end tells nothing about what is new elsewhere.
        self._known_line = self._all[-1].line if self._all and not self._reading else None
        if current is not None and not self._follow:
            self._wanted_line = current.line
        self._all, self._budget, self._talk, self._reading = [], Budget(), None, True
        budget = self._budget
        self.abandon("page")
        self.query_one(TalkFacts).show(None, thing.words)
        self.conversation.show([], [], [[("  Reading the conversation… Nothing is written.", "dim")]])
        self.ask(lambda: find_talk(client, place, thing, budget), self._talks, group="talk", failed=self._failed)

    def _talks(self, talk: Talk) -> None:
        self._talk = talk
        self.query_one(TalkFacts).show(talk, self._thing.words)
        if talk.file:
            self._ask_page("")
        else:
            self._all, self._reading = list(talk.turns), False
            self._show_turns(self._shown(), first=True)

    def _why_not(self) -> list[Line]:
        if self._problems and self._all:
            return [[("  OK no tool failed here, and every line can be read; ! shows all turns.", "plain")]]
        source = self._talk.source if self._talk is not None else ""
        return [[(f"  {_WHY_NOT[source]}", "plain")], [("  ← and → go to other checkpoints.", "dim")]]

    def _ask_page(self, after: str) -> None:
        client, place, budget, file = self.console.client, self.position.id, self._budget, self._talk_file
        first = not after
        self.ask(
            lambda: read_page(client, place, file, after, budget),
            lambda page: self._read(page, first),
            group="page",
            failed=self._failed,
        )

    @property
    def _talk_file(self) -> str:
        return self._talk.file if self._talk is not None else ""

    def _read(self, page: Page, first: bool) -> None:
        self._all += page.turns
        self._reading = bool(page.next) and len(self._all) < TURNS_MAX
        more = [one for one in page.turns if one.error] if self._problems else page.turns
        self._show_turns(more, first=first)
        if self._reading:
            self._ask_page(page.next)
        elif page.next:
            self.console.say(
                f"Only the first {fmt.count(len(self._all))} turns are shown; e writes all to a file.", "warn"
            )

    def _show_turns(self, more: list[Turn], *, first: bool) -> None:
        view = self.conversation
        if first:
            view.show(list(more), self._note(), self._why_not(), since=self._known_line)
        else:
            view.turns += more
        view.told(self._note(), follow=self._follow)
        wanted = self._wanted_line
        if wanted is not None and self._all and (self._all[-1].line >= wanted or not self._reading):
            self._wanted_line = None
            view.go(next((at for at, one in enumerate(view.turns) if one.line >= wanted), len(view.turns) - 1))
        self.refresh_bindings()

    def _note(self) -> Line:
        if self._reading:
            return [(f".. reading on, {fmt.count(len(self._all))} so far", "accent")]
        errors = sum(1 for one in self._all if one.error)
        words = "XX only what went wrong" if self._problems else f"XX {fmt.plural(errors, 'error')}, ! shows them"
        new = self._known_line is not None and self._all and self._all[-1].line - self._known_line
        note: Line = [(words, "bad")] if errors or self._problems else []
        if new:
            note = [(f"{'+' if new > 0 else '-'} {fmt.plural(abs(new), 'line')}  ", "ok" if new > 0 else "bad"), *note]
        return note

    def _failed(self, error: CkptError) -> None:
        self._reading = False
        self.conversation.show(self.conversation.turns, [("XX not read to its end", "bad")], failure(error))
        if self._all:
            self.console.show_error(error)

    def _shown(self) -> list[Turn]:
        return [one for one in self._all if one.error] if self._problems else self._all

    def on_conversation_view_touched(self) -> None:
        """The operator has moved: what is read on no longer moves the page."""
        self._follow = False

    # --- keys -------------------------------------------------------------------------------------------------

    def action_unfold(self) -> None:
        """Fold or unfold the turn."""
        self._follow = False
        self.conversation.toggle()

    def action_fold_all(self) -> None:
        """Fold what can be folded, or unfold it all."""
        folded = self.conversation.fold_all()
        self.console.say("Tool calls and thoughts are folded." if folded else "Everything is unfolded.")

    def action_next_turn(self) -> None:
        """To the user's next turn."""
        self._to_turn(1)

    def action_previous_turn(self) -> None:
        """To the user's turn before."""
        self._to_turn(-1)

    def action_next_match(self) -> None:
        """To the next match."""
        self._to_match(1)

    def action_previous_match(self) -> None:
        """To the match before."""
        self._to_match(-1)

    def _to_turn(self, step: int) -> None:
        if not self._jump(step, lambda one: one.kind == USER):
            self.console.say("The user said nothing more." if step > 0 else "The user said nothing before.")

    def _to_match(self, step: int) -> None:
        needle = self._needle
        if not needle:
            self.console.say("There is no search yet: / begins one.")
        elif not self._jump(step, lambda one: needle in one.text.casefold() or needle in one.name.casefold()):
            self.console.say(f"No {'further' if step > 0 else 'earlier'} match of {safe_text(needle, 40)}.", "warn")

    def _jump(self, step: int, wanted: Callable[[Turn], bool]) -> bool:
        view = self.conversation
        at = view.cursor + step
        while 0 <= at < len(view.turns):
            if wanted(view.turns[at]):
                self._follow = False
                view.go(at)
                return True
            at += step
        return False

    def action_problems(self) -> None:
        """Only what went wrong, or all."""
        view = self.conversation
        line = view.current.line if view.current is not None else 0
        self._problems, self._follow = not self._problems, False
        shown = list(self._shown())
        view.show(shown, self._note(), self._why_not(), since=self._known_line)
        view.go(next((at for at, one in enumerate(shown) if one.line >= line), len(shown) - 1))

    def action_search(self) -> None:
        """Open the search."""
        self.query_one(FilterLine).open()

    def on_filter_line_typed(self, message: FilterLine.Typed) -> None:
        """What is searched."""
        self._needle = message.needle.strip().casefold()

    def on_filter_line_closed(self) -> None:
        """Go to the first match from here on; the turns have the keys again."""
        self.conversation.focus()
        view, needle = self.conversation, self._needle
        current = view.current
        if needle and not (current is not None and needle in current.text.casefold()):
            self._to_match(1)

    def action_record(self) -> None:
        """The line as it is stored, or the agent's own record where there is no transcript."""
        from maos_ckpt_tui.screens.record import RecordScreen  # Loaded when first needed.

        turn, thing = self.conversation.current, self._thing
        if turn is not None and self._talk_file:
            thing = Thing("memory", "transcripts", f"{self._talk_file}/{turn.line}")
        self.app.push_screen(RecordScreen(self.position, thing))

    def action_export(self) -> None:
        """The transcript as it was; the agent's record where there is none."""
        file = self._talk_file
        self.ask_where(Thing("memory", "transcript_files", file) if file else self._thing)

    def action_back(self) -> None:
        """End the search where there is one, else go back."""
        if not self.query_one(FilterLine).clear_filter():
            super().action_back()
