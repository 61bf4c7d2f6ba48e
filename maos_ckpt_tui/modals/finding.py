"""A finding with all that it touches, and a verification with what it was about."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget

from maos_ckpt.ids import is_checkpoint_id
from maos_ckpt.model import Finding
from maos_ckpt.model.integrity import VerificationRun
from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.integrity_view import WHAT_LEVELS_READ, run_about
from maos_ckpt_tui.modals.base import Modal
from maos_ckpt_tui.modals.report import FINDING_TONES
from maos_ckpt_tui.safe_text import safe_name
from maos_ckpt_tui.widgets.lines import Paragraphs, Span

_AFFECTED_MAX = 100
_NAME_CELLS_MAX = 90
_NEXT = {
    "checkpoint": "R repairs it where another tier holds what is damaged; recover from another checkpoint meanwhile.",
    "manifest": "R brings it back from the remote copy, where there is one.",
    "tier": "The remote copy could not be read: what is here was.",
}
_NEXT_ELSE = "R repairs it where another tier holds the object."


class FindingModal(Modal[str]):
    """Ends with the id of the checkpoint to open, or None."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(f"Finding: {finding.kind}")
        self._finding = finding
        names = (finding.object, *finding.affected)
        self._checkpoint = next((one for one in names if is_checkpoint_id(one)), "")

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter,o", "open", "Open", show=False)]

    def inside(self) -> Iterable[Widget]:
        """See `Modal.inside`."""
        one = self._finding
        sign, tone = FINDING_TONES[one.severity]
        lines: list[Span] = [(f"{sign}{one.message}", tone)]
        if one.object:
            lines += [("", "plain"), (f"Object: {safe_name(one.object, _NAME_CELLS_MAX)}", "plain")]
        if one.affected:
            lines += [("", "plain"), (f"It touches {fmt.count(one.beyond(0))}:", "head")]
            lines += [(f"  {safe_name(name, _NAME_CELLS_MAX)}", "plain") for name in one.affected[:_AFFECTED_MAX]]
            more = one.beyond(_AFFECTED_MAX)
            lines += [(f"  and {more:,} more", "dim")] if more > 0 else []
        if one.severity.value != "info":
            lines += [("", "plain"), (f"Next: {_NEXT.get(one.kind, _NEXT_ELSE)}", "accent")]
        yield Paragraphs(lines)

    def hints(self) -> tuple[tuple[str, str], ...]:
        """See `Modal.hints`."""
        return (("enter", "open the checkpoint" if self._checkpoint else "close"), ("esc", "back"))

    def action_open(self) -> None:
        """Go to the checkpoint that it is about."""
        self.end(self._checkpoint or None)


class RunModal(Modal[bool]):
    """What a verification of before read."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter,space,q", "cancel", "Close", show=False)]

    def __init__(self, run: VerificationRun) -> None:
        super().__init__("OK Verified" if run.ok else "XX Faults found", "ok" if run.ok else "bad")
        self._run = run

    def inside(self) -> Iterable[Widget]:
        """See `Modal.inside`."""
        one = self._run
        lines: list[Span] = [
            (f"{fmt.utc(one.at_ms)}, {one.level}: {WHAT_LEVELS_READ.get(one.level, one.level)}", "plain"),
            (f"About: {run_about(one)}", "plain"),
            (f"Read: {fmt.plural(one.objects, 'object')}, {fmt.size(one.bytes)}, past every cache", "plain"),
            (f"Findings: {fmt.count(one.findings)}", "plain" if one.ok else "bad"),
        ]
        names = one.checkpoints
        lines += [(f"  {safe_name(name, _NAME_CELLS_MAX)}", "dim") for name in names[:_AFFECTED_MAX]]
        if len(names) > _AFFECTED_MAX:
            lines.append((f"  and {len(names) - _AFFECTED_MAX:,} more", "dim"))
        yield Paragraphs(lines)

    def hints(self) -> tuple[tuple[str, str], ...]:
        """See `Modal.hints`."""
        return (("enter", "close"),)
