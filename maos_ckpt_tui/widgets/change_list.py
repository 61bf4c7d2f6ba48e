"""Changes between two states, or of a plan, as a foldable tree that draws only what is in sight."""

from __future__ import annotations

from maos_ckpt.model import ChangeKind, Counts, FieldChange, RecordChange
from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.changes import COLLECTION, COMPONENT, RECORD, SIGNS, ChangeRow, ChangeTree, around_difference
from maos_ckpt_tui.safe_text import pad, safe_name, safe_text
from maos_ckpt_tui.widgets.lines import Line, Span, fit, line_width, rule
from maos_ckpt_tui.widgets.row_list import RowList

_PATH_CELLS_MAX = 34
_COMPONENT_CELLS_MAX = 30
_GLANCE_CHARACTERS_MAX = 40


def counts_spans(counts: Counts) -> list[Span]:
    """` +1 ~4 -2` with a tone each; zeros are left out."""
    parts = (("+", counts.added, "ok"), ("~", counts.modified, "accent"), ("-", counts.removed, "bad"))
    return [(f" {sign}{fmt.count(number)}", tone) for sign, number, tone in parts if number]


def component_counts(by_component: dict[str, Counts]) -> list[Line]:
    """Counts by component as pieces for `flow`; components without changes are left out."""
    return [
        [(safe_name(name, _COMPONENT_CELLS_MAX), "head"), *counts_spans(counts)]
        for name, counts in by_component.items()
        if counts.total
    ]


def field_line(field: FieldChange, width: int) -> Line:
    """One field with both values on one line, from where they differ; or a reason, see `ChangeRow`."""
    if field.before is None and field.after is None:
        return [("because ", "dim"), (safe_text(field.path, width - 8), "plain")]
    path_width = min(_PATH_CELLS_MAX, max(12, width // 4))
    room = max(8, width - path_width - 4)
    path: Span = (pad(safe_name(field.path, path_width), path_width), "dim")
    if field.before is None:
        return [path, (" + ", "ok"), (safe_text(field.after or "", room), "after")]
    if field.after is None:
        return [path, (" - ", "bad"), (safe_text(field.before, room), "before")]
    half = (room - 2) // 2
    before, after = around_difference(field.before, field.after, half)
    shown = safe_text(before, half)
    rest = room - 2 - line_width([(shown, "before")])
    return [path, (" ", "plain"), (shown, "before"), (" → ", "dim"), (safe_text(after, rest), "after")]


def glance(change: RecordChange) -> str:
    """What a folded record holds, in a line: why it is touched, or the fields that changed, or, where it came or went,
    their values."""
    if change.reason:
        return f"because {change.reason}"
    if change.kind is ChangeKind.MODIFIED:
        return ", ".join(one.path for one in change.fields)
    values = ((one.path, (one.before or one.after or "")[:_GLANCE_CHARACTERS_MAX]) for one in change.fields)
    return ", ".join(f"{path} {value}" for path, value in values)


class ChangeList(RowList):
    """`show` it a tree; the screen decides what enter does with `current`."""

    def __init__(self) -> None:
        super().__init__(id="changes")
        self.changes = ChangeTree()
        self._title = "Changes"
        self._note: list[Span] = []
        self._placeholder: list[Line] = []

    def show(self, tree: ChangeTree, title: str, note: list[Span], placeholder: list[Line]) -> None:
        """Another tree; `note` stands at the right of the heading, `placeholder` in an empty one's place."""
        self.changes, self._title, self._note, self._placeholder = tree, title, note, placeholder
        self.cursor = 0
        self.rows_changed()

    @property
    def current(self) -> ChangeRow | None:
        """The row under the cursor."""
        return self.changes.rows[self.cursor] if self.changes.rows else None

    @property
    def row_count(self) -> int:
        """See `RowList.row_count`."""
        return len(self.changes.rows)

    def toggle(self, row: ChangeRow) -> None:
        """Fold or unfold; the cursor stays on the row."""
        self.changes.toggle(row.node)
        self.rows_changed()

    def fold_all(self) -> None:
        """Fold all records, or unfold them."""
        self.changes.fold_records(not self.changes.records_folded)
        self.rows_changed()

    def filter(self, needle: str) -> None:
        """Show only what matches."""
        self.changes.filter(needle)
        self.rows_changed()

    def only(self, kind: ChangeKind | None) -> None:
        """Show changes of one kind alone, or all."""
        self.changes.only(kind)
        self.rows_changed()

    def heading(self, width: int) -> list[Line]:
        """See `RowList.heading`."""
        kind = self.changes.kind
        title = self._title if kind is None else f"{self._title}: {kind.value} alone, {self.changes.records:,}"
        return [rule(title, width, self._note)]

    def placeholder(self, width: int) -> list[Line]:
        """See `RowList.placeholder`."""
        if self.changes.hidden:
            return [[("  No change matches: ", "plain"), ("K", "key"), (" and ", "plain"), ("/", "key"),
                     (" choose others, ", "plain"), ("esc", "key"), (" clears the filter.", "plain")]]  # fmt: skip
        return self._placeholder

    def row(self, index: int, width: int) -> Line:
        """See `RowList.row`."""
        row = self.changes.rows[index]
        fold = "  " if row.folded is None else "▸ " if row.folded else "▾ "
        indent: Span = ("  " * row.level + fold, "faint")
        room = width - 2 * row.level - 2
        if row.level in (COMPONENT, COLLECTION):
            assert row.counts is not None
            counts = counts_spans(row.counts)
            if row.level == COLLECTION and self.changes.truncated:
                counts.append((" of those listed", "dim"))
            name = safe_name(row.name, max(4, room - line_width(counts)))
            return [indent, (name, "strong" if row.level == COMPONENT else "head"), *counts]
        assert row.change is not None
        if row.level == RECORD:
            sign, tone = SIGNS[row.change.kind]
            kind = f"  {row.change.kind.value}"
            name = safe_name(row.name, max(4, room - 2 - len(kind)))
            fields = "  " + glance(row.change) if row.folded else ""
            return fit([indent, (f"{sign} ", tone), (name, "plain"), (kind, tone), (fields, "dim")], width)
        assert row.field is not None
        return [indent, *field_line(row.field, room)]
