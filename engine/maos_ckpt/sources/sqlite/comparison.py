"""A cut's image next to the kept image of the last checkpoint: what differs, at the price of two looks at memory."""

from __future__ import annotations

import contextlib
import sqlite3
from functools import cached_property, partial
from pathlib import Path
from typing import Final

from maos_ckpt.errors import CkptError
from maos_ckpt.model import Descriptor
from maos_ckpt.seams import Seams
from maos_ckpt.sources.base import KeyRange
from maos_ckpt.sources.memo import ImageMark
from maos_ckpt.sources.sqlite import kept_image
from maos_ckpt.sources.sqlite.changed_ranges import Side, changed_ranges
from maos_ckpt.sources.sqlite.image import Image, open_image
from maos_ckpt.sources.sqlite.pages import PageFile, UnusualPagesError, compare
from maos_ckpt.sources.sqlite.row_changes import Rowids, changed_rows
from maos_ckpt.sources.sqlite.rows import TableQuery

#: Where more of the pages differ, the new image takes the kept one's place as a whole.
UPDATE_SHARE_MAX: Final = 0.5
#: What images can raise that are not as expected. A reading in full follows, and says what is wrong if something is.
_SURPRISES = (UnusualPagesError, CkptError, sqlite3.Error, OSError)


class Comparison:
    """Two images of one database. Answers None where only a reading in full can tell. `close` it.

    Raises:
        UnusualPagesError, CkptError, sqlite3.Error, OSError: the images cannot be compared.
    """

    def __init__(self, kept: Path, mark: ImageMark, image: Image, encoding: str, path: Path) -> None:
        self._kept = kept
        self._mark = mark
        with contextlib.ExitStack() as files:
            old = PageFile(kept)
            files.callback(old.close)
            self._new = image.pages()
            files.callback(self._new.close)
            self._old = old
            self._changed = compare(old, self._new)
            self._old_side = Side(partial(open_image, kept), encoding, kept)
            self._new_side = Side(image.open, encoding, path)
            self._require_kept()
            self._files = files.pop_all()

    @classmethod
    def with_kept(cls, directory: Path, mark: ImageMark, image: Image, encoding: str, path: Path) -> Comparison | None:
        """The comparison with the kept image behind `mark`; None where there is none to be trusted.

        Args:
            encoding, path: of the database, the path for errors.
        """
        kept = kept_image.find(directory, mark)
        if kept is None:
            return None
        try:
            return cls(kept, mark, image, encoding, path)
        except _SURPRISES:
            return None

    @property
    def changed_bytes(self) -> int:
        """The size of all pages that differ."""
        return len(self._changed) * self._new.shape.page_bytes

    def _require_kept(self) -> None:
        # Another process may save meanwhile. It gives the kept image a new name before it writes to it, so what was
        # read while the name stood is what the mark stands for.
        if kept_image.find(self._kept.parent, self._mark) is None:
            raise UnusualPagesError("the kept image was replaced")

    @cached_property
    def _rows(self) -> dict[str, Rowids]:
        """By table, the rows that may differ. Looked for when they are asked for: how much differs is known before."""
        try:
            found = changed_rows(self._old, self._new, self._changed, self._old_side.connect, self._new_side.connect)
            self._require_kept()
        except _SURPRISES:
            return {}
        return found

    def changed_ranges(self, descriptor: Descriptor, query: TableQuery) -> list[KeyRange] | None:
        """See `Cut.changed_ranges`."""
        rowids = self._rows.get(query.table.name)
        if rowids is None:
            return None
        if not rowids.old and not rowids.new:
            return []
        if query.table.rowid_name is None:
            return None
        try:
            found = changed_ranges(descriptor, query, rowids, self._old_side, self._new_side)
            self._require_kept()
        except _SURPRISES:
            return None
        return found

    def is_unchanged(self, table: str) -> bool:
        """Whether all rows of a table are surely what they were."""
        rowids = self._rows.get(table)
        return rowids is not None and not rowids.old and not rowids.new

    def keep(self, seams: Seams) -> ImageMark | None:
        """Bring the kept image up to date with the new one; None where it has to be replaced as a whole instead."""
        if len(self._changed) > UPDATE_SHARE_MAX * self._new.shape.pages:
            return None
        try:
            return kept_image.bring_up_to_date(self._kept, self._changed, self._new, seams)
        except UnusualPagesError:
            return None

    def close(self) -> None:
        """Close both files; safe to call twice."""
        self._files.close()
