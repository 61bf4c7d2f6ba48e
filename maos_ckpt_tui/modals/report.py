"""What a verification read and found."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget

from maos_ckpt.model import Finding, Severity, VerifyLevel, VerifyResult
from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.modals.base import Modal
from maos_ckpt_tui.safe_text import safe_name
from maos_ckpt_tui.widgets.lines import Paragraphs, Span

_FINDINGS_MAX = 50
_AFFECTED_MAX = 5
_NAME_CELLS_MAX = 80
FINDING_TONES = {Severity.INFO: ("i ", "dim"), Severity.WARNING: ("!! ", "warn"), Severity.ERROR: ("XX ", "bad")}
_WHAT = {
    VerifyLevel.QUICK: "that the objects exist and have the right size",
    VerifyLevel.STANDARD: "every pack's checksum",
    VerifyLevel.FULL: "every chunk decoded, all roots rebuilt, the digest compared",
}


def finding_paragraphs(findings: Iterable[Finding], limit: int = _FINDINGS_MAX) -> list[Span]:
    """Findings as paragraphs, the worst first, what is affected beneath."""
    order = [Severity.ERROR, Severity.WARNING, Severity.INFO]
    ranked = sorted(findings, key=lambda one: order.index(one.severity))
    lines: list[Span] = []
    for one in ranked[:limit]:
        sign, tone = FINDING_TONES[one.severity]
        lines.append((f"{sign}{one.message}", tone))
        if one.affected:
            more = one.beyond(_AFFECTED_MAX)
            names = ", ".join(safe_name(name, _NAME_CELLS_MAX) for name in one.affected[:_AFFECTED_MAX])
            lines.append((f"   {names}{f' and {more:,} more' if more > 0 else ''}", "dim"))
    if len(ranked) > limit:
        lines.append((f"… and {len(ranked) - limit:,} more findings", "dim"))
    return lines


class FindingsModal(Modal[bool]):
    """All findings of a plan."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter,space,q", "cancel", "Close", show=False)]

    def __init__(self, findings: Iterable[Finding]) -> None:
        super().__init__("Findings")
        self._findings = list(findings)

    def inside(self) -> Iterable[Widget]:
        """See `Modal.inside`."""
        yield Paragraphs(finding_paragraphs(self._findings))

    def hints(self) -> tuple[tuple[str, str], ...]:
        """See `Modal.hints`."""
        return (("enter", "close"),)


class VerifyReport(Modal[bool]):
    """Says plainly what was read, so that a quick green is not taken for a full one."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter,space,q", "cancel", "Close", show=False)]

    def __init__(self, result: VerifyResult) -> None:
        super().__init__("OK Verified" if result.ok else "XX Faults found", "ok" if result.ok else "bad")
        self._result = result

    def inside(self) -> Iterable[Widget]:
        """See `Modal.inside`."""
        one = self._result
        read = f"{fmt.plural(one.objects, 'object')}, {fmt.size(one.bytes)}, in {fmt.duration(one.duration_s)}"
        lines: list[Span] = [
            (f"Checked: {_WHAT[one.level]}", "plain"),
            (f"Read: {read}; {fmt.plural(one.checkpoints, 'checkpoint')}", "plain"),
        ]
        if one.findings:
            lines += [("", "plain"), *finding_paragraphs(one.findings)]
        yield Paragraphs(lines)

    def hints(self) -> tuple[tuple[str, str], ...]:
        """See `Modal.hints`."""
        return (("enter", "close"),)
