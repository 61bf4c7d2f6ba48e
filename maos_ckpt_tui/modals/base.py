"""A dialog: a titled box in the middle, `escape` leaves it with None."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar, TypeVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widget import Widget

from maos_ckpt_tui.widgets.lines import Line, LineView, fit

if TYPE_CHECKING:
    from maos_ckpt_tui.console import ConsoleApp

T = TypeVar("T")


class HintLine(LineView):
    """The keys of a dialog."""

    def __init__(self, *pairs: tuple[str, str]) -> None:
        super().__init__(classes="hint")
        self._pairs = pairs

    def build(self, width: int) -> list[Line]:
        """See `LineView.build`."""
        line: Line = []
        for key, word in self._pairs:
            line += [(key, "key"), (f" {word}   ", "dim")]
        return [fit(line, width)]


class ModalTitle(LineView):
    """A dialog's first line."""

    def __init__(self, title: str, tone: str = "strong") -> None:
        super().__init__(classes="modal-title")
        self._line: Line = [(title, tone)]

    def build(self, width: int) -> list[Line]:
        """See `LineView.build`."""
        return [fit(self._line, width), *([[]] if self.app.size.height >= 24 else [])]


class Modal(ModalScreen[T | None]):
    """Base of all dialogs; subclasses give `inside`."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "Cancel", show=False)]

    def __init__(self, title: str, tone: str = "strong") -> None:
        super().__init__()
        self._title, self._tone = title, tone

    @property
    def console(self) -> ConsoleApp:
        """The application, typed."""
        return cast("ConsoleApp", self.app)

    def inside(self) -> Iterable[Widget]:
        """What the box holds below its title."""
        return ()

    def hints(self) -> tuple[tuple[str, str], ...]:
        """Keys and what they do, for the box's last line."""
        return (("esc", "back"),)

    def compose(self) -> ComposeResult:
        """Title, content, keys."""
        with VerticalScroll(id="box", can_focus=False):
            yield ModalTitle(self._title, self._tone)
            yield from self.inside()
            yield HintLine(*self.hints())

    def end(self, result: T | None) -> None:
        """Leave with a result; a second key that was already on its way does nothing."""
        if self.is_current:
            self.dismiss(result)

    def action_cancel(self) -> None:
        """Leave with None."""
        self.end(None)
