"""The evidence of a drill's scenario, readable here: what was done, what held, what was read from where, how long."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget

from maos_ckpt.model.drills import SCENARIO_TITLES, DrillReport, DrillScenario, ScenarioResult
from maos_ckpt_tui import drill_words as words
from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.modals.base import Modal
from maos_ckpt_tui.safe_text import safe_text
from maos_ckpt_tui.viewmodel import short
from maos_ckpt_tui.widgets.lines import Line, facts, paragraph
from maos_ckpt_tui.widgets.row_list import RowList

_WIDTH_MIN = 20


class EvidenceLines(RowList):
    """Plain lines that scroll; laid out again where the width is another one."""

    POINTED = False

    def __init__(self, report: DrillReport, result: ScenarioResult) -> None:
        super().__init__(id="evidence")
        self._report, self._result = report, result
        self._lines: list[Line] = []

    @property
    def row_count(self) -> int:
        """See `RowList.row_count`."""
        return len(self._lines)

    def rows_changed(self) -> None:
        """See `RowList.rows_changed`."""
        self._lines = evidence_lines(self._report, self._result, max(_WIDTH_MIN, self._width - 4))
        super().rows_changed()

    def row(self, index: int, width: int) -> Line:
        """See `RowList.row`."""
        return self._lines[index]


def evidence_lines(report: DrillReport, result: ScenarioResult, width: int) -> list[Line]:
    """All that a report says of one scenario."""
    sign, tone = words.sign(result)
    verdict = "not applicable here" if not result.applicable else "passed" if result.passed else "FAILED"
    title = SCENARIO_TITLES[DrillScenario(result.scenario)]
    lines: list[Line] = [[(f"{sign} {verdict}: ", tone), (title, "strong")], []]
    rows = [
        ("when", f"{fmt.utc(report.started_at_ms)}, {report.trigger}, by {report.who}", "plain"),
        ("drilled", f"checkpoint {short(result.checkpoint or report.checkpoint)}, {report.source}", "plain"),
        ("fault", result.fault, "plain"),
        ("why", result.why, "bad" if result.applicable else "dim"),
        ("rto", words.against(result.rto_s, report.rto_target_s, result.passed), "plain"),
        ("rpo", words.against(result.rpo_s, report.rpo_target_s, result.passed), "plain"),
        ("reason", report.reason, "plain"),
    ]
    lines += facts([row for row in rows if row[1]], width)
    lines += _section(f"Assertions, {sum(one.passed for one in result.assertions)} of {len(result.assertions)} hold")
    for one in result.assertions:
        mark, held = ("OK ", "ok") if one.passed else ("XX ", "bad")
        said = f"{one.name}: {one.detail}" if one.detail else one.name
        for number, line in enumerate(paragraph(said, width - 4, "plain" if one.passed else "bad")):
            lines.append([(" " + mark if number == 0 else "    ", held), *line])
    lines += _section("Steps")
    lines += facts([(words.stopwatch(one.at_s), one.name, "plain") for one in result.steps], width)
    lines += _section("Read, from where")
    reads = (*result.reads, *(one for one in report.reads if one not in result.reads))
    told = [(one.tier, f"{fmt.plural(one.objects, 'object')}, {fmt.size(one.bytes)}", "plain") for one in reads]
    lines += facts(told or [("nothing", "no stored object was read", "dim")], width)
    for note in result.notes:
        lines += paragraph(f"!! {note}", width, "warn", " ")
    lines += [[], *facts([("report", report.evidence, "accent")], width)]
    return lines


def _section(title: str) -> list[Line]:
    return [[], [(title, "head")]]


class EvidenceModal(Modal[bool]):
    """Scrolls with the list keys; `y` copies the report's path."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,q", "cancel", "Close", show=False),
        Binding("y", "copy", "Copy", show=False),
    ]
    AUTO_FOCUS = "#evidence"

    def __init__(self, report: DrillReport, result: ScenarioResult) -> None:
        super().__init__(f"Evidence of {safe_text(result.scenario)}")
        self.add_class("large")
        self._report, self._result = report, result

    def inside(self) -> Iterable[Widget]:
        """See `Modal.inside`."""
        yield EvidenceLines(self._report, self._result)

    def hints(self) -> tuple[tuple[str, str], ...]:
        """See `Modal.hints`."""
        return (("↑↓", "scroll"), ("y", "copy path"), ("enter", "close"))

    def action_copy(self) -> None:
        """The path of the report for people."""
        self.console.copy(self._report.evidence)
