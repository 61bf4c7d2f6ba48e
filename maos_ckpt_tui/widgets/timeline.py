"""The strip of checkpoints: one mark each, newest at the right, as high as what was stored or as the state is large."""

from __future__ import annotations

from maos_ckpt.model import Checkpoint
from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.checkpoint_view import TIMELINE_LEGEND, bar_cells, marks
from maos_ckpt_tui.viewmodel import short
from maos_ckpt_tui.widgets.lines import Line, LineView, line_width, rule, spread

_ROWS_NORMAL, _ROWS_TALL, _ROWS_SHORT = 3, 6, 2
_MARGIN = 1


class Timeline(LineView):
    """Draws the checkpoints around the selected one; `selected` is an index into the list, newest first."""

    def __init__(self) -> None:
        super().__init__(id="timeline")
        self._checkpoints: list[Checkpoint] = []
        self._selected = 0
        self._nothing = ""
        self.by_size = False

    def show(self, checkpoints: list[Checkpoint], selected: int, nothing: str) -> None:
        """Other checkpoints, or another selection; `nothing` says why there are none."""
        self._checkpoints, self._selected, self._nothing = checkpoints, selected, nothing
        self.changed()

    def switch_bars(self) -> None:
        """Bytes stored ↔ size of the state."""
        self.by_size = not self.by_size
        self.changed()

    def build(self, width: int) -> list[Line]:
        """See `LineView.build`."""
        height = self.app.size.height
        rows = _ROWS_TALL if height >= 36 else _ROWS_NORMAL if height >= 24 else _ROWS_SHORT
        what = "size of the state" if self.by_size else "bytes stored"
        legend = [part for sign, word in TIMELINE_LEGEND for part in ((sign, "accent"), (f" {word}  ", "dim"))][:-1]
        note = [*legend, (f" {TIMELINE_LEGEND[-1][1]}", "dim")] if width >= 100 else [("b", "key"), (" bars", "dim")]
        head = rule(f"Timeline, bars = {what}", width, note)
        if not self._checkpoints:
            return [head, *([[]] * rows), [(f"   {self._nothing}", "dim")], []]
        pitch = 2 if width >= 110 and len(self._checkpoints) * 2 <= width - 2 * _MARGIN else 1
        first, last = self._window(max(1, (width - 2 * _MARGIN) // pitch))
        return [head, *self._strip(first, last, rows, width, pitch), self._axis(first, last, width, pitch)]

    def _window(self, columns: int) -> tuple[int, int]:
        # The newest stay in sight unless the selection has moved beyond the strip's left edge.
        first = max(0, self._selected - columns + 1)
        return first, min(len(self._checkpoints), first + columns)

    def _strip(self, first: int, last: int, rows: int, width: int, pitch: int) -> list[Line]:
        shown = self._checkpoints[first:last]
        strip = list(zip(marks(shown, sizes=self.by_size), range(first, last), strict=True))[::-1]
        blank = " " * (width - _MARGIN - len(strip) * pitch)
        lines: list[Line] = [[(blank, "plain")] for _ in range(rows + 1)]
        for mark, index in strip:
            here = index == self._selected
            tone = "key" if here else "bad" if mark.tone == "bad" else "faint" if mark.quiet else "accent"
            cells = bar_cells(mark.height, rows) if mark.height > 0 else [" "] * (rows - 1) + ["▁"]
            for line, cell in zip(lines, cells, strict=False):
                line.append((cell + " " * (pitch - 1), tone))
            lines[rows].append((("▲" if here else mark.sign) + " " * (pitch - 1), "key" if here else mark.tone))
        return lines

    def _axis(self, first: int, last: int, width: int, pitch: int) -> Line:
        oldest, newest = self._checkpoints[last - 1], self._checkpoints[first]
        selected = self._checkpoints[self._selected]
        chosen: Line = [
            ("▲ ", "key"),
            (f"{short(selected.id)} ", "strong"),
            (f"{fmt.clock(selected.created_at_ms)}, {fmt.size(selected.stored_bytes)} stored", "plain"),
            (f" of {fmt.size(selected.logical_bytes)}" if width >= 78 else "", "plain"),
        ]
        right: Line = [(f"{fmt.clock(newest.created_at_ms)}{' UTC' if width >= 70 else ''} ", "dim")]
        left: Line = [(f"{fmt.clock(oldest.created_at_ms)}", "dim")]
        if last - first > 1:
            start = width - _MARGIN - (last - first) * pitch
            left = [
                (" " * min(start, width - line_width(chosen) - line_width(right) - line_width(left) - 4), "plain"),
                *left,
            ]
        room = width - line_width(left) - line_width(right) - line_width(chosen)
        if room < 4:
            return spread([(" ", "plain"), *chosen], [], width)
        return [*left, (" " * (room // 2), "plain"), *chosen, (" " * (room - room // 2), "plain"), *right]
