"""A list that draws only the rows in sight, for any number of rows, and repaints only those that changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from maos_ckpt_tui.safe_text import pad, safe_text
from maos_ckpt_tui.widgets.lines import TONE_CLASSES, Line, Span, draw

#: The cursor's place at the left of a row, and a blank at its right.
EDGES = 3


@dataclass(frozen=True, slots=True)
class Column:
    """One column: `rank` 1 is kept longest where the screen is narrow; `grow` takes what room is left.

    A growing column is to have `wish` cells before columns of higher rank come in at all.
    """

    title: str
    width: int
    rank: int = 1
    right: bool = False
    grow: bool = False
    wish: int = 0


@lru_cache(maxsize=64)
def choose_columns(columns: tuple[Column, ...], width: int) -> tuple[tuple[int, int], ...]:
    """(index, cells) of the columns that fit into `width`, two blanks apart, those of lowest rank first.

    What room is left goes to the growing ones: first to their wishes, the rest to the last of them.
    """
    chosen: list[int] = []
    room, reserved = width + 2, 0
    for index in sorted(range(len(columns)), key=lambda one: (columns[one].rank, one)):
        if columns[index].width + 2 + reserved > room:
            break
        room -= columns[index].width + 2
        reserved += max(0, columns[index].wish - columns[index].width)
        chosen.append(index)
    widths = {index: columns[index].width for index in chosen}
    growing = [index for index in chosen if columns[index].grow]
    for index in growing:
        extra = min(room, max(0, columns[index].wish - columns[index].width))
        widths[index] += extra
        room -= extra
    if growing:
        widths[growing[-1]] += room
    return tuple((index, widths[index]) for index in sorted(chosen))


def table_line(columns: tuple[Column, ...], cells: Sequence[Span], width: int) -> Line:
    """One row of cells laid out in the columns that fit."""
    line: Line = []
    for index, cell_width in choose_columns(columns, width):
        text, tone = cells[index]
        line.append((pad(safe_text(text, cell_width), cell_width, right=columns[index].right), tone))
        line.append(("  ", "plain"))
    return line[:-1]


class RowList(ScrollView, can_focus=True):
    """Base of all lists. Subclasses give `row_count` and `row`, and a `heading` where they want a fixed first line."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {*TONE_CLASSES, "row-cursor", "row-cursor-blurred"}

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "cursor(-1)", "Up", show=False, id="list.up"),
        Binding("down,j", "cursor(1)", "Down", show=False, id="list.down"),
        Binding("pageup,ctrl+u", "page(-1)", "Page up", show=False, id="list.page_up"),
        Binding("pagedown,ctrl+d", "page(1)", "Page down", show=False, id="list.page_down"),
        Binding("home,g", "edge(0)", "First", show=False, id="list.first"),
        Binding("end,G", "edge(1)", "Last", show=False, id="list.last"),
    ]

    #: False for plain text: the keys scroll, and no row is marked.
    POINTED: ClassVar[bool] = True

    class Moved(Message):
        """The cursor stands on another row."""

        def __init__(self, row_list: RowList, index: int) -> None:
            super().__init__()
            self.row_list = row_list
            self.index = index

        def can_replace(self, message: Message) -> bool:
            """A held-down cursor key needs only its last position."""
            return isinstance(message, RowList.Moved) and message.row_list is self.row_list

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.cursor = 0

    @property
    def row_count(self) -> int:
        """Rows there are."""
        return 0

    def row(self, index: int, width: int) -> Line:
        """One row, `EDGES` cells narrower than the list."""
        return []

    def heading(self, width: int) -> list[Line]:
        """Lines that stay on top."""
        return []

    def placeholder(self, width: int) -> list[Line]:
        """What stands in place of rows: why there are none, and what to do."""
        return []

    def on_resize(self, event: events.Resize) -> None:
        """The heading may be of another height now."""
        self.rows_changed()

    def rows_changed(self) -> None:
        """The rows are others now: clamp the cursor and draw again."""
        self.cursor = max(0, min(self.cursor, self.row_count - 1))
        height = self.row_count + len(self.heading(self._width))
        self.virtual_size = Size(self._width, height)
        self._follow_cursor()
        self.refresh()

    def move_to(self, index: int) -> None:
        """Put the cursor on a row (clamped); says so with `Moved` where it was elsewhere."""
        index = max(0, min(index, self.row_count - 1))
        if index == self.cursor or self.row_count == 0:
            return
        old, self.cursor = self.cursor, index
        if not self._follow_cursor():
            for changed in (old, index):
                self._refresh_row(changed)
        self.post_message(self.Moved(self, index))

    def action_cursor(self, step: int) -> None:
        """One row up or down."""
        self._go(step)

    def action_page(self, step: int) -> None:
        """One page up or down."""
        self._go(step * max(1, self._page - 1))

    def action_edge(self, last: int) -> None:
        """First or last row."""
        self._go(self.row_count if last else -self.row_count)

    def _go(self, rows: int) -> None:
        if self.POINTED:
            self.move_to(self.cursor + rows)
        else:
            self.scroll_to(y=self.scroll_offset.y + rows, animate=False, immediate=True)

    @property
    def _width(self) -> int:
        return self.scrollable_content_region.width

    @property
    def _page(self) -> int:
        return max(1, self.scrollable_content_region.height - len(self.heading(self._width)))

    def _follow_cursor(self) -> bool:
        if not self.POINTED:
            return False
        top = self.scroll_offset.y
        wanted = min(max(top, self.cursor - self._page + 1), self.cursor)
        if wanted == top:
            return False
        self.scroll_to(y=wanted, animate=False, immediate=True)
        return True

    def _refresh_row(self, index: int) -> None:
        y = index - self.scroll_offset.y + len(self.heading(self._width))
        self.refresh(Region(0, y, self._width, 1))

    def on_focus(self) -> None:
        """The cursor looks different."""
        self._refresh_row(self.cursor)

    def on_blur(self) -> None:
        """The cursor looks different."""
        self._refresh_row(self.cursor)

    def on_click(self, event: events.Click) -> None:
        """Where the mouse is on: select the row; a click on the selected one does what enter does."""
        index = event.y + self.scroll_offset.y - len(self.heading(self._width))
        if index == self.cursor and self.POINTED and event.chain > 1:
            self.app.simulate_key("enter")
        self.move_to(index)

    def _cursor_style(self) -> Style:
        name = "row-cursor" if self.has_focus else "row-cursor-blurred"
        return self.get_component_rich_style(name, partial=True)

    def render_line(self, y: int) -> Strip:
        """One line in sight."""
        width = self._width
        heading = self.heading(width)
        if y < len(heading):
            return draw(self, heading[y], width)
        y -= len(heading)
        if self.row_count == 0:
            lines = self.placeholder(width)
            return draw(self, lines[y] if y < len(lines) else [], width)
        index = y + self.scroll_offset.y
        if index >= self.row_count:
            return Strip.blank(width, self.rich_style)
        row = self.row(index, max(0, width - EDGES))
        if index != self.cursor or not self.POINTED:
            return draw(self, [("  ", "plain"), *row], width)
        # In the terminal's own colours the cursor is reverse video, in which tones would be unreadable patches.
        return draw(self, [("▌ ", "accent"), *row], width, self._cursor_style(), flat=self.app.native_ansi_color)
