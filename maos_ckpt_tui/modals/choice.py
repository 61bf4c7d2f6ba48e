"""One of a few, with what each means."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from textual import events
from textual.binding import Binding, BindingType
from textual.widget import Widget

from maos_ckpt_tui.modals.base import Modal
from maos_ckpt_tui.safe_text import pad, safe_text
from maos_ckpt_tui.widgets.lines import Line, Paragraphs, fit
from maos_ckpt_tui.widgets.row_list import RowList

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Choice(Generic[T]):
    """A value, its name and what it means; `key` chooses it at once."""

    value: T
    title: str
    help: str
    key: str = ""


class ChoiceList(RowList):
    """Keys and names; the meaning of the one under the cursor stands below."""

    def __init__(self, choices: Sequence[tuple[str, str]]) -> None:
        super().__init__(id="choices")
        self.choices = choices
        self._key_cells = max(len(key) for key, _ in choices)
        self.styles.height = len(choices)

    @property
    def row_count(self) -> int:
        """See `RowList.row_count`."""
        return len(self.choices)

    def row(self, index: int, width: int) -> Line:
        """See `RowList.row`."""
        key, title = self.choices[index]
        line: Line = [(pad(key, self._key_cells + 2), "key")] if self._key_cells else []
        return fit([*line, (safe_text(title), "strong")], width)


class ChoiceModal(Modal[T]):
    """Ends with the chosen value, or None; the first choice is the safe one."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "choose", "Choose", show=False)]
    AUTO_FOCUS = "#choices"

    def __init__(
        self,
        title: str,
        choices: Sequence[Choice[T]],
        intro: Sequence[tuple[str, str]] = (),
        tone: str = "strong",
        leave: str = "back",
    ) -> None:
        super().__init__(title, tone)
        self._choices = choices
        self._leave = leave
        self._intro = [*intro, ("", "plain")] if intro else []

    def inside(self) -> Iterable[Widget]:
        """See `Modal.inside`."""
        if self._intro:
            yield Paragraphs(self._intro)
        yield ChoiceList([(one.key, one.title) for one in self._choices])
        yield Paragraphs([("", "plain"), (self._choices[0].help, "dim")], id="meaning")

    def hints(self) -> tuple[tuple[str, str], ...]:
        """See `Modal.hints`."""
        return (("↑↓", "move"), ("enter", "choose"), ("esc", self._leave))

    def on_key(self, event: events.Key) -> None:
        """A choice's own key."""
        for one in self._choices:
            if one.key and event.key == one.key:
                event.stop()
                self.end(one.value)

    def on_row_list_moved(self, message: RowList.Moved) -> None:
        """Explain the one under the cursor."""
        self.query_one("#meaning", Paragraphs).show([("", "plain"), (self._choices[message.index].help, "dim")])

    def action_choose(self) -> None:
        """End with the one under the cursor."""
        self.end(self._choices[self.query_one(ChoiceList).cursor].value)
