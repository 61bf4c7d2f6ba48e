"""What the screens with a tree of changes share: folding, filtering, values in full."""

from __future__ import annotations

from maos_ckpt_tui.changes import FIELD, ChangeRow
from maos_ckpt_tui.modals.full_text import FullTextModal
from maos_ckpt_tui.safe_text import safe_name
from maos_ckpt_tui.screens.base import ConsoleScreen
from maos_ckpt_tui.widgets.change_list import ChangeList
from maos_ckpt_tui.widgets.filter_line import FilterLine

_KEY_CELLS_MAX, _PATH_CELLS_MAX = 60, 40


class ChangeScreen(ConsoleScreen):
    """Base of the diff and plan screens."""

    AUTO_FOCUS = "#changes"

    @property
    def changes(self) -> ChangeList:
        """The tree."""
        return self.query_one(ChangeList)

    def action_unfold(self) -> None:
        """Fold what can be folded; show a field's values in full."""
        row = self.changes.current
        if row is None:
            return
        if row.level == FIELD:
            self._full(row)
        elif row.folded is not None:
            self.changes.toggle(row)

    def _full(self, row: ChangeRow) -> None:
        assert row.change is not None
        assert row.field is not None
        one = row.change
        key, path = safe_name(one.key, _KEY_CELLS_MAX), safe_name(row.field.path, _PATH_CELLS_MAX)
        title = f"{one.component}/{one.collection} {key}: {path}"
        before, after = row.field.before, row.field.after
        if before is None and after is None:
            title, after = f"{one.component}/{one.collection} {key}: why", row.field.path
        self.app.push_screen(FullTextModal(title, before, after))

    def action_fold_all(self) -> None:
        """Fold all records, or unfold them."""
        self.changes.fold_all()

    def action_filter(self) -> None:
        """Open the filter."""
        self.query_one(FilterLine).open()

    def on_filter_line_typed(self, message: FilterLine.Typed) -> None:
        """Filter as one types."""
        self.changes.filter(message.needle)

    def on_filter_line_closed(self) -> None:
        """The tree has the keys again."""
        self.changes.focus()

    def action_back(self) -> None:
        """Clear the filter where there is one, else go back."""
        if not self.query_one(FilterLine).clear_filter():
            super().action_back()
