"""The diff mode: the latest safe checkpoint against the live state, until other sides are chosen."""

from __future__ import annotations

from textual.app import ComposeResult

from maos_ckpt.model import CheckpointState
from maos_ckpt_tui.changes import ChangeTree
from maos_ckpt_tui.modals.pick import LIVE
from maos_ckpt_tui.screens.diff import DiffScreen
from maos_ckpt_tui.widgets.lines import Line
from maos_ckpt_tui.widgets.mode_bar import ModeBar


class DiffModeScreen(DiffScreen):
    """See `DiffScreen`; compares as soon as there is a checkpoint."""

    def __init__(self) -> None:
        super().__init__(None)

    def above(self) -> ComposeResult:
        """The modes."""
        yield ModeBar("diff")

    def model_changed(self) -> None:
        """Begin with the first checkpoint that is known."""
        super().model_changed()
        if self._sides[0]:
            return
        whole = [one for one in self.console.model.checkpoints if one.state is not CheckpointState.DAMAGED]
        if whole:
            self._sides = (whole[0].id, LIVE)
            self._compare()
        else:
            self.changes.show(ChangeTree(), "Changes", [], self._nothing())

    def _nothing(self) -> list[Line]:
        if not self.console.model.loaded:
            return [[("  Loading…", "dim")]]
        if self.console.model.checkpoints:
            return [
                [("  Every checkpoint is damaged: ", "bad"), ("5", "key"), (" shows why and can mend it.", "plain")]
            ]
        first: Line = [("  No checkpoint yet, so there is nothing to compare with: ", "plain")]
        return [[*first, ("2", "key"), (" and ", "plain"), ("c", "key"), (" takes one.", "plain")]]
