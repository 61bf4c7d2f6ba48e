"""All checkpoints as a table that can be sorted, filtered and marked."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from maos_ckpt.model import Checkpoint, CheckpointState
from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.checkpoint_order import Listing, Order, Verified
from maos_ckpt_tui.checkpoint_view import change_words, fit_words, marks_words, why_words
from maos_ckpt_tui.viewmodel import ConsoleModel, short
from maos_ckpt_tui.widgets.lines import Line, Span, rule
from maos_ckpt_tui.widgets.row_list import EDGES, Column, RowList, choose_columns, table_line

_COLUMNS = (
    Column("", 3, 1),
    Column("TIME UTC", 8, 1),
    Column("AGE", 5, 2, right=True),
    Column("ID", 6, 1),
    Column("WHY", 10, 3),
    Column("CHANGED", 9, 4, grow=True),
    Column("RECORDS", 9, 10, right=True),
    Column("SIZE", 8, 8, right=True),
    Column("STORED", 8, 2, right=True),
    Column("RATIO", 7, 12, right=True),
    Column("TOOK", 7, 9, right=True),
    Column("LOCK", 7, 13, right=True),
    Column("STATE", 10, 11),
    Column("VERIFIED", 10, 5),
    Column("COPIES", 7, 7),
    Column("NOTES", 8, 6, grow=True, wish=24),
)
_DATE_CELLS = 11


class CheckpointTable(RowList):
    """The cursor keeps to its checkpoint, whatever comes, goes or is sorted; marks keep to theirs."""

    def __init__(self) -> None:
        super().__init__(id="table")
        self.listing = Listing()
        self.marked: set[str] = set()
        self.copied = False
        self._last_mark = ""
        self._following = True
        self._model = ConsoleModel()
        self._verified = Verified()
        self._now_ms = 0
        self._today = True
        self._placeholder: list[Line] = []
        self._columns: tuple[Column, ...] = _COLUMNS

    @property
    def selected(self) -> Checkpoint | None:
        """The checkpoint under the cursor."""
        return self.listing.shown[self.cursor] if self.listing.shown else None

    @property
    def row_count(self) -> int:
        """See `RowList.row_count`."""
        return len(self.listing.shown)

    def show(self, model: ConsoleModel, now_ms: int, placeholder: list[Line]) -> None:
        """Another state of things; `placeholder` stands there while there is no checkpoint at all."""
        self._model, self._now_ms, self._placeholder = model, now_ms, placeholder
        if self.marked:
            self.marked = {one for one in self.marked if model.find(one) is not None}
        self.copied = model.status is not None and len(model.status.tiers) > 1
        self._rearranged(lambda: self.listing.take(model.checkpoints))

    def show_verified(self, verified: Verified) -> None:
        """What verifications say."""
        self._verified = verified
        self.refresh()

    def verified(self, checkpoint: Checkpoint) -> Span:
        """How deep it was read back and how long ago, as a cell."""
        if checkpoint.state is CheckpointState.DAMAGED:
            return "XX FAULT", "bad"
        run = self._verified.of(checkpoint)
        if run is None:
            return "-", "dim"
        # The level's first letters: quick, std, full.
        level = "std" if run.level == "standard" else "qck" if run.level == "quick" else run.level
        return f"{level} {fmt.span((self._now_ms - run.at_ms) / 1000)}", "ok" if run.level == "full" else "plain"

    def _rearranged(self, arrange: Callable[[], None]) -> None:
        chosen = self.selected
        arrange()
        oldest = self._model.checkpoints[-1].created_at_ms if self._model.checkpoints else self._now_ms
        self._today = fmt.when(oldest, self._now_ms)[2] == ":"
        self._arrange_columns()
        if chosen is not None and not self._following:
            at = self.listing.index(chosen.id)
            self.cursor = self.cursor if at is None else at
        self.rows_changed()

    def _arrange_columns(self) -> None:
        columns = []
        for one in _COLUMNS:
            if (one.title == "" and not self.marked) or (one.title == "COPIES" and not self.copied):
                continue
            if one.title == "TIME UTC" and not self._today:
                one = dataclasses.replace(one, width=_DATE_CELLS)
            columns.append(one)
        self._columns = tuple(columns)

    def filter(self, needle: str) -> None:
        """Show only what matches; all for an empty text."""
        self._rearranged(lambda: self.listing.filter(needle))

    def only_problems(self, problems: bool) -> None:
        """Show only what is damaged or partial, or everything."""
        self._rearranged(lambda: self.listing.only_problems(problems))

    def sort(self, order: Order, *, reverse: bool) -> None:
        """Another order; the cursor stays on its checkpoint."""
        self._following = False
        self._rearranged(lambda: self.listing.sort(order, reverse=reverse))

    def age(self, now_ms: int) -> None:
        """Time has passed: the ages in sight are drawn again where they read differently."""
        old, self._now_ms = self._now_ms, now_ms
        width, top = self._width, self.scroll_offset.y
        for index in range(top, min(top + self._page, self.row_count)):
            at_ms = self.listing.shown[index].created_at_ms
            if fmt.span((old - at_ms) / 1000) != fmt.span((now_ms - at_ms) / 1000) and width:
                self._refresh_row(index)

    def move_to(self, index: int) -> None:
        """See `RowList.move_to`; back on the first one, the cursor follows what arrives."""
        super().move_to(index)
        self._following = self.cursor == 0

    # Marks

    def _marks_changed(self) -> None:
        self._arrange_columns()
        self.rows_changed()

    def mark(self) -> None:
        """Mark or unmark the one under the cursor, and go on to the next."""
        if (one := self.selected) is not None:
            self.marked ^= {one.id}
            self._last_mark = one.id
            self._marks_changed()
            self.move_to(self.cursor + 1)

    def mark_range(self) -> None:
        """Mark all from the last mark to the cursor."""
        start = self.listing.index(self._last_mark)
        if (one := self.selected) is None:
            return
        first, last = sorted((self.cursor if start is None else start, self.cursor))
        self.marked |= {each.id for each in self.listing.shown[first : last + 1]}
        self._last_mark = one.id
        self._marks_changed()

    def mark_all(self) -> None:
        """Mark all that are shown; where they are, unmark all."""
        shown = {one.id for one in self.listing.shown}
        self.marked = set() if shown <= self.marked else self.marked | shown
        self._marks_changed()

    def unmark(self) -> bool:
        """Take all marks away; False where there was none."""
        if not self.marked:
            return False
        self.marked = set()
        self._marks_changed()
        return True

    # Drawing

    def heading(self, width: int) -> list[Line]:
        """See `RowList.heading`."""
        listing = self.listing
        title = f"Checkpoints, {fmt.count(self.row_count)}"
        if listing.needle or listing.problems:
            what = [f"match “{listing.needle}”"] if listing.needle else []
            what += ["are problems"] if listing.problems else []
            title += f" of {fmt.count(listing.total)} {' and '.join(what)}"
        note: list[Span] = [(f"{fmt.count(len(self.marked))} marked", "key"), ("  ", "plain")] if self.marked else []
        sign = "↓" if listing.descends else "↑"
        heads = [
            (one.title + sign, "accent") if one.title == listing.order.column else (one.title, "head")
            for one in self._columns
        ]
        titles = table_line(self._columns, heads, max(0, width - EDGES))
        return [rule(title, width, [*note, (listing.order_words, "dim")]), [("  ", "plain"), *titles]]

    def placeholder(self, width: int) -> list[Line]:
        """See `RowList.placeholder`."""
        if not self._model.checkpoints:
            return self._placeholder
        if self.listing.problems and not self.listing.needle:
            return [
                [],
                [("  OK No problem: ", "ok"), ("none of them is damaged or partial.", "plain")],
                [("  ", "plain"), ("!", "key"), (" shows all of them again.", "plain")],
            ]
        line: Line = [("  Nothing matches the filter. ", "plain"), ("/", "key"), (" changes it, ", "plain")]
        return [[], [*line, ("esc", "key"), (" clears it.", "plain")]]

    def row(self, index: int, width: int) -> Line:
        """See `RowList.row`."""
        one = self.listing.shown[index]
        changed, tone = change_words(one, self._model.find(one.parent or ""))
        titles = [column.title for column in self._columns]
        widths = {titles[at]: cells for at, cells in choose_columns(self._columns, width)}
        damaged = one.state is CheckpointState.DAMAGED
        marked = one.id in self.marked
        notes = " ".join(part for part in (marks_words(one), one.description) if part)
        cells: dict[str, Span] = {
            "": ("[x]" if marked else "[ ]", "key" if marked else "faint"),
            "TIME UTC": (fmt.when(one.created_at_ms, self._now_ms), "plain"),
            "AGE": (fmt.span((self._now_ms - one.created_at_ms) / 1000), "dim"),
            "ID": (short(one.id), "strong"),
            "WHY": why_words(one),
            "CHANGED": (fit_words(changed, widths.get("CHANGED", 0)), tone),
            "RECORDS": (fmt.count(one.records), "plain"),
            "SIZE": (fmt.size(one.logical_bytes), "plain"),
            "STORED": (fmt.size(one.stored_bytes), "plain"),
            "RATIO": (fmt.ratio(one.logical_bytes, one.stored_bytes), "dim"),
            "TOOK": (fmt.duration(one.duration_s), "dim"),
            "LOCK": (fmt.duration(one.capture.lock_s), "dim"),
            "STATE": (one.state.value, "bad" if damaged else "dim"),
            "VERIFIED": self.verified(one),
            "COPIES": ("2: both", "plain") if one.state is CheckpointState.REPLICATED else ("1: here", "dim"),
            "NOTES": (notes, "bad" if damaged else "key"),
        }
        return table_line(self._columns, [cells[title] for title in titles], width)
