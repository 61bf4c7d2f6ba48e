"""One state of all there are: any checkpoint, or the live state; typing filters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget
from textual.widgets import Input

from maos_ckpt.model import Checkpoint
from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.checkpoint_view import marks_words, passing, why_words
from maos_ckpt_tui.modals.base import Modal
from maos_ckpt_tui.modals.prompt import text_input
from maos_ckpt_tui.viewmodel import short
from maos_ckpt_tui.widgets.lines import Line, fit
from maos_ckpt_tui.widgets.row_list import RowList

LIVE = "live"
_LIVE_WORDS = "live the live state, as it is now"


class StateList(RowList):
    """The live state first, then checkpoints, newest first."""

    def __init__(self, checkpoints: Sequence[Checkpoint], now_ms: int) -> None:
        super().__init__(id="entries")
        self.can_focus = False
        self._all, self._now_ms = checkpoints, now_ms
        self.shown: list[Checkpoint | None] = [None, *checkpoints]

    @property
    def row_count(self) -> int:
        """See `RowList.row_count`."""
        return len(self.shown)

    def match(self, text: str) -> None:
        """Keep what holds every word."""
        live = all(word in _LIVE_WORDS for word in text.casefold().split())
        self.shown = [*([None] if live else []), *passing(self._all, text)]
        self.cursor = 0
        self.rows_changed()

    def placeholder(self, width: int) -> list[Line]:
        """See `RowList.placeholder`."""
        return [[("  No checkpoint matches that.", "dim")]]

    def row(self, index: int, width: int) -> Line:
        """See `RowList.row`."""
        one = self.shown[index]
        if one is None:
            return [("live    ", "strong"), ("the live state, as it is now", "plain")]
        why, tone = why_words(one)
        notes = " ".join(part for part in (marks_words(one), one.description) if part)
        return fit(
            [
                (f"{short(one.id)}  ", "strong"),
                (f"{fmt.when(one.created_at_ms, self._now_ms):<13}", "plain"),
                (f"{fmt.span((self._now_ms - one.created_at_ms) / 1000):>5}  ", "dim"),
                (f"{why:<10}  ", tone),
                (notes, "key"),
            ],
            width,
        )


class PickModal(Modal[str]):
    """Ends with a checkpoint's id or `live`, or with None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "step(-1)", "Up", show=False),
        Binding("down", "step(1)", "Down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
    ]
    AUTO_FOCUS = "#text"
    DEFAULT_CLASSES = "large"

    def __init__(self, title: str, checkpoints: Sequence[Checkpoint], now_ms: int) -> None:
        super().__init__(title)
        self._checkpoints, self._now_ms = checkpoints, now_ms

    def inside(self) -> Iterable[Widget]:
        """See `Modal.inside`."""
        yield text_input("filter: id, description, tag, trigger, state, date", "text")
        yield StateList(self._checkpoints, self._now_ms)

    def hints(self) -> tuple[tuple[str, str], ...]:
        """See `Modal.hints`."""
        return (("↑↓", "move"), ("enter", "take it"), ("esc", "back"))

    def on_input_changed(self, event: Input.Changed) -> None:
        """Match as one types."""
        event.stop()
        self.query_one(StateList).match(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take the one under the cursor."""
        event.stop()
        states = self.query_one(StateList)
        if states.shown:
            one = states.shown[states.cursor]
            self.end(LIVE if one is None else one.id)

    def action_step(self, step: int) -> None:
        """One up or down."""
        self.query_one(StateList).action_cursor(step)

    def action_page(self, step: int) -> None:
        """One page up or down."""
        self.query_one(StateList).action_page(step)
