"""The command log as a list: when, what came of it, and the line."""

from __future__ import annotations

from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.command_log import DONE, FAILED, LoggedCommand
from maos_ckpt_tui.widgets.lines import Line, Span
from maos_ckpt_tui.widgets.row_list import Column, RowList, table_line

COLUMNS = (
    Column("when", 14, rank=3),
    Column("", 2, rank=1),
    Column("took", 8, rank=4, right=True),
    Column("command", 20, rank=2, grow=True),
)


def sign_of(one: LoggedCommand) -> Span:
    """What came of it."""
    return ("OK", "ok") if one.outcome == DONE else ("XX", "bad") if one.outcome == FAILED else ("..", "accent")


class CommandList(RowList):
    """Newest first; the cursor stays on its command while others come."""

    def __init__(self, entries: list[LoggedCommand], now_ms: int) -> None:
        super().__init__(id="commands")
        self.entries, self._now_ms = entries, now_ms

    @property
    def selected(self) -> LoggedCommand | None:
        """The one under the cursor."""
        return self.entries[self.cursor] if self.entries else None

    def show(self, entries: list[LoggedCommand], now_ms: int) -> None:
        """The entries are others now."""
        number = self.selected.number if self.selected is not None and self.cursor else 0
        self.entries, self._now_ms = entries, now_ms
        self.cursor = next((at for at, one in enumerate(entries) if one.number == number), 0)
        self.rows_changed()

    @property
    def row_count(self) -> int:
        """See `RowList.row_count`."""
        return len(self.entries)

    def placeholder(self, width: int) -> list[Line]:
        """See `RowList.placeholder`."""
        return [
            [("  Nothing was asked yet.", "plain")],
            [("  What you do here will stand here as command lines.", "dim")],
        ]

    def row(self, index: int, width: int) -> Line:
        """See `RowList.row`."""
        one = self.entries[index]
        took = fmt.duration(one.seconds) if one.outcome != "running" else ""
        cells = [(fmt.when(one.at_ms, self._now_ms), "dim"), sign_of(one), (took, "dim"), (one.line, "plain")]
        return table_line(COLUMNS, cells, width)
