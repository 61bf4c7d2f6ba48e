"""The second line of every mode: all modes with their keys, and where one is."""

from __future__ import annotations

from textual import events

from maos_ckpt_tui.modes import MODES, Mode
from maos_ckpt_tui.widgets.lines import Line, LineView, fit, line_width


class ModeBar(LineView):
    """Full names where there is room, else short ones, else the keys alone and the name of this mode."""

    def __init__(self, mode: str) -> None:
        super().__init__(id="modes")
        self._mode = mode

    async def on_click(self, event: events.Click) -> None:
        """Where the mouse is on: go to the mode that stands there."""
        right = 0
        for mode, part in self._parts(self.size.width):
            right += line_width(part)
            if event.x < right:
                await self.screen.run_action(f"app.mode('{mode.name}')")
                return

    def build(self, width: int) -> list[Line]:
        """See `LineView.build`."""
        return [fit([span for _, part in self._parts(width) for span in part], width)]

    def _parts(self, width: int) -> list[tuple[Mode, Line]]:
        tried = [self._named(*names) for names in ((True, True), (False, True), (False, False))]
        return next((one for one in tried if sum(line_width(part) for _, part in one) <= width), tried[-1])

    def _named(self, full: bool, named: bool) -> list[tuple[Mode, Line]]:
        parts: list[tuple[Mode, Line]] = []
        for mode in MODES:
            here = mode.name == self._mode
            name = mode.title if full or (here and not named) else mode.short if named else ""
            # The mode one is in stands in brackets, so that it is told without colour.
            part: Line = [
                ("[" if here else " ", "accent" if here else "plain"),
                (mode.key, "key"),
                (f" {name}" if name else "", "strong" if here else "dim"),
                ("]" if here else " ", "accent" if here else "plain"),
            ]
            parts.append((mode, part))
        return parts
