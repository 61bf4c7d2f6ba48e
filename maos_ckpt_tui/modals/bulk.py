"""Dialogs about many checkpoints at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from textual.widgets import Input

from maos_ckpt.model import Checkpoint
from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.modals.confirm import DangerModal
from maos_ckpt_tui.viewmodel import short
from maos_ckpt_tui.widgets.lines import Span

_NAMED_MAX = 12


class DeleteMarkedModal(DangerModal):
    """Ends with "" once `delete N` has been typed, else with None; pinned ones are told to stay."""

    def __init__(self, checkpoints: Sequence[Checkpoint], pinned: int) -> None:
        number = len(checkpoints)
        oldest, newest = (pick(one.created_at_ms for one in checkpoints) for pick in (min, max))
        text: list[Span] = [
            (f"{fmt.plural(number, 'checkpoint')} will be gone for ever, of {fmt.utc(oldest)} to {fmt.utc(newest)}:",
             "plain"),
            (_names(checkpoints), "key"),
        ]  # fmt: skip
        if pinned:
            text.append((f"{fmt.count(pinned)} of those marked {_are(pinned)} pinned and will stay.", "warn"))
        text.append(("The live state and all other checkpoints stay as they are.", "dim"))
        word = f"delete {number}"
        super().__init__(f"!! Delete {fmt.plural(number, 'checkpoint')}?", text, word=word, label="Delete")

    def _missing(self) -> str:
        typed = self.query_one("#word", Input).value.strip()
        return "" if typed == self._word else f"Not typed yet: {self._word}"


def _names(checkpoints: Sequence[Checkpoint]) -> str:
    more = len(checkpoints) - _NAMED_MAX
    names: Iterable[str] = (short(one.id) for one in checkpoints[:_NAMED_MAX])
    return " ".join(names) + (f" and {more:,} more" if more > 0 else "")


def _are(number: int) -> str:
    return "is" if number == 1 else "are"
