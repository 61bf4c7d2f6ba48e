"""The views side by side, the one in sight in brackets."""

from __future__ import annotations

from maos_ckpt_tui.explore.views import VIEWS
from maos_ckpt_tui.widgets.lines import Line, LineView, fit, line_width


class ViewTabs(LineView):
    """Full names where there is room, else short ones."""

    def __init__(self, view: str) -> None:
        super().__init__(id="views")
        self._view = view

    def show(self, view: str) -> None:
        """Another view is in sight."""
        self._view = view
        self.changed()

    def build(self, width: int) -> list[Line]:
        """See `LineView.build`."""
        full = self._line(full=True)
        return [full if line_width(full) <= width else fit(self._line(full=False), width)]

    def _line(self, *, full: bool) -> Line:
        line: Line = [(" tab ", "key")]
        for one in VIEWS:
            here = one.name == self._view
            word = one.title if full else one.short
            line.append((f"[{word}]" if here else f" {word} ", "strong" if here else "dim"))
        return line
