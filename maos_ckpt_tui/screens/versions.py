"""A record's versions over the checkpoints: when it changed, and what."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from maos_ckpt.model import ChangeKind, RecordChange
from maos_ckpt.model.contents import History, Version
from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.changes import SIGNS
from maos_ckpt_tui.commands import VERSIONS, bindings_for
from maos_ckpt_tui.explore.compare import compare
from maos_ckpt_tui.explore.position import Position
from maos_ckpt_tui.explore.things import Thing
from maos_ckpt_tui.safe_text import safe_name
from maos_ckpt_tui.screens.base import ConsoleScreen
from maos_ckpt_tui.viewmodel import short
from maos_ckpt_tui.widgets.change_list import glance
from maos_ckpt_tui.widgets.key_bar import KeyBar
from maos_ckpt_tui.widgets.lines import Line, Span, rule
from maos_ckpt_tui.widgets.operation_bar import OperationBar
from maos_ckpt_tui.widgets.row_list import EDGES, Column, RowList, table_line
from maos_ckpt_tui.widgets.title_bar import TitleBar

_COLUMNS = (
    Column("", 1, 1),
    Column("TIME UTC", 19, 1),
    Column("AGE", 5, 2, right=True),
    Column("ID", 6, 1),
    Column("WHAT", 10, 1),
    Column("FIELDS", 10, 1, grow=True),
)
_TITLE_CELLS_MAX = 40
#: The newest versions, whose checkpoints stay while they are looked at.
_HELD_MAX = 100
#: Fields that are told with their values, and how much of each.
_VALUES_MAX, _VALUE_CHARACTERS = 3, 60


def _words(change: RecordChange) -> str:
    """What changed in a line: the values, where there are few."""
    if change.kind is not ChangeKind.MODIFIED or len(change.fields) > _VALUES_MAX:
        return glance(change)
    cut = _VALUE_CHARACTERS
    return ", ".join(f"{one.path} {(one.before or '')[:cut]} → {(one.after or '')[:cut]}" for one in change.fields)


class VersionList(RowList):
    """Newest first."""

    def __init__(self, found: History, now_ms: int) -> None:
        super().__init__(id="versions")
        self.versions = found.versions[::-1]
        self._found = found
        self._now_ms = now_ms
        self.marked: Version | None = None

    @property
    def current(self) -> Version | None:
        """The version under the cursor."""
        return self.versions[self.cursor] if self.versions else None

    @property
    def row_count(self) -> int:
        """See `RowList.row_count`."""
        return len(self.versions)

    def heading(self, width: int) -> list[Line]:
        """See `RowList.heading`."""
        note: list[Span] = []
        if self._found.unread:
            note = [(f"!! unreadable in {fmt.plural(len(self._found.unread), 'checkpoint')}", "warn")]
        elif self._found.omitted:
            note = [(f"{fmt.plural(self._found.omitted, 'older version')} not listed", "dim")]
        table = table_line(_COLUMNS, [(one.title, "head") for one in _COLUMNS], max(0, width - EDGES))
        return [rule(fmt.plural(len(self.versions), "version"), width, note), [("  ", "plain"), *table]]

    def placeholder(self, width: int) -> list[Line]:
        """See `RowList.placeholder`."""
        return [[("  No checkpoint holds this record yet; esc goes back.", "plain")]]

    def row(self, index: int, width: int) -> Line:
        """See `RowList.row`."""
        one = self.versions[index]
        sign, tone = SIGNS[one.kind]
        change = RecordChange(one.component, one.collection, one.key, one.kind, one.fields)
        cells: list[Span] = [
            ("*" if one is self.marked else "", "key"),
            (fmt.utc(one.created_at_ms)[:19], "plain"),
            (fmt.span((self._now_ms - one.created_at_ms) / 1000), "dim"),
            (short(one.checkpoint), "key"),
            (f"{sign} {one.kind.value}", tone),
            (_words(change), "dim"),
        ]
        return table_line(_COLUMNS, cells, width)


class VersionsScreen(ConsoleScreen):
    """Open one, or compare two."""

    PLACE = VERSIONS
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for(VERSIONS)]
    AUTO_FOCUS = "#versions"

    def __init__(self, found: History) -> None:
        super().__init__()
        self._history = found

    @property
    def held(self) -> frozenset[str]:
        """See `ConsoleScreen.held`."""
        return frozenset(one.checkpoint for one in self._history.versions[-_HELD_MAX:])

    def compose(self) -> ComposeResult:
        """Versions and keys."""
        key = self._history.versions[-1].key if self._history.versions else ""
        yield TitleBar(f"Versions of {safe_name(key, _TITLE_CELLS_MAX)}")
        yield VersionList(self._history, self.console.now_ms())
        yield OperationBar()
        yield KeyBar(VERSIONS)

    @property
    def list(self) -> VersionList:
        """The versions."""
        return self.query_one(VersionList)

    def _thing(self, one: Version) -> Thing:
        return Thing(one.component, one.collection, one.key)

    def action_open(self) -> None:
        """The record as it was then; one that was removed, as it was last."""
        from maos_ckpt_tui.screens.record import RecordScreen  # Loaded when first needed.

        if (one := self.list.current) is not None:
            self.app.push_screen(RecordScreen(Position(one.checkpoint), self._thing(one)))

    def action_mark(self) -> None:
        """Mark, or take the mark back."""
        view = self.list
        view.marked = None if view.marked is view.current else view.current
        view.refresh()

    def action_diff(self) -> None:
        """With the marked version, else with the one before."""
        view = self.list
        one = view.current
        if one is None:
            return
        other = view.marked
        if other is None or other is one:
            if view.cursor + 1 >= len(view.versions):
                self.console.say("There is no version before this one: space marks another one.", "warn")
                return
            other = view.versions[view.cursor + 1]
        before, after = sorted((other, one), key=lambda version: version.created_at_ms)
        client, thing = self.console.client, self._thing(one)
        words = (
            f"{short(before.checkpoint)} of {fmt.utc(before.created_at_ms)} → "
            f"{short(after.checkpoint)} of {fmt.utc(after.created_at_ms)}"
        )
        self.ask(
            lambda: compare(client, thing, before.checkpoint, after.checkpoint),
            lambda change: self._compared(change, words),
            group="compare",
        )

    def _compared(self, change: RecordChange, words: str) -> None:
        from maos_ckpt_tui.screens.part_changes import VersionChangesScreen  # Loaded when first needed.

        if self.is_current:
            self.app.push_screen(VersionChangesScreen(change, words))

    def action_copy(self) -> None:
        """Copy the checkpoint's id."""
        if (one := self.list.current) is not None:
            self.console.copy(one.checkpoint)
