"""What a save changed in its parent's trees, as far as it edited them: nobody has to compare the two again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final

from maos_ckpt.sources.sqlite.spool import Spool
from maos_ckpt.tree.diff import RecordDifference

CollectionName = tuple[str, str]
#: What temporary files may hold of them.
BYTES_MAX: Final = 256 << 20


class KnownChanges:
    """By collection, the records that differ between a parent's tree, by its root, and the one made of it.

    A collection of which nothing was noted is not known. `close` it.
    """

    def __init__(self) -> None:
        self._found: dict[CollectionName, tuple[bytes | None, Spool]] = {}
        self._bytes = 0

    def begin(self, name: CollectionName, root: bytes | None) -> None:
        """The collection's tree is about to be edited; `root` is the parent's."""
        self.forget(name)
        self._found[name] = root, Spool()

    def note(self, name: CollectionName, key: bytes, before: bytes | None, after: bytes | None) -> None:
        """One record of a collection that was begun, in key order."""
        if name not in self._found:
            return
        spool = self._found[name][1]
        size = spool.bytes
        try:
            spool.add((key, before if before is None else bytes(before), after if after is None else bytes(after)))
        except OSError:
            self.forget(name)
            return
        self._bytes += spool.bytes - size
        if self._bytes > BYTES_MAX:
            self.forget(name)

    def forget(self, name: CollectionName) -> None:
        """The collection was read as a whole instead."""
        found = self._found.pop(name, None)
        if found is not None:
            with contextlib.suppress(OSError):
                found[1].close()

    def since(self, name: CollectionName, root: bytes | None) -> Iterator[RecordDifference] | None:
        """The records that differ from the tree of `root`, as (key, value there, value now); None: not known."""
        found = self._found.get(name)
        return None if found is None or found[0] != root else iter(found[1])  # type: ignore[return-value]

    def close(self) -> None:
        """Forget all."""
        for name in list(self._found):
            self.forget(name)
