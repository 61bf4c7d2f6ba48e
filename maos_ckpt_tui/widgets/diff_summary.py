"""Above the tree of a diff: which two states, how many changes by component, and what was not compared."""

from __future__ import annotations

from maos_ckpt.model import DiffResult, Severity
from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.widgets.change_list import component_counts
from maos_ckpt_tui.widgets.lines import Line, LineView, Span, flow, paragraph

_FINDINGS_MAX = 2


class DiffSummary(LineView):
    """Both sides with their letters, then counts."""

    def __init__(self) -> None:
        super().__init__(id="summary")
        self._sides: tuple[str, str] = ("", "")
        self._result: DiffResult | None = None

    def show(self, before: str, after: str, result: DiffResult | None) -> None:
        """`before` and `after` name the two states in words."""
        if (before, after) == self._sides and result is self._result:
            return
        self._sides, self._result = (before, after), result
        self.changed()

    def build(self, width: int) -> list[Line]:
        """See `LineView.build`."""
        letters: list[Line] = [
            [(f"{sign} ", "key"), (text, "plain")] for sign, text in zip("AB", self._sides, strict=True)
        ]
        lines = flow([letters[0], [("→ ", "dim"), *letters[1]]], width, [(" ", "plain")])
        result = self._result
        if result is None:
            return [*lines, []]
        if result.summary.total == 0:
            lines.append([(" OK the two are equal", "ok")])
        else:
            total: Line = [(f" {fmt.plural(result.summary.total, 'change')}  ", "strong")]
            lines += flow(component_counts(result.by_component), width, total)
        for one in result.findings[:_FINDINGS_MAX]:
            sign: Span = ("!! ", "warn") if one.severity is not Severity.INFO else ("i ", "dim")
            lines += paragraph(sign[0] + one.message, width, sign[1], " ")
        if len(result.findings) > _FINDINGS_MAX:
            lines.append([(f" and {len(result.findings) - _FINDINGS_MAX:,} more notes: e writes all to a file", "dim")])
        return lines
