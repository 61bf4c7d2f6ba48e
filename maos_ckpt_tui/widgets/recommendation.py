"""What a recovery would go back to, and why; a recovery that runs or has just ended stands above it."""

from __future__ import annotations

from maos_ckpt.model import Advice, Recommendation
from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.progress import ProgressMeter
from maos_ckpt_tui.sentences import Sentence
from maos_ckpt_tui.suspects import Suspect
from maos_ckpt_tui.viewmodel import short
from maos_ckpt_tui.widgets.lines import Line, LineView, Span, fit, paragraph, rule
from maos_ckpt_tui.widgets.live_progress import goes_on_lines, progress_lines

_HEIGHT_TALL = 30
_ROWS_MAX, _ROWS_MAX_TALL = 7, 14


class RecommendationView(LineView):
    """At most a few lines where the terminal is low."""

    def __init__(self) -> None:
        super().__init__(id="recommendation")
        self._found: Recommendation | None = None
        self._suspects: tuple[Suspect, ...] = ()
        self._waiting = "Looking for the checkpoint to recommend; enter waits for it."
        self._now_ms = 0
        self._meter: ProgressMeter | None = None
        self._last: Sentence | None = None

    def show(self, found: Recommendation | None, suspects: tuple[Suspect, ...], waiting: str) -> None:
        """What was found; None, and `waiting`, while that is not known."""
        self._found, self._suspects, self._waiting = found, suspects, waiting
        self.changed()

    def age(self, now_ms: int) -> None:
        """Time has passed."""
        self._now_ms = now_ms
        self.changed()

    def tell(self, meter: ProgressMeter | None, last: Sentence | None) -> None:
        """A recovery that runs (None: none), and how the last one ended."""
        self._meter, self._last = meter, last
        self.changed()

    def build(self, width: int) -> list[Line]:
        """See `LineView.build`."""
        if self._meter is not None:
            return [rule("A recovery is running", width), *progress_lines(self._meter, width), *goes_on_lines(width)]
        lines: list[Line] = []
        if self._last is not None:
            tone, text = self._last
            lines.append(fit([(f" {text}", tone), ("  u", "key"), (" takes it back", "dim")], width))
        told = self._told(width)
        most = _ROWS_MAX_TALL if self.app.size.height >= _HEIGHT_TALL else _ROWS_MAX
        return [*lines, *told[:most]]

    def _told(self, width: int) -> list[Line]:
        found = self._found
        if found is None:
            return paragraph(self._waiting, width, "dim", " ")
        best = found.recommended
        if best is None:
            return paragraph("!! No checkpoint can be recommended: choose one yourself.", width, "warn", " ")
        spans: list[Span] = [(f"OK Go back to {short(best.checkpoint)}, {self._age(best)}.", "ok")]
        spans += [(best.reasons[0], "strong")] if best.reasons else []
        if self._suspects:
            named = "; ".join(f"{one.agent}: {one.why}" for one in self._suspects)
            spans.append((f"!! Looks wrong: {named}. The next step offers it alone.", "warn"))
        spans += [(one, "plain") for one in best.reasons[1:]]
        spans += [(f"!! {one}", "warn") for one in best.warnings]
        return [line for text, tone in spans for line in _bounded(text, width, tone)]

    def _age(self, best: Advice) -> str:
        return f"{fmt.when(best.created_at_ms, self._now_ms)}, {fmt.minutes_ago(best.created_at_ms, self._now_ms)}"


def _bounded(text: str, width: int, tone: str) -> list[Line]:
    lines = paragraph(text, width - 2, tone, " ")
    return lines if len(lines) <= 2 else [lines[0], [*lines[1], (" …", tone)]]
