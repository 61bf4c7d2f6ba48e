"""The second line of every mode: all modes with their keys, and where one is."""

from __future__ import annotations

from maos_ckpt_tui.modes import MODES
from maos_ckpt_tui.widgets.lines import Line, LineView, fit, line_width


class ModeBar(LineView):
    """Full names where there is room, else short ones, else the keys alone and the name of this mode."""

    def __init__(self, mode: str) -> None:
        super().__init__(id="modes")
        self._mode = mode

    def build(self, width: int) -> list[Line]:
        """See `LineView.build`."""
        lines = (self._line(*names) for names in ((True, True), (False, True), (False, False)))
        return [next((line for line in lines if line_width(line) <= width), fit(self._line(False, False), width))]

    def _line(self, full: bool, named: bool) -> Line:
        line: Line = []
        for mode in MODES:
            here = mode.name == self._mode
            name = mode.title if full or (here and not named) else mode.short if named else ""
            # The mode one is in stands in brackets, so that it is told without colour.
            line += [
                ("[" if here else " ", "accent" if here else "plain"),
                (mode.key, "key"),
                (f" {name}" if name else "", "strong" if here else "dim"),
                ("]" if here else " ", "accent" if here else "plain"),
            ]
        return line
