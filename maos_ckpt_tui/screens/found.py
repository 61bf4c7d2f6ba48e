"""Where a text was found: in which records, since when, and until when."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from maos_ckpt.model.insight import FindResult, Match
from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.commands import FOUND, bindings_for
from maos_ckpt_tui.explore.position import Position
from maos_ckpt_tui.explore.things import Thing
from maos_ckpt_tui.safe_text import safe_name
from maos_ckpt_tui.screens.exploring import ExploringScreen
from maos_ckpt_tui.widgets.key_bar import KeyBar
from maos_ckpt_tui.widgets.lines import Line, Span, rule
from maos_ckpt_tui.widgets.operation_bar import OperationBar
from maos_ckpt_tui.widgets.row_list import EDGES, Column, RowList, table_line
from maos_ckpt_tui.widgets.time_strip import TimeStrip
from maos_ckpt_tui.widgets.title_bar import TitleBar

_COLUMNS = (
    Column("WHERE", 12, 1, grow=True, wish=34),
    Column("FIELD", 8, 3, grow=True, wish=14),
    Column("SINCE", 11, 2),
    Column("UNTIL", 11, 1),
    Column("TEXT", 14, 1, grow=True, wish=40),
)
_TITLE_CELLS_MAX = 40


class MatchList(RowList):
    """Records with the place of the text."""

    def __init__(self, result: FindResult, now_ms: int) -> None:
        super().__init__(id="matches")
        self._result = result
        self._now_ms = now_ms

    @property
    def current(self) -> Match | None:
        """The match under the cursor."""
        return self._result.matches[self.cursor] if self._result.matches else None

    @property
    def row_count(self) -> int:
        """See `RowList.row_count`."""
        return len(self._result.matches)

    def heading(self, width: int) -> list[Line]:
        """See `RowList.heading`."""
        found = self._result
        note: list[Span] = [(f"{fmt.size(found.bytes)} in {fmt.plural(found.checkpoints, 'checkpoint')}", "dim")]
        if found.truncated:
            note = [("!! only the first of them, by key", "warn")]
        elif found.unread:
            note = [(f"!! {fmt.plural(len(found.unread), 'checkpoint')} not wholly read", "warn")]
        table = table_line(_COLUMNS, [(one.title, "head") for one in _COLUMNS], max(0, width - EDGES))
        return [rule(fmt.plural(len(found.matches), "record"), width, note), [("  ", "plain"), *table]]

    def placeholder(self, width: int) -> list[Line]:
        """See `RowList.placeholder`."""
        return [
            [("  No checkpoint holds this text. The live state since the newest one was not searched.", "plain")],
            [("  F finds another text.", "dim")],
        ]

    def row(self, index: int, width: int) -> Line:
        """See `RowList.row`."""
        one = self._result.matches[index]
        cells: list[Span] = [
            (f"{one.collection}/{one.key}", "plain"),
            (one.field, "dim"),
            (fmt.when(one.first_at_ms, self._now_ms), "plain"),
            (fmt.when(one.last_at_ms, self._now_ms) if one.gone else "still there", "warn" if one.gone else "ok"),
            (one.excerpt, "dim"),
        ]
        return table_line(_COLUMNS, cells, width)


class FoundScreen(ExploringScreen):
    """Open a match where it was last."""

    PLACE = FOUND
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for(FOUND)]
    AUTO_FOCUS = "#matches"

    def __init__(self, result: FindResult) -> None:
        super().__init__(Position())
        self._result = result

    def compose(self) -> ComposeResult:
        """Matches and keys."""
        yield TitleBar(f"Found {safe_name(self._result.text, _TITLE_CELLS_MAX)}")
        yield MatchList(self._result, self.console.now_ms())
        yield OperationBar()
        yield KeyBar(FOUND)

    def show_strip(self) -> None:
        """A search is of all times: it has no strip."""
        assert not self.query(TimeStrip)

    @property
    def thing(self) -> Thing | None:
        """See `ExploringScreen.thing`."""
        one = self.query_one(MatchList).current if self.is_mounted else None
        return Thing(one.component, one.collection, one.key) if one is not None else None

    def action_open(self) -> None:
        """The record; a line of a transcript in its conversation."""
        from maos_ckpt_tui.screens.conversation import ConversationScreen
        from maos_ckpt_tui.screens.record import RecordScreen  # Loaded when first needed.

        one, thing = self.query_one(MatchList).current, self._chosen()
        if one is None or thing is None:
            return
        position = Position(one.last)
        if thing.collection == "transcripts" and thing.transcript:
            line = thing.key.rpartition("/")[2]
            number = int(line) if line.isascii() and line.isdigit() else 0
            self.app.push_screen(ConversationScreen(position, thing, number))
        else:
            self.app.push_screen(RecordScreen(position, thing))
