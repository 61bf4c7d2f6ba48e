"""The journal as a list, newest first, and one of its entries in full."""

from __future__ import annotations

from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui import journal_view as view
from maos_ckpt_tui.journal_view import Entry
from maos_ckpt_tui.sentences import at_ms, sentence
from maos_ckpt_tui.widgets.lines import Line, LineView, Span, facts, paragraph, rule
from maos_ckpt_tui.widgets.row_list import EDGES, Column, RowList, table_line

_COLUMNS = (
    Column("TIME UTC", 8, 1),
    Column("AGE", 5, 4, right=True),
    Column("KIND", 8, 3),
    Column("WHAT", 20, 1, grow=True, wish=44),
)
#: With dates, once one in the list is not of today.
_COLUMNS_DATED = (Column("TIME UTC", 11, 1), *_COLUMNS[1:])
_HEADINGS: list[Span] = [(column.title, "head") for column in _COLUMNS]


class EventList(RowList):
    """Shows what passes filter, kind and problems; at the top it follows what happens, elsewhere it keeps its entry."""

    def __init__(self) -> None:
        super().__init__(id="journal")
        self._all: list[Entry] = []
        self.shown: list[Entry] = []
        self.needle, self.kind, self.problems = "", "", False
        self._now_ms = 0
        self._whole = False
        self._why: list[Line] = []

    @property
    def selected(self) -> Entry | None:
        """The entry under the cursor."""
        return self.shown[self.cursor] if self.shown else None

    @property
    def row_count(self) -> int:
        """See `RowList.row_count`."""
        return len(self.shown)

    @property
    def narrowed(self) -> bool:
        """Whether only some entries are to be seen."""
        return bool(self.needle or self.kind or self.problems)

    def show(self, entries: list[Entry], now_ms: int, *, whole: bool, why: list[Line]) -> None:
        """Other entries, newest first; `whole`: there are no older ones. `why` stands where there are none."""
        self._all, self._now_ms, self._whole, self._why = entries, now_ms, whole, why
        self._choose()

    def narrow(self, *, needle: str | None = None, kind: str | None = None, problems: bool | None = None) -> None:
        """Show only what matches; what is not named stays as it was."""
        self.needle = self.needle if needle is None else needle.strip()
        self.kind = self.kind if kind is None else kind
        self.problems = self.problems if problems is None else problems
        self._choose()

    def _choose(self) -> None:
        chosen, followed = self.selected, self.cursor == 0
        self.shown = [one for one in self._all if self._passes(one)] if self.narrowed else self._all
        if chosen is not None and not followed:
            self.cursor = next((at for at, one in enumerate(self.shown) if one == chosen), self.cursor)
        self.rows_changed()

    def _passes(self, one: Entry) -> bool:
        if self.kind and view.kind_of(one[0]) != self.kind:
            return False
        if self.problems and not view.is_problem(one):
            return False
        return not self.needle or view.matches(one, self.needle)

    def heading(self, width: int) -> list[Line]:
        """See `RowList.heading`."""
        title = f"Events, {fmt.count(len(self.shown))}"
        if self.narrowed:
            title += f" of {fmt.count(len(self._all))}"
        title += "" if self._whole else ", older ones follow"
        words = [view.KINDS[self.kind][0].lower()] if self.kind in view.KINDS else []
        words += ["problems only"] if self.problems else []
        words += [f"“{self.needle}”"] if self.needle else []
        note: list[Span] = [(", ".join(words), "accent")] if words else [("live" if self.cursor == 0 else "", "dim")]
        titles = table_line(self._columns, _HEADINGS, max(0, width - EDGES))
        return [rule(title, width, note), [("  ", "plain"), *titles]]

    @property
    def _columns(self) -> tuple[Column, ...]:
        today = not self.shown or fmt.when(at_ms(self.shown[-1][1]), self._now_ms)[2] == ":"
        return _COLUMNS if today else _COLUMNS_DATED

    def placeholder(self, width: int) -> list[Line]:
        """See `RowList.placeholder`."""
        if not self.narrowed or not self._all:
            return self._why
        more = "" if self._whole else " among those loaded; older ones are read on demand"
        return [
            [],
            [(f"  Nothing matches{more}.", "plain")],
            [("  esc", "key"), (" shows all events again.", "plain")],
        ]

    def row(self, index: int, width: int) -> Line:
        """See `RowList.row`."""
        name, fields = self.shown[index]
        tone, text = sentence(name, fields)
        when_ms = at_ms(fields)
        cells: list[Span] = [
            (fmt.when(when_ms, self._now_ms), "dim"),
            (fmt.span((self._now_ms - when_ms) / 1000), "dim"),
            (view.kind_of(name), "accent"),
            (text, tone),
        ]
        return table_line(self._columns, cells, width)


class EventPane(LineView):
    """The entry under the cursor in full, where the terminal is wide."""

    def __init__(self) -> None:
        super().__init__(id="entry")
        self._entry: Entry | None = None

    def show(self, entry: Entry | None) -> None:
        """Another one."""
        if entry != self._entry:
            self._entry = entry
            self.changed()

    def build(self, width: int) -> list[Line]:
        """See `LineView.build`."""
        if self._entry is None:
            return [
                rule("Entry", width),
                *paragraph("The entry under the cursor stands here in full.", width, "dim", " "),
            ]
        return entry_lines(self._entry, width)


def entry_lines(entry: Entry, width: int) -> list[Line]:
    """All that an entry says, and what to do about it."""
    name, fields = entry
    tone, text = sentence(name, fields)
    lines = [rule(name, width), *paragraph(text, width, tone, " "), *facts(view.in_full(name, fields)[1:], width)]
    if todo := view.runbook(name, fields):
        lines += [rule("What to do", width), *paragraph(todo, width, "plain", " ")]
    return lines
