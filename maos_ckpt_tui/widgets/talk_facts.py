"""Whose conversation it is: the agent's state and task, or the session's or transcript's name."""

from __future__ import annotations

from maos_ckpt_tui.explore import rows
from maos_ckpt_tui.explore.reading import cell
from maos_ckpt_tui.explore.talk import Talk
from maos_ckpt_tui.safe_text import safe_name
from maos_ckpt_tui.widgets.lines import Line, LineView, fit

_TITLE_CELLS_MAX = 40


class TalkFacts(LineView):
    """One line, and one for the task."""

    def __init__(self) -> None:
        super().__init__(id="facts")
        self._talk: Talk | None = None
        self._thing = ""

    def show(self, talk: Talk | None, thing: str) -> None:
        """Another state of it."""
        self._talk, self._thing = talk, thing
        self.changed()

    def build(self, width: int) -> list[Line]:
        """See `LineView.build`."""
        talk = self._talk
        if talk is None or talk.agent is None:
            source: Line = [("  MAOS's own record of it: no transcript here", "warn")] if talk and talk.turns else []
            return [fit([(f" {self._thing}", "strong"), *source], width)]
        values = talk.agent.values
        line: Line = [
            (f" {safe_name(talk.agent.key, _TITLE_CELLS_MAX)}", "strong"),
            ("  ", "plain"),
            rows.status(values),
        ]
        line += [(f"  {cell(values, 'type')}  last active {rows.moment(values, 'last_active', 'created_at')}", "dim")]
        if talk.source == "session":
            line.append(("  from MAOS's session: no transcript here", "warn"))
        task = rows.task_of(values)
        return [fit(line, width), *([fit([(" task  ", "dim"), (task, "plain")], width)] if task else [])]
