"""One line for what is going on: a running operation with bar, rate and time left, else the latest word."""

from __future__ import annotations

from maos_ckpt.model import Progress
from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.progress import ProgressMeter
from maos_ckpt_tui.widgets.lines import Line, LineView, Span, line_width

#: The engine's phases as an operator says them; others are shown as they are.
PHASES = {
    "cut": "freezing a view",
    "read": "reading",
    "store": "storing",
    "commit": "committing",
    "compare": "comparing",
    "plan": "comparing",
    "findings": "checking references",
    "write": "writing",
    "files": "writing files",
    "check": "checking references",
    "verify": "verifying",
    "packs": "reading packs",
    "mark": "finding what is used",
    "sweep": "removing",
    "rewrite": "rewriting packs",
}
_BAR_CELLS_MAX = 30
_BAR_CELLS_MIN = 6


def bar(fraction: float | None, cells: int) -> list[Span]:
    """A progress bar; a total that is not known yet gives none."""
    if fraction is None or cells < _BAR_CELLS_MIN:
        return []
    full = round(fraction * cells)
    return [("█" * full, "accent"), ("░" * (cells - full), "faint"), (f" {fraction:4.0%}", "strong")]


def amount(progress: Progress) -> str:
    """What is done so far: items, of how many, and bytes."""
    if progress.total:
        items = f"{fmt.count(progress.done)}/{fmt.count(progress.total)}"
    else:
        items = fmt.count(progress.done) if progress.done else ""
    return " ".join(part for part in (items, fmt.size(progress.bytes) if progress.bytes else "") if part)


class OperationBar(LineView):
    """Drawn from the meter that the application keeps; `say` shows a sentence while nothing runs."""

    def __init__(self) -> None:
        super().__init__(id="operation")
        self._meter: ProgressMeter | None = None
        self._note: Span = ("", "plain")

    def show(self, meter: ProgressMeter | None, note: Span) -> None:
        """What runs now (None: nothing), and the latest word."""
        self._meter, self._note = meter, note
        self.changed()

    def build(self, width: int) -> list[Line]:
        """See `LineView.build`."""
        meter = self._meter
        if meter is None or meter.last is None:
            text, tone = self._note
            return [[(" ", "plain"), (text, tone)] if text else []]
        progress = meter.last
        line: Line = [
            (f" .. {progress.operation.upper()} ", "accent"),
            (f"{PHASES.get(progress.phase, progress.phase)} ", "plain"),
        ]
        tail: Line = [(f"  {part}", "dim") for part in (amount(progress), meter.rate(), meter.left()) if part]
        room = width - line_width(line) - line_width(tail) - 6
        drawn = bar(meter.fraction, min(_BAR_CELLS_MAX, room))
        detail: Line = [(f"  {progress.detail}", "dim")] if progress.detail and width >= 110 else []
        return [[*line, *drawn, *tail, *detail]]
