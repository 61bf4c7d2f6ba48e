"""The overview's figures against their targets, and the tiers."""

from __future__ import annotations

from rich.cells import cell_len

from maos_ckpt.model import EngineStatus
from maos_ckpt_tui.measures import Measure, tier_lines, tiers_in_short
from maos_ckpt_tui.plots import sparkline
from maos_ckpt_tui.safe_text import pad
from maos_ckpt_tui.widgets.lines import Line, LineView, fit, flow, line_width, rule

#: A figure with its trend takes at least so many cells; where only one has room, all stand below each other on a high
#: terminal, and in short on a low one.
_CELLS_MIN = 36
_NAME_CELLS, _VALUE_CELLS = 9, 17
_ROWS_HIGH, _ROWS_CROWDED = 24, 30
_APART = 2


class MeasuresPane(LineView):
    """One line for each figure, or two figures a line, or names and values alone."""

    def __init__(self) -> None:
        super().__init__(id="measures")
        self._measures: tuple[Measure, ...] = ()
        self._status: EngineStatus | None = None
        self._crowded = False

    def show(self, measures: tuple[Measure, ...], status: EngineStatus | None, *, crowded: bool = False) -> None:
        """Other values; `crowded`: other lines need the room more, unless the terminal is high."""
        self._measures, self._status, self._crowded = measures, status, crowded
        self.changed()

    def build(self, width: int) -> list[Line]:
        """See `LineView.build`."""
        low = self.app.size.height < _ROWS_HIGH
        if not self._measures or (low and self._crowded):
            return []
        if low or (self._crowded and self.app.size.height < _ROWS_CROWDED) or width < _CELLS_MIN:
            return self._short(width)
        across = 2 if self._in_short else 1
        cells = (width - _APART * (across - 1)) // across
        lines = [rule("Saves against targets", width, tiers_in_short(self._status) if self._in_short else ())]
        for at in range(0, len(self._measures), across):
            line: Line = []
            for one in self._measures[at : at + across]:
                part = _line(one, cells)
                line += [*part, (" " * (cells - line_width(part) + _APART), "plain")]
            lines.append(line[:-1])
        return lines

    @property
    def _in_short(self) -> bool:
        # On a wide terminal the tiers have a pane of their own beside this one.
        return not self.screen.has_class("-wide") or not self.screen.has_class("-tall")

    def _short(self, width: int) -> list[Line]:
        parts: list[Line] = []
        for one in self._measures[:4]:
            sign, tone = one.sign
            target, _ = one.target
            text = f"{one.value} {target}" if one.missed else one.value
            parts.append([(f"{sign} " if sign.strip() else "", tone), (f"{one.name} ", "dim"), (text, "plain")])
        return flow(parts, width, [(" ", "plain")])[:2]


def _line(one: Measure, width: int) -> Line:
    sign, tone = one.sign
    target, target_tone = one.target
    value = f"{one.value} "
    text = value + target
    cells = width - 4 - _NAME_CELLS - _VALUE_CELLS - 1
    trend = sparkline(one.trend, cells, logarithmic=one.logarithmic)
    blank = " " * max(0, _VALUE_CELLS - cell_len(text))
    return fit(
        [
            (f" {sign} ", tone),
            (pad(one.name, _NAME_CELLS), "dim"),
            (trend, "warn" if one.missed else "accent"),
            (" ", "plain"),
            (value, "warn" if one.missed else "strong"),
            (target + blank, target_tone),
        ],
        width,
    )


class TiersPane(LineView):
    """Where checkpoints lie, what waits to be sent, and how the remote side answers."""

    def __init__(self) -> None:
        super().__init__(id="tiers")
        self._lines: list[Line] = []

    def show(self, status: EngineStatus | None, now_ms: int) -> None:
        """Another state of things."""
        self._lines = tier_lines(status, now_ms) if status is not None else []
        self.changed()

    def build(self, width: int) -> list[Line]:
        """See `LineView.build`."""
        lines = self._lines or [[("  Not known yet.", "dim")]]
        return [rule("Where they lie", width), *(fit(line, width) for line in lines)]
