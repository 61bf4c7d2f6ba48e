"""What an engine does when it has nothing to do: between two saves, cold packs are compressed harder."""

from __future__ import annotations

import logging
from collections.abc import Callable

from maos_ckpt.errors import CkptError
from maos_ckpt.model import CompactResult

_LOG = logging.getLogger(__name__)
#: Scheduled saves from one compaction to the next, …
SAVES = 20
#: … and where the last one left something to do.
SAVES_BUSY = 4
#: A compaction takes so long at most, …
SLICE_S_MAX = 10.0
#: … ends so long before the next save is due, …
MARGIN_S = 4.0
#: … and is not begun for less.
SLICE_S_MIN = 2.0


class IdleTime:
    """Decides when to compact. Used by the writers' lane; `running` may be asked from anywhere.

    Args:
        compact: compacts for so many seconds.
    """

    def __init__(self, compact: Callable[[float], CompactResult]) -> None:
        self._compact = compact
        self._saves_left = SAVES_BUSY
        self.running = False

    def use(self, left_s: float) -> None:
        """A scheduled save is done, nothing waits, and the next one is due in `left_s` seconds."""
        self._saves_left -= 1
        slice_s = min(left_s - MARGIN_S, SLICE_S_MAX)
        if self._saves_left > 0 or slice_s < SLICE_S_MIN:
            return
        self.running = True
        try:
            more = self._compact(slice_s).more
        except CkptError as error:
            _LOG.info("cold packs were not compressed harder: %s", error)
            more = False
        finally:
            self.running = False
        self._saves_left = SAVES_BUSY if more else SAVES
