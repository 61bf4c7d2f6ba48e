"""Beside a list, where there is room: the fields of the record under the cursor."""

from __future__ import annotations

import json

from maos_ckpt_tui.explore.reading import Entry, cell, inside
from maos_ckpt_tui.safe_text import safe_name
from maos_ckpt_tui.widgets.lines import Line, LineView, facts, rule

_FIELD_LINES_MAX = 8
_NAME_CELLS = 15


class ThingPane(LineView):
    """As many fields as fit; `o` opens the record in full."""

    def __init__(self) -> None:
        super().__init__(id="thing")
        self._entry: Entry | None = None

    def show(self, entry: Entry | None) -> None:
        """Another record."""
        self._entry = entry
        self.changed()

    def build(self, width: int) -> list[Line]:
        """See `LineView.build`."""
        one = self._entry
        if one is None or not one.key:
            return [rule("Record", width), [(" Nothing is chosen.", "dim")]]
        lines: list[Line] = [rule(safe_name(one.key, max(8, width - 8)), width)]
        room = max(4, self.app.size.height - 9)
        for name in one.values:
            found = inside(one.values, name)
            value = cell(one.values, name) if found is None else json.dumps(found, ensure_ascii=False, indent=1)
            words = " ".join(value.split()) or "empty"
            wrapped = facts(
                [(safe_name(name, _NAME_CELLS).ljust(_NAME_CELLS), words, "plain" if value else "faint")], width
            )
            lines += wrapped[:_FIELD_LINES_MAX]
            if len(wrapped) > _FIELD_LINES_MAX:
                lines.append(
                    [(" " * (_NAME_CELLS + 3), "plain"), ("… ", "faint"), ("o", "key"), (" shows it all", "dim")]
                )
            if len(lines) > room:
                return [*lines[:room], [(" … ", "faint"), ("o", "key"), (" shows all fields", "dim")]]
        return lines
