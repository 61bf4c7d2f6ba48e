"""Which checkpoint is recommended, and what is to be said about the one that was chosen."""

from __future__ import annotations

from maos_ckpt.model import Advice, Recommendation
from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.viewmodel import short
from maos_ckpt_tui.widgets.lines import Line, LineView, Span, fit, paragraph

_HEIGHT_TALL = 30
#: Reasons and warnings shown where the screen is low, and where it is high.
_TOLD, _TOLD_TALL = 1, 4
_ROWS_EACH, _ROWS_EACH_TALL = 2, 6


class AdviceView(LineView):
    """Empty until the engine has looked."""

    def __init__(self) -> None:
        super().__init__(id="advice")
        self._found: Recommendation | None = None
        self._now_ms = 0

    def show(self, found: Recommendation, now_ms: int) -> None:
        """What the engine found."""
        self._found, self._now_ms = found, now_ms
        self.changed()

    def build(self, width: int) -> list[Line]:
        """See `LineView.build`."""
        if self._found is None:
            return []
        tall = self.app.size.height >= _HEIGHT_TALL
        rows = _ROWS_EACH_TALL if tall else _ROWS_EACH
        lines: list[Line] = []
        for text, tone in self._told(self._found, _TOLD_TALL if tall else _TOLD):
            told = paragraph(text, width, tone, " ")
            if len(told) > rows:
                told = [*told[: rows - 1], fit([*told[rows - 1], (" …", tone)], width)]
            lines += told
        return lines

    def _told(self, found: Recommendation, number: int) -> list[Span]:
        asked, best = found.asked, found.recommended
        told: list[Span] = []
        if best is not None and asked is not None and asked.checkpoint == best.checkpoint:
            told.append((f"OK Recommended. {best.reasons[0]}", "ok"))
        elif best is not None:
            when = fmt.when(best.created_at_ms, self._now_ms)
            told.append((f"!! Recommended is {short(best.checkpoint)} of {when}. {best.reasons[0]}", "warn"))
        if asked is not None:
            told += _about(asked, best, number)
        return told


def _about(asked: Advice, best: Advice | None, number: int) -> list[Span]:
    same = best is not None and asked.checkpoint == best.checkpoint
    # The first reason of the recommended one is told already.
    reasons: list[Span] = [(one, "dim") for one in asked.reasons[same:]]
    warnings: list[Span] = [(f"!! {one}", "warn") for one in asked.warnings]
    return [*warnings[:number], *reasons[:number]]
