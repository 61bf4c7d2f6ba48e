"""The changes of a plan, read from the trees once and given again as often as asked."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Final

from maos_ckpt.model import CollectionKind, Descriptor, Row
from maos_ckpt.recovery.planner import FILE_KINDS
from maos_ckpt.sources.change import Change
from maos_ckpt.sources.sqlite.spool import Spool

#: What a temporary file may hold of them. Larger plans are read from the trees each time.
KEPT_BYTES_MAX: Final = 256 << 20


class KeptChanges:
    """Changes in the order in which they were added; nothing may be added while they are read. `close` it.

    Args:
        again: reads them anew, where there are too many, or no room for them; `files` as in `Planner.changes`.
    """

    def __init__(self, again: Callable[[bool | None], Iterator[Change]], *, bytes_max: int = KEPT_BYTES_MAX) -> None:
        self._again = again
        self._bytes_max = bytes_max
        self._spool: Spool | None = Spool()
        self._descriptors: dict[Descriptor, int] = {}
        self._columns: dict[tuple[str, ...], int] = {}
        self._kinds: set[CollectionKind] = set()

    def add(self, change: Change) -> None:
        """Keep one more."""
        if self._spool is None:
            return
        descriptor = self._descriptors.setdefault(change.descriptor, len(self._descriptors))
        columns = self._columns.setdefault(change.columns, len(self._columns))
        try:
            # Rows are written as values in a row: what reads them gives lists back.
            self._spool.add((descriptor, change.key, change.before, change.after, columns))
            too_many = self._spool.bytes > self._bytes_max
        except OSError:
            too_many = True
        if too_many:
            self.close()

    def __call__(self, *, files: bool | None = None) -> Iterator[Change]:
        """All of them, only those of files, or all others."""
        if self._spool is None:
            yield from self._again(files)
            return
        descriptors, columns = list(self._descriptors), list(self._columns)
        for at, key, before, after, names in self._spool:
            descriptor = descriptors[at]  # type: ignore[index]
            if files in (None, descriptor.kind in FILE_KINDS):
                yield Change(descriptor, key, _row(before), _row(after), columns[names])  # type: ignore[arg-type, index]

    def close(self) -> None:
        """Forget what was kept; from now on they are read anew."""
        spool, self._spool = self._spool, None
        if spool is not None:
            with contextlib.suppress(OSError):
                spool.close()


def _row(value: object) -> Row | None:
    return None if value is None else tuple(value)  # type: ignore[arg-type]
