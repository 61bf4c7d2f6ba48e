"""Where in time one looks: a strip of the checkpoints from old to new with the live state at its right end."""

from __future__ import annotations

from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.explore.position import Position
from maos_ckpt_tui.viewmodel import ConsoleModel, short
from maos_ckpt_tui.widgets.lines import Line, LineView, spread

_TRACK_CELLS_MAX = 100
_TRACK_CELLS_MIN = 12
_MINUTE_MS = 60_000


class TimeStrip(LineView):
    """One line; it changes with the position and with news, not with every second."""

    def __init__(self) -> None:
        super().__init__(id="strip")
        self._model = ConsoleModel()
        self._position = Position()
        self._now_ms = 0
        self._note = ""

    def show(self, model: ConsoleModel, position: Position, now_ms: int, note: str = "") -> None:
        """Another position, or other checkpoints; `note` tells what differs from the place before."""
        self._model, self._position, self._now_ms, self._note = model, position, now_ms, note
        self.changed()

    def _words(self, width: int) -> Line:
        model, position = self._model, self._position
        if position.live:
            return [(" LIVE", "strong"), (" the state as it is now", "plain")]
        one, number = position.checkpoint(model), position.number(model)
        if one is None or number is None:
            return [(f" {short(position.id)}" if position.id else " ", "strong"), (" not listed any more", "warn")]
        young = self._now_ms - one.created_at_ms < _MINUTE_MS
        ago = "under a minute ago" if young else fmt.minutes_ago(one.created_at_ms, self._now_ms)
        total = fmt.count(len(model.checkpoints)) + ("" if model.complete else "+")
        place = f"  {len(model.checkpoints) - number} of {total}" if width >= 70 else ""
        return [
            (f" {short(one.id)}", "key"),
            (f" {fmt.utc(one.created_at_ms)}", "strong"),
            (f", {ago}{place}", "plain"),
        ]

    def _track(self, cells: int) -> Line:
        number, total = self._position.number(self._model), len(self._model.checkpoints)
        if number is None:
            return []
        if number < 0:
            return [("─" * cells, "faint"), ("[live]", "strong")]
        at = (cells - 1) * (total - 1 - number) // max(1, total - 1)
        return [("─" * at, "faint"), ("●", "accent"), ("─" * (cells - 1 - at), "faint"), (" live ", "dim")]

    def build(self, width: int) -> list[Line]:
        """See `LineView.build`."""
        left = self._words(width)
        if self._note:
            left = [*left, ("  ", "plain"), (self._note, "accent")]
        room = width - sum(len(text) for text, _ in left) - 12
        if room < _TRACK_CELLS_MIN:
            return [spread(left, [("← → ", "key")], width)]
        return [spread(left, [("←", "key"), *self._track(min(room, _TRACK_CELLS_MAX)), ("→ ", "key")], width)]
