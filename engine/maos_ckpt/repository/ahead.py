"""Which chunks will be read next, guessed from those that were: a reader who goes through a node's children in order
will want the rest of them. One who looks up single records gets nothing ahead, and pays for nothing."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field

from maos_ckpt.tree.large import references
from maos_ckpt.tree.nodes import ID_BYTES, INDEX, LEAF, decode_index, decode_leaf, node_kind

#: So many children are wanted ahead at most; the number doubles from child to child.
WINDOW_MAX = 128
#: A child after which so many were passed over (known already, say) is still the next one.
_PASSED_MAX = 4
#: The level that pieces of large values are counted as.
_PIECES = -1


@dataclass(slots=True)
class _Children:
    """Children of the node read last at some level: position by id, the one read last, and how far was looked ahead.

    `ends`: of pieces, where those of each value end.
    """

    ids: list[bytes]
    ends: list[int] = field(default_factory=list)
    places: dict[bytes, int] = field(init=False)
    last: int | None = None
    asked: int = 0

    def __post_init__(self) -> None:
        self.places = {chunk: place for place, chunk in enumerate(self.ids)}


class ReadAhead:
    """Follows one reader. Thread-safe.

    Args:
        want: told of chunks that will be asked for soon, in order.
    """

    def __init__(self, want: Callable[[list[bytes]], None]) -> None:
        self._want = want
        self._lock = threading.Lock()
        self._levels: dict[int, _Children] = {}
        self._window = 1
        #: How many readers say now that what they read tells nothing about what they will read.
        self.off = 0
        #: Whether the reader went from one large value on to the next: one who wants a single record does not.
        self._goes_on = False

    def was_read(self, chunk: bytes, plain: bytes) -> None:
        """A chunk was read from afar, verified."""
        if self.off:
            return
        with self._lock:
            wanted = self._next(chunk)
            self._enter(plain)
        if wanted:
            self._want(wanted)

    def _next(self, chunk: bytes) -> list[bytes]:
        for children in self._levels.values():
            place = children.places.get(chunk)
            if place is None:
                continue
            in_order = children.last is not None and 0 < place - children.last <= _PASSED_MAX
            if in_order:
                self._window = min(self._window * 2, WINDOW_MAX)
            elif children.last is not None or place:
                self._window = 1
                self._goes_on = False
            if in_order and place in children.ends:
                self._goes_on = True
            children.last = place
            if self._window == 1:
                return []
            low = max(place + 1, children.asked)
            # Asked for in portions: each is worth a request, and the next is on its way before this one is used up.
            if low - place > self._window // 2:
                return []
            high = place + 1 + self._window
            if children.ends and not self._goes_on:
                high = min(high, children.ends[bisect_right(children.ends, place)])
            children.asked = max(low, high)
            return children.ids[low : children.asked]
        return []

    def _enter(self, plain: bytes) -> None:
        kind = node_kind(plain)
        if kind == INDEX:
            entries = decode_index(plain)
            self._levels[entries[0].level] = _Children([one.id for one in entries])
        elif kind == LEAF:
            leaf = decode_leaf(plain)
            if leaf.pieces:
                ids: list[bytes] = []
                ends: list[int] = []
                for pieces in (pieces for value in leaf.values for _, pieces in references(value)):
                    ids += [pieces[at : at + ID_BYTES] for at in range(0, len(pieces), ID_BYTES)]
                    ends.append(len(ids))
                self._levels[_PIECES] = _Children(ids, ends)
