"""Where in time one looks: at a checkpoint, or at the live state, which lies behind the newest one."""

from __future__ import annotations

from collections.abc import Collection

from maos_ckpt.model import Checkpoint
from maos_ckpt_tui.viewmodel import ConsoleModel

LIVE = "live"
OLDER, NEWER = 1, -1


class Position:
    """A place that several screens share; `id` is a checkpoint's, `LIVE`, or "" while none is known yet."""

    def __init__(self, id: str = "") -> None:
        self.id = id

    @property
    def live(self) -> bool:
        """Whether it is the live state."""
        return self.id == LIVE

    def settle(self, model: ConsoleModel) -> None:
        """Where nothing was chosen yet: the newest checkpoint, or the live state where there is none."""
        if not self.id and model.loaded:
            self.id = model.checkpoints[0].id if model.checkpoints else LIVE

    def checkpoint(self, model: ConsoleModel) -> Checkpoint | None:
        """The checkpoint looked at; None for the live state, and for one that is not listed."""
        return None if self.live else model.find(self.id)

    def number(self, model: ConsoleModel) -> int | None:
        """0 for the newest checkpoint, -1 for the live state, None where it is not listed."""
        if self.live:
            return -1
        return next((at for at, one in enumerate(model.checkpoints) if one.id == self.id), None)

    def step(self, model: ConsoleModel, towards: int) -> bool:
        """To the next older or newer place; False where there is none."""
        at = self.number(model)
        wanted = 0 if at is None else at + towards
        if not -1 <= wanted < len(model.checkpoints):
            return False
        self.id = LIVE if wanted < 0 else model.checkpoints[wanted].id
        return True

    def leap(self, model: ConsoleModel, towards: int, collections: Collection[str]) -> bool:
        """To the next place where one of some collections (by path) holds something else; False where there is none.

        What the live state holds is not known without reading it: it counts as something else.
        """
        at, listed = self.number(model), model.checkpoints
        if at is None or at < 0:
            return self.step(model, towards)
        here = _roots(listed[at], collections)
        wanted = at + towards
        while 0 <= wanted < len(listed) and _roots(listed[wanted], collections) == here:
            wanted += towards
        if wanted >= len(listed):
            return False
        self.id = LIVE if wanted < 0 else listed[wanted].id
        return True


def _roots(checkpoint: Checkpoint, collections: Collection[str]) -> dict[str, bytes | None]:
    return {one.path: one.root for one in checkpoint.collections if one.path in collections}
