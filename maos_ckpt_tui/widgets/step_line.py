"""Where one is in a recovery: all its steps in a line, the present one in brackets."""

from __future__ import annotations

from enum import IntEnum

from maos_ckpt_tui.widgets.lines import Line, LineView, line_width


class Step(IntEnum):
    """The steps of a recovery, in their order."""

    CHOOSE = 1
    SELECT = 2
    PLAN = 3
    CONFIRM = 4
    RECOVER = 5
    VERIFIED = 6


class StepLine(LineView):
    """Steps that are done are plain, those to come dim; the brackets tell without colour."""

    def __init__(self, step: Step) -> None:
        super().__init__(id="steps")
        self._step = step

    def show(self, step: Step) -> None:
        """Another step."""
        self._step = step
        self.changed()

    def build(self, width: int) -> list[Line]:
        """See `LineView.build`."""
        lines = (self._line(" · ", named=True), self._line(" ", named=True), self._line(" ", named=False))
        return [next((line for line in lines if line_width(line) <= width), lines[-1])]

    def _line(self, between: str, *, named: bool) -> Line:
        line: Line = []
        for step in Step:
            here = step is self._step
            words = f"{step.value} {step.name.lower()}" if named or here else str(step.value)
            line.append((between if line else " ", "faint"))
            if here:
                line += [("[", "accent"), (words, "strong"), ("]", "accent")]
            else:
                line.append((words, "plain" if step < self._step else "dim"))
        return line
