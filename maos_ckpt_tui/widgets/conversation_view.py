"""A conversation that wraps only the turns in sight: any number of them scrolls alike."""

from __future__ import annotations

from collections import OrderedDict
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.explore.conversation import AGENT, DAMAGED, FOLDED, NOTE, RESULT, THINKING, TOOL, USER, Turn
from maos_ckpt_tui.safe_text import safe_text, wrap
from maos_ckpt_tui.widgets.lines import TONE_CLASSES, Line, draw, fit, rule

_LABELS = {
    USER: ("USER", "key"),
    AGENT: ("AGENT", "head"),
    TOOL: ("tool", "accent"),
    RESULT: ("result", "dim"),
    THINKING: ("thinking", "dim"),
    NOTE: ("note", "dim"),
    DAMAGED: ("!! unreadable", "warn"),
}
#: Wrapped turns that are remembered.
_WRAPPED_MAX = 200
_EDGES = 3
_INDENT = "    "
_CODE_INDENT_MAX = 24


class ConversationView(Widget, can_focus=True):
    """Turns with a cursor; `top` is the turn and the line of it that stands in the first row."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {*TONE_CLASSES, "row-cursor", "row-cursor-blurred"}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "cursor(-1)", "Up", show=False, id="list.up"),
        Binding("down,j", "cursor(1)", "Down", show=False, id="list.down"),
        Binding("pageup,ctrl+u", "page(-1)", "Page up", show=False, id="list.page_up"),
        Binding("pagedown,ctrl+d", "page(1)", "Page down", show=False, id="list.page_down"),
        Binding("home,g", "edge(0)", "First", show=False, id="list.first"),
        Binding("end,G", "edge(1)", "Last", show=False, id="list.last"),
    ]

    class Touched(Message):
        """The operator moved: the view no longer follows what is still being read."""

    def __init__(self) -> None:
        super().__init__(id="conversation")
        self.turns: list[Turn] = []
        self.cursor = 0
        self._top = (0, 0)
        self._unfolded: set[int] = set()
        self._folding = True
        self._since: int | None = None
        self._note: Line = []
        self._placeholder: list[Line] = []
        self._wrapped: OrderedDict[tuple[int, int, bool], list[Line]] = OrderedDict()
        self._page: list[tuple[int, Line]] | None = None

    # --- what is shown ----------------------------------------------------------------------------------------

    @property
    def current(self) -> Turn | None:
        """The turn under the cursor."""
        return self.turns[self.cursor] if self.turns else None

    def show(self, turns: list[Turn], note: Line, placeholder: list[Line], *, since: int | None = None) -> None:
        """Other turns from the first one on; those behind line `since` are marked as new."""
        self.turns, self._placeholder, self._since = turns, placeholder, since
        self._unfolded.clear()
        self._wrapped.clear()
        self.cursor, self._top = 0, (0, 0)
        self.told(note)

    def told(self, note: Line, *, follow: bool = False) -> None:
        """More turns have been read, or there is another note; `follow` goes to the last of them."""
        self._note = note
        if follow:
            self.go(len(self.turns) - 1, at_end=True)
        self.redraw()

    def redraw(self) -> None:
        """Lay the page out again."""
        self._page = None
        self.refresh()

    def go(self, turn: int, *, at_end: bool = False) -> None:
        """Put the cursor on a turn and show it from its beginning; `at_end` fills the page with what is before it."""
        if not self.turns:
            return
        self.cursor = max(0, min(turn, len(self.turns) - 1))
        self._top = (self.cursor, 0)
        if at_end:
            self._top = (self.cursor, len(self._lines(self.cursor)))
            self._scroll(-self._rows)
        self.redraw()

    def toggle(self) -> None:
        """Fold or unfold the turn under the cursor."""
        self._unfolded ^= {self.cursor}
        self._page = None
        self._show_cursor()

    def fold_all(self) -> bool:
        """Fold what can be folded, or unfold it all; returns whether it is folded now."""
        self._folding, at = not self._folding, self.cursor
        self._unfolded.clear()
        self.go(at, at_end=at == len(self.turns) - 1)
        return self._folding

    # --- layout -----------------------------------------------------------------------------------------------

    @property
    def _rows(self) -> int:
        return max(1, self.content_size.height - 1)

    def folded(self, index: int) -> bool:
        """Whether a turn is shown as one line."""
        folds = self.turns[index].kind in FOLDED and self._folding
        return folds != (index in self._unfolded)

    def _lines(self, index: int) -> list[Line]:
        width, folded = max(8, self.content_size.width - _EDGES), self.folded(index)
        key = (index, width, folded)
        found = self._wrapped.get(key)
        if found is None:
            found = self._wrapped[key] = self._build(self.turns[index], width, folded)
            if len(self._wrapped) > _WRAPPED_MAX:
                self._wrapped.popitem(last=False)
        return found

    def _build(self, turn: Turn, width: int, folded: bool) -> list[Line]:
        label, tone = _LABELS[turn.kind]
        if turn.error and turn.kind != DAMAGED:
            label, tone = f"XX {label} failed", "bad"
        new = self._since is not None and turn.line > self._since
        head: Line = [("+ " if new else "  ", "ok"), ("▸ " if folded else "", "faint"), (label, tone)]
        if turn.name:
            head.append((f" {safe_text(turn.name, 40)}", "strong"))
        if folded:
            size = f"  {len(turn.text) + turn.cut:,} characters" if len(turn.text) > width else ""
            words = " ".join(turn.text[: width * 4].split())
            return [fit([*head, ("  ", "plain"), (words, "bad" if turn.error else "dim"), (size, "faint")], width)]
        when = f"  {safe_text(turn.at[:19].replace('T', ' '), 19)}" if turn.at else ""
        lines: list[Line] = [[*head, (when, "dim")]]
        tone = "bad" if turn.error else "plain" if turn.kind in (USER, AGENT) else "dim"
        for part in turn.text.replace("\t", "    ").splitlines() or [""]:
            # Code keeps its indents, which wrapping would drop.
            indent = _INDENT + " " * min(_CODE_INDENT_MAX, len(part) - len(part.lstrip(" ")))
            lines += [[(indent + piece, tone)] for piece in wrap(part.lstrip(" "), max(8, width - len(indent)))]
        if turn.cut:
            lines.append([(f"{_INDENT}… {turn.cut:,} more characters: o opens the record", "warn")])
        return [*lines, []]

    def _layout(self) -> list[tuple[int, Line]]:
        if self._page is None:
            self._page = []
            index, skip = self._top
            while index < len(self.turns) and len(self._page) < self._rows:
                self._page += [(index, line) for line in self._lines(index)[skip:]]
                index, skip = index + 1, 0
            del self._page[self._rows :]
        return self._page

    def _scroll(self, rows: int) -> None:
        """Move the top by lines, no further than there are turns."""
        index, line = self._top
        line += rows
        while line < 0 and index > 0:
            index -= 1
            line += len(self._lines(index))
        while index < len(self.turns) - 1 and line >= len(self._lines(index)):
            line -= len(self._lines(index))
            index += 1
        last = len(self._lines(index)) - 1 if self.turns else 0
        self._top = (index, max(0, min(line, last)))
        self._page = None

    def _show_cursor(self) -> None:
        """Scroll as little as shows the whole turn under the cursor, or the beginning of one longer than a page."""
        height = len(self._lines(self.cursor))
        shown = sum(1 for turn, _ in self._layout() if turn == self.cursor)
        if self._top > (self.cursor, 0):
            self._top = (self.cursor, 0)
        elif shown < min(height, self._rows):
            self._top = (self.cursor, height)
            self._scroll(-self._rows)
            self._top = min(self._top, (self.cursor, 0))
        self.redraw()

    # --- keys -------------------------------------------------------------------------------------------------

    def action_cursor(self, step: int) -> None:
        """The next turn; within a turn that is longer than the page, the next line."""
        self.post_message(self.Touched())
        page = self._layout()
        if not page:
            return
        inside = [at for at, (turn, _) in enumerate(page) if turn == self.cursor]
        if not inside:
            self.cursor = page[0][0]  # The wheel has left the cursor behind.
        elif step > 0 and inside[-1] == len(page) - 1 and self._goes_on(page):
            self._scroll(1)
        elif step < 0 and self._top[0] == self.cursor and self._top[1] > 0:
            self._scroll(-1)
        elif 0 <= self.cursor + step < len(self.turns):
            self.cursor += step
            if step < 0 and self._top[0] > self.cursor:
                # Its last line comes in first: one reads on where one came from.
                self._top = (self.cursor, max(0, len(self._lines(self.cursor)) - self._rows))
            elif step > 0:
                self._show_cursor()
        self.redraw()

    def _goes_on(self, page: list[tuple[int, Line]]) -> bool:
        shown = sum(1 for turn, _ in page if turn == self.cursor)
        before = self._top[1] if self._top[0] == self.cursor else 0
        return before + shown < len(self._lines(self.cursor))

    def action_page(self, step: int) -> None:
        """One page; the cursor goes along."""
        self.post_message(self.Touched())
        if not self.turns:
            return
        self._scroll(step * max(1, self._rows - 1))
        page = self._layout()
        self.cursor = page[0][0] if step < 0 or not page else page[-1][0]
        if step > 0 and page and self._top[0] != self.cursor and self._goes_on(page):
            self.cursor = max(self._top[0], self.cursor - 1)
        self.redraw()

    def action_edge(self, last: int) -> None:
        """First or last turn."""
        self.post_message(self.Touched())
        self.go(len(self.turns) - 1 if last else 0, at_end=bool(last))

    def on_click(self, event: events.Click) -> None:
        """Where the mouse is on: the turn under it."""
        page = self._layout()
        if 0 < event.y <= len(page):
            self.post_message(self.Touched())
            self.cursor = page[event.y - 1][0]
            self.redraw()

    def on_mouse_scroll_down(self) -> None:
        """Three lines on."""
        self._wheel(3)

    def on_mouse_scroll_up(self) -> None:
        """Three lines back."""
        self._wheel(-3)

    def _wheel(self, rows: int) -> None:
        self.post_message(self.Touched())
        self._scroll(rows)
        self.redraw()

    def on_resize(self) -> None:
        """Everything wraps anew; what was at the end stays there."""
        self._wrapped.clear()
        if self.turns and self.cursor == len(self.turns) - 1:
            self.go(self.cursor, at_end=True)
        self.redraw()

    def on_focus(self) -> None:
        """The cursor looks different."""
        self.refresh()

    def on_blur(self) -> None:
        """The cursor looks different."""
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """One line in sight."""
        width = self.content_size.width
        if y == 0:
            place = f"Turn {fmt.count(self.cursor + 1)} of {fmt.count(len(self.turns))}" if self.turns else "Turns"
            return draw(self, rule(place, width, self._note), width)
        if not self.turns:
            return draw(self, self._placeholder[y - 1] if y <= len(self._placeholder) else [], width)
        page = self._layout()
        if y > len(page):
            return draw(self, [], width)
        turn, line = page[y - 1]
        if turn != self.cursor:
            return draw(self, [("  ", "plain"), *line], width)
        if y > 1 and page[y - 2][0] == turn:
            return draw(self, [("▌ ", "accent"), *line], width)
        style = self.get_component_rich_style("row-cursor" if self.has_focus else "row-cursor-blurred", partial=True)
        return draw(self, [("▌ ", "accent"), *line], width, style, flat=self.app.native_ansi_color)
