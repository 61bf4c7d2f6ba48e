"""Which rows of which tables may differ between two images of one database, found without reading the rest.

A leaf that has the same bytes in both images holds the same rows in both, so only cells of the other leaves count, and
of those only the ones that are not in both images. One thing can change behind an unchanged cell: the overflow chain it
points to. Following a chain in both images, the first page that differs is one that the chain had in the *old* image;
so it is enough to find the owners of the changed pages that were overflow pages there.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from typing import Final

from maos_ckpt.sources.sqlite.btree import Tree, cell, chains, free_pages, leaf_slices, require_whole, walk
from maos_ckpt.sources.sqlite.pages import PageFile, UnusualPagesError

#: Beyond this share of its leaves, reading a table in full is as cheap.
DIRTY_SHARE_MAX: Final = 0.3
#: Tables of so few leaves are looked at whatever the share.
SMALL_LEAVES: Final = 16
#: Cells of one table that are held in memory; where more differ, it is read in full.
CELL_BYTES_MAX: Final = 16 << 20
#: Leaves of a tree that are looked at to guess whether it owns many chains.
_SAMPLE_LEAVES = 8

_SCHEMA = "SELECT type, name, rootpage, sql FROM main.sqlite_master WHERE rootpage > 0"
Connect = Callable[[], sqlite3.Connection]


@dataclass(slots=True)
class Rowids:
    """Rows that may differ, by rowid: those that are in the old image, and those that are in the new one."""

    old: set[int] = field(default_factory=set)
    new: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Entry:
    """What a schema says of one tree: type, name and SQL as stored bytes, and its root page."""

    type: bytes
    name: bytes
    root: int
    sql: bytes | None


def changed_rows(
    old: PageFile, new: PageFile, changed: set[int], open_old: Connect, open_new: Connect
) -> dict[str, Rowids]:
    """For each table, by name, the rows that may differ; a table that has to be read in full is left out.

    `changed` is what `pages.compare` found; the connections are on the same two images.

    Raises:
        UnusualPagesError: nothing can be told of any table.
        OSError, sqlite3.Error: an image cannot be read.
    """
    return _Comparison(old, new, changed, _entries(open_old), _entries(open_new)).run()


def _entries(connect: Connect) -> list[_Entry]:
    with closing(connect()) as connection:
        connection.text_factory = bytes
        rows = connection.execute(_SCHEMA).fetchall()
    if not all(isinstance(row[1], bytes) and isinstance(row[2], int) for row in rows):
        raise UnusualPagesError("an entry of the schema is of an unknown form")
    if len({row[2] for row in rows}) < len(rows):
        raise UnusualPagesError("two tables or indices share their pages")
    return [_Entry(*row) for row in rows]


class _Comparison:
    def __init__(
        self, old: PageFile, new: PageFile, changed: set[int], before: list[_Entry], after: list[_Entry]
    ) -> None:
        self._old, self._new, self._changed = old, new, changed
        self._trees = {entry.root: walk(old, entry.root) for entry in before}
        self._schema_tree = walk(old, 1)
        known = {(one.type, one.name): one for one in before}
        # A declaration that differs can change how unchanged bytes are read.
        self._tables = [
            (one.name.decode(), known[one.type, one.name].root, one.root)
            for one in after
            if one.type == b"table" and (one.type, one.name) in known and known[one.type, one.name].sql == one.sql
        ]
        self._found: dict[str, Rowids] = {}
        #: Chains whose cells differ: what they hold needs no further owner.
        self._seen_chains: set[int] = set()
        self._free = free_pages(old)

    def run(self) -> dict[str, Rowids]:
        for name, old_root, new_root in self._tables:
            tree = self._trees[old_root]
            if tree.by_rowid:
                rowids = self._cells_of(tree, new_root)
                if rowids is not None:
                    self._found[name] = rowids
            elif old_root == new_root and self._changed.isdisjoint((*tree.interiors, *tree.leaves)):
                self._found[name] = Rowids()
        self._add_owners(self._lost_pages())
        return self._found

    # Leaves

    def _cells_of(self, tree: Tree, new_root: int) -> Rowids | None:
        """Rows of a table whose cells differ; None where there are too many."""
        changed = self._changed
        leaves = tree.leaves
        if new_root != tree.root or tree.root in changed or not changed.isdisjoint(tree.interiors):
            found = walk(self._new, new_root)
            if not found.by_rowid:
                return None
            leaves = found.leaves
        before, after = set(tree.leaves), set(leaves)
        old_dirty = before & changed | before - after
        new_dirty = after & changed | after - before
        if len(old_dirty | new_dirty) > max(SMALL_LEAVES, DIRTY_SHARE_MAX * max(len(before), len(after))):
            return None
        slices = self._differing(old_dirty, new_dirty)
        if slices is None:
            return None
        old_cells, new_cells = ({cell(one, self._old.shape.usable_bytes) for one in side} for side in slices)
        # What is free behind a cell can differ while the cell does not.
        same = old_cells & new_cells
        old_cells -= same
        new_cells -= same
        self._seen_chains.update(one.overflow for one in old_cells if one.overflow)
        rowids = Rowids({one.rowid for one in old_cells}, {one.rowid for one in new_cells})
        if len(rowids.old) < len(old_cells) or len(rowids.new) < len(new_cells):
            raise UnusualPagesError("two rows of a table have one rowid")
        return rowids

    def _differing(self, old_dirty: set[int], new_dirty: set[int]) -> tuple[set[bytes], set[bytes]] | None:
        """Cells, as `leaf_slices` gives them, that are in one image only; None where there are too many."""
        old_cells: set[bytes] = set()
        new_cells: set[bytes] = set()
        size, usable_bytes = 0, self._old.shape.usable_bytes
        for number in sorted(old_dirty | new_dirty):
            before = set(leaf_slices(self._old, number)) if number in old_dirty else set()
            after = set(leaf_slices(self._new, number)) if number in new_dirty else set()
            require_whole(before & after, usable_bytes)
            # Most cells stay on their page; the few others are held until all pages have been seen.
            for cells, held in ((before - after, old_cells), (after - before, new_cells)):
                held |= cells
                size += sum(map(len, cells))
            if size > CELL_BYTES_MAX:
                return None
        require_whole(old_cells & new_cells, usable_bytes)
        return old_cells - new_cells, new_cells - old_cells

    # Overflow chains

    def _lost_pages(self) -> set[int]:
        """Changed pages that were overflow pages in the old image and whose owner is not known to differ."""
        old = self._old
        lost = {number for number in self._changed if number <= old.shape.pages and not old.is_never_data(number)}
        for tree in (self._schema_tree, *self._trees.values()):
            lost.difference_update(tree.interiors)
            lost.difference_update(tree.leaves)
        lost -= self._free
        for first in self._seen_chains:
            if not lost:
                break
            lost.difference_update(self._chain(first))
        return lost

    def _chain(self, first: int) -> Iterable[int]:
        number, steps = first, 0
        while number:
            yield number
            number = self._old.first(number)
            steps += 1
            if steps > self._old.shape.pages:
                raise UnusualPagesError("an overflow chain has no end")

    def _add_owners(self, lost: set[int]) -> None:
        """Add the rows whose chains go through these pages."""
        if not lost:
            return
        heads = self._heads(lost)
        names = {old_root: name for name, old_root, _ in self._tables}
        for tree in self._by_chains():
            for first, rowid in chains(self._old, tree, self._pages_with_cells(tree)):
                if first not in heads:
                    continue
                heads.remove(first)
                name = names.get(tree.root, "")
                if tree.by_rowid and name in self._found:
                    self._found[name].old.add(rowid)
                    self._found[name].new.add(rowid)
                else:
                    self._found.pop(name, None)
                if not heads:
                    return
        raise UnusualPagesError("a changed page belongs to nothing")

    def _heads(self, lost: set[int]) -> set[int]:
        """The first pages of the chains that `lost` pages are in."""
        old = self._old
        used = set(self._free)
        for tree in (self._schema_tree, *self._trees.values()):
            used.update(tree.interiors, tree.leaves)
        before: dict[int, int] = {}
        for number in range(2, old.shape.pages + 1):
            if number in used or old.is_never_data(number):
                continue
            following = old.first(number)
            if following in before:
                raise UnusualPagesError("two overflow chains meet")
            if following:
                before[following] = number
        heads = set()
        for number in lost:
            steps = 0
            while number in before:
                number = before[number]
                steps += 1
                if steps > old.shape.pages:
                    raise UnusualPagesError("an overflow chain has no beginning")
            heads.add(number)
        return heads

    def _pages_with_cells(self, tree: Tree) -> tuple[int, ...]:
        # Cells of an index also stand in its interior pages.
        return tree.leaves if tree.by_rowid else (*tree.interiors, *tree.leaves)

    def _by_chains(self) -> list[Tree]:
        """All trees, those first that seem to own most chains: the search ends with the last owner found."""

        def owned(tree: Tree) -> int:
            pages = tree.leaves[:: max(1, len(tree.leaves) // _SAMPLE_LEAVES)]
            return sum(1 for _ in chains(self._old, tree, pages))

        return sorted((self._schema_tree, *self._trees.values()), key=owned, reverse=True)
