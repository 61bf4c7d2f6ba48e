"""The journal's newest entries as sentences."""

from __future__ import annotations

from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.sentences import at_ms, sentence
from maos_ckpt_tui.widgets.lines import Line, LineView, rule

_ROWS_MAX = 12


class EventsPane(LineView):
    """As many entries as the screen's height allows, newest first; on a low screen it is left out."""

    def __init__(self) -> None:
        super().__init__(id="events")
        self._entries: list[tuple[str, dict[str, object]]] = []

    def show(self, entries: list[tuple[str, dict[str, object]]]) -> None:
        """Other entries, newest first."""
        self._entries = entries
        self.changed()

    def build(self, width: int) -> list[Line]:
        """See `LineView.build`."""
        rows = min(_ROWS_MAX, self.app.size.height // 6)
        lines: list[Line] = [rule("Latest events", width)]
        for name, fields in self._entries[:rows]:
            tone, text = sentence(name, fields)
            lines.append([(f"  {fmt.clock(at_ms(fields))}  ", "dim"), (text, tone)])
        if not self._entries:
            lines.append([("  none yet", "dim")])
        return lines + [[]] * (rows + 1 - len(lines))
