"""The strip of checkpoints: one mark each, newest at the right, as high as what was stored or as the state is large."""

from __future__ import annotations

from maos_ckpt.model import Checkpoint
from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.checkpoint_view import TIMELINE_LEGEND, bar_cells, gaps, marks
from maos_ckpt_tui.viewmodel import short
from maos_ckpt_tui.widgets.lines import Line, LineView, rule

_ROWS_NORMAL, _ROWS_TALL, _ROWS_SHORT = 3, 6, 2
_MARGIN = 1
#: So wide, the heading has room for the selected checkpoint; so wide, for the signs as well.
_NOTE_CELLS_MIN, _LEGEND_CELLS_MIN = 78, 150
_LABELS_APART = 4
_SECONDS_UP_TO_S, _DATES_FROM_S = 3600.0, 86_400.0


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
        head = rule(f"Timeline, bars = {what}", width, self._note(width))
        if not self._checkpoints:
            return [head, *([[]] * rows), [(f"   {self._nothing}", "dim")], []]
        pitch = 2 if width >= 110 and len(self._checkpoints) * 2 <= width - 2 * _MARGIN else 1
        columns = self._columns(max(1, (width - 2 * _MARGIN) // pitch))
        return [head, *self._strip(columns, rows, width, pitch), self._axis(columns, width, pitch)]

    def _note(self, width: int) -> Line:
        keys: Line = [("b", "key"), (" bars", "dim")]
        if not self._checkpoints or width < _NOTE_CELLS_MIN:
            return keys
        one = self._checkpoints[self._selected]
        stored, whole = fmt.size(one.stored_bytes), fmt.size(one.logical_bytes)
        told: Line = [("▲ ", "key"), (f"{short(one.id)} ", "strong")]
        told += [(f"{fmt.clock(one.created_at_ms)}, {stored} of {whole}", "plain")]
        if width < _LEGEND_CELLS_MIN:
            return told
        legend = [part for sign, word in TIMELINE_LEGEND for part in ((sign, "accent"), (f" {word}  ", "dim"))]
        return [*legend, *told]

    def _columns(self, number: int) -> list[int | None]:
        """What each column from left to right stands for: an index into the list, or None for a gap.

        The newest stay in sight unless the selection has moved beyond the strip's left edge.
        """
        first = max(0, self._selected - number + 1)
        shown = self._checkpoints[first : first + number]
        missing = gaps(shown)
        found: list[int | None] = []
        for at in range(len(shown)):
            found.append(first + at)
            if at in missing:
                found.append(None)
        place = found.index(self._selected)
        begin = max(0, place - number + 1)
        return found[begin : begin + number][::-1]

    def _strip(self, columns: list[int | None], rows: int, width: int, pitch: int) -> list[Line]:
        indices = [one for one in columns if one is not None]
        shown = [self._checkpoints[one] for one in indices]
        drawn = dict(zip(indices, marks(shown, sizes=self.by_size), strict=True))
        blank = " " * (width - _MARGIN - len(columns) * pitch)
        lines: list[Line] = [[(blank, "plain")] for _ in range(rows + 1)]
        between = " " * (pitch - 1)
        for index in columns:
            if index is None:
                for line in lines:
                    line.append((":" + between, "warn"))
                continue
            mark, here = drawn[index], index == self._selected
            tone = "key" if here else "bad" if mark.tone == "bad" else "faint" if mark.quiet else "accent"
            cells = bar_cells(mark.height, rows) if mark.height > 0 else [" "] * (rows - 1) + ["▁"]
            for line, cell in zip(lines, cells, strict=False):
                line.append((cell + between, tone))
            lines[rows].append((("▲" if here else mark.sign) + between, "key" if here else mark.tone))
        return lines

    def _axis(self, columns: list[int | None], width: int, pitch: int) -> Line:
        """Times below the columns that they are of, the first and the newest always; gaps say how long they are."""
        start = width - _MARGIN - len(columns) * pitch
        listed = self._checkpoints
        indices = [one for one in columns if one is not None]
        oldest_ms, newest_ms = listed[indices[0]].created_at_ms, listed[indices[-1]].created_at_ms
        span_s = (newest_ms - oldest_ms) / 1000
        right = _label(newest_ms, span_s) + (" UTC" if width >= _NOTE_CELLS_MIN else "")
        cells = [" "] * width
        last = width - len(right) - 1
        for wanted in (True, False):
            # Gaps first: how long nothing was saved is what one wants to know of a gap.
            for at, index in enumerate(columns):
                place = start + at * pitch
                if wanted != (index is None) and not (wanted and at == 0):
                    continue
                text = self._label_at(columns, at, span_s)
                if (
                    place + len(text) < last
                    and text
                    and all(
                        cell == " " for cell in cells[max(0, place - _LABELS_APART) : place + len(text) + _LABELS_APART]
                    )
                ):
                    cells[place : place + len(text)] = list(text)
        cells[last : last + len(right)] = list(right)
        return [("".join(cells), "dim")]

    def _label_at(self, columns: list[int | None], at: int, span_s: float) -> str:
        index = columns[at]
        if index is not None:
            return _label(self._checkpoints[index].created_at_ms, span_s)
        older, newer = columns[at - 1] if at else None, columns[at + 1] if at + 1 < len(columns) else None
        if older is None or newer is None:
            return ""
        lost_ms = self._checkpoints[newer].created_at_ms - self._checkpoints[older].created_at_ms
        return f":{fmt.span(lost_ms / 1000)}"


def _label(at_ms: int, span_s: float) -> str:
    if span_s > _DATES_FROM_S:
        return fmt.utc(at_ms)[5:16]
    return fmt.clock(at_ms) if span_s < _SECONDS_UP_TO_S else fmt.clock(at_ms)[:5]
