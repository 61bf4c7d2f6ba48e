"""Parts of the integrity mode: coverage, findings, verifications of late."""

from __future__ import annotations

from maos_ckpt.model import Checkpoint, Finding, VerifyResult
from maos_ckpt.model.integrity import IntegrityReport, VerificationRun
from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.integrity_view import coverage_words, evidence, run_about, share, verified_words
from maos_ckpt_tui.modals.report import FINDING_TONES
from maos_ckpt_tui.widgets.lines import Line, LineView, Span, fit, flow, paragraph, rule
from maos_ckpt_tui.widgets.operation_bar import bar
from maos_ckpt_tui.widgets.row_list import EDGES, Column, RowList, table_line

_BAR_CELLS, _BAR_CELLS_NARROW = 20, 8
_TIER_CELLS = 7
_HEIGHT_TALL = 30


def _flow(spans: list[Span], width: int, head: Line, *, tall: bool) -> list[Line]:
    """All of it on as many lines as it takes; where the screen is low, what fits on one line, the first first."""
    lines = flow([[span] for span in spans], width, head)
    return lines if tall else lines[:1]


class CoverageView(LineView):
    """How far each tier was read back in turn, how many checkpoints were verified, and the last run's evidence."""

    def __init__(self) -> None:
        super().__init__(id="coverage")
        self._report: IntegrityReport | None = None
        self._trouble = ""
        self._verified: list[Span] = []
        self._result: VerifyResult | None = None
        self._now_ms = 0

    def show(self, report: IntegrityReport | None, trouble: str, checkpoints: list[Checkpoint], now_ms: int) -> None:
        """Another report; `trouble` says why there is none."""
        self._report, self._trouble, self._now_ms = report, trouble, now_ms
        self._verified = verified_words(checkpoints, report) if report is not None else []
        self.changed()

    def show_result(self, result: VerifyResult | None) -> None:
        """What this console's last verification read."""
        self._result = result
        self.changed()

    def tick(self, now_ms: int) -> None:
        """Time has passed."""
        self._now_ms = now_ms
        self.changed()

    def build(self, width: int) -> list[Line]:
        """See `LineView.build`."""
        report = self._report
        if report is None:
            return [rule("Read back", width), *paragraph(self._trouble or "Loading…", width, "dim", "  ")]
        every = f"each object once in {fmt.plural(report.scrub_days, 'day')}" if report.scrub_days else "not scheduled"
        lines = [rule("Read back in turn", width, [(every, "dim")])]
        tall = self.app.size.height >= _HEIGHT_TALL
        cells = _BAR_CELLS if width >= 100 else _BAR_CELLS_NARROW
        for one in report.coverage:
            head: Line = [(f" {one.tier:<{_TIER_CELLS}}", "strong"), *bar(share(one), cells), ("  ", "plain")]
            lines += _flow(coverage_words(one, report.scrub_days, self._now_ms), width, head, tall=tall)
        if self._verified:
            lines += _flow(self._verified, width, [(" verified  ", "strong")], tall=tall)
        if self._result is not None:
            lines += _flow(evidence(self._result), width, [(" last run  ", "strong")], tall=tall)
        return [fit(line, width) for line in lines]


class FindingTable(RowList):
    """What is wrong, the worst first."""

    def __init__(self) -> None:
        super().__init__(id="findings")
        self.findings: list[Finding] = []
        self._note: Span = ("", "dim")
        self._placeholder: list[Span] = []

    @property
    def selected(self) -> Finding | None:
        """The finding under the cursor."""
        return self.findings[self.cursor] if self.findings else None

    def show(self, findings: list[Finding], note: Span, placeholder: list[Span]) -> None:
        """Others; `note` says where they come from, `placeholder` stands where there are none."""
        self.findings, self._note, self._placeholder = findings, note, placeholder
        self.rows_changed()

    @property
    def row_count(self) -> int:
        """See `RowList.row_count`."""
        return len(self.findings)

    def heading(self, width: int) -> list[Line]:
        """See `RowList.heading`."""
        return [rule(f"Findings, {fmt.count(len(self.findings))}", width, [self._note])]

    def placeholder(self, width: int) -> list[Line]:
        """See `RowList.placeholder`."""
        return [line for text, tone in self._placeholder for line in paragraph(text, width - 4, tone, "  ")]

    def row(self, index: int, width: int) -> Line:
        """See `RowList.row`."""
        one = self.findings[index]
        sign, tone = FINDING_TONES[one.severity]
        touched = one.beyond(0)
        tail = f"  touches {fmt.count(touched)}" if touched > 1 else ""
        return [*fit([(sign, tone), (one.message, "plain")], width - len(tail)), (tail, "dim")]


_COLUMNS = (
    Column("", 2, 1),
    Column("WHEN", 11, 1),
    Column("AGO", 5, 5, right=True),
    Column("LEVEL", 8, 1),
    Column("ABOUT", 17, 2, grow=True),
    Column("OBJECTS", 9, 4, right=True),
    Column("READ", 8, 3, right=True),
    Column("FINDINGS", 8, 2, right=True),
)
_HEADINGS: list[Span] = [(column.title, "head") for column in _COLUMNS]


class RunTable(RowList):
    """Verifications of late, newest first."""

    def __init__(self) -> None:
        super().__init__(id="runs")
        self.runs: tuple[VerificationRun, ...] = ()
        self._now_ms = 0

    @property
    def selected(self) -> VerificationRun | None:
        """The run under the cursor."""
        return self.runs[self.cursor] if self.runs else None

    def show(self, runs: tuple[VerificationRun, ...], now_ms: int) -> None:
        """Others."""
        self.runs, self._now_ms = runs, now_ms
        self.rows_changed()

    @property
    def row_count(self) -> int:
        """See `RowList.row_count`."""
        return len(self.runs)

    def heading(self, width: int) -> list[Line]:
        """See `RowList.heading`."""
        title = f"Verifications, {fmt.count(len(self.runs))}"
        titles = table_line(_COLUMNS, _HEADINGS, max(0, width - EDGES))
        return [rule(title, width), [("  ", "plain"), *titles]] if self.runs else [rule(title, width)]

    def placeholder(self, width: int) -> list[Line]:
        """See `RowList.placeholder`."""
        return [[("  None yet, as far as the journal tells. ", "plain"), ("v", "key"), (" begins one.", "plain")]]

    def row(self, index: int, width: int) -> Line:
        """See `RowList.row`."""
        one = self.runs[index]
        cells: list[Span] = [
            ("OK", "ok") if one.ok else ("XX", "bad"),
            (fmt.when(one.at_ms, self._now_ms), "plain"),
            (fmt.span((self._now_ms - one.at_ms) / 1000), "dim"),
            (one.level, "strong" if one.level == "full" else "plain"),
            (run_about(one), "plain"),
            (fmt.count(one.objects), "dim"),
            (fmt.size(one.bytes), "dim"),
            (fmt.count(one.findings), "bad" if one.findings and not one.ok else "dim"),
        ]
        return table_line(_COLUMNS, cells, width)
