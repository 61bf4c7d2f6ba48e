"""Where a tree's new nodes go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class Pending(Protocol):
    """The id of a chunk that is being stored."""

    def done(self) -> bool:
        """Whether `result` answers at once."""
        ...

    def result(self) -> bytes:
        """The id, once the chunk is stored; raises what storing it raised."""
        ...


@dataclass(frozen=True, slots=True)
class Done:
    """The id of a chunk that is stored already."""

    id: bytes

    def done(self) -> bool:
        """See `Pending.done`."""
        return True

    def result(self) -> bytes:
        """See `Pending.result`."""
        return self.id


class ChunkSink(Protocol):
    """Takes chunks, in the order in which they are to lie."""

    def put(self, plain: bytes, label: str, predecessor: bytes | None = None) -> Pending:
        """Store a chunk unless it is there.

        Args:
            label: the collection, for which codecs are measured.
            predecessor: the chunk of the same place in the tree before, as a candidate base for a delta.
        """
        ...
