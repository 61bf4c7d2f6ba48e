"""SQLite's B-trees as far as capture needs them: which pages belong to a tree, and the cells of a leaf.

https://www.sqlite.org/fileformat2.html is the reference. Nothing here is trusted: a page that is not what its place
in the tree asks for raises `UnusualPagesError`, and the table is read through SQLite instead.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from maos_ckpt.sources.sqlite import probe
from maos_ckpt.sources.sqlite.pages import WORD_BYTES, PageFile, UnusualPagesError

INDEX_INTERIOR, TABLE_INTERIOR, INDEX_LEAF, TABLE_LEAF = 0x02, 0x05, 0x0A, 0x0D
#: SQLite itself goes no deeper.
DEPTH_MAX: Final = 20
#: The tree of the schema is always there.
_SCHEMA_ROOT = 1
_LEAF_HEADER_BYTES, _INTERIOR_HEADER_BYTES = 8, 12
_ROWID_SIGN = 1 << 63
_WORD = struct.Struct(">I")


class Tree(NamedTuple):
    """The pages of one B-tree. `by_rowid`: a table's; else an index's, or a WITHOUT ROWID table's."""

    root: int
    by_rowid: bool
    interiors: tuple[int, ...]
    leaves: tuple[int, ...]


class Cell(NamedTuple):
    """A cell: its bytes in the page (the page number of its overflow included), and its chain's first page or 0."""

    rowid: int
    data: bytes
    overflow: int


def walk(file: PageFile, root: int) -> Tree:
    """The pages of the tree at `root`, leaves in key order."""
    by_rowid = _type(file, root) in (TABLE_INTERIOR, TABLE_LEAF)
    interior, leaf = (TABLE_INTERIOR, TABLE_LEAF) if by_rowid else (INDEX_INTERIOR, INDEX_LEAF)
    interiors: list[int] = []
    level = [root]
    types = file.firsts[::WORD_BYTES]
    for _ in range(DEPTH_MAX):
        # All leaves are on one level, so the pages of a level are of one kind.
        kinds = {types[number - 1] for number in level} if level != [_SCHEMA_ROOT] else {_type(file, _SCHEMA_ROOT)}
        if kinds == {leaf}:
            return Tree(root, by_rowid, tuple(interiors), tuple(level))
        if kinds != {interior}:
            raise UnusualPagesError(f"the tree at page {root} has a page of another kind")
        interiors += level
        level = [child for number in level for child in _children(file.page(number), _header_at(number))]
        if min(level) < 2 or max(level) > file.shape.pages or len(set(level)) < len(level):
            raise UnusualPagesError(f"the tree at page {root} points at what is no page of its own")
    raise UnusualPagesError(f"the tree at page {root} is too deep")


def _type(file: PageFile, number: int) -> int:
    return file.page(number)[_header_at(number)]


def _header_at(number: int) -> int:
    """Where a page's own header begins: on the first page, behind the file's."""
    return probe.HEADER_BYTES if number == _SCHEMA_ROOT else 0


def _children(page: bytes, header: int) -> list[int]:
    offsets = _offsets(page, header, _INTERIOR_HEADER_BYTES, len(page) - WORD_BYTES)
    children = [_WORD.unpack_from(page, offset)[0] for offset in offsets]
    children.append(_WORD.unpack_from(page, header + _LEAF_HEADER_BYTES)[0])
    return children


def _offsets(page: bytes, header: int, header_bytes: int, last: int) -> tuple[int, ...]:
    """Where the cells of a page begin, in key order."""
    count = page[header + 3] << 8 | page[header + 4]
    begin = header + header_bytes + 2 * count
    if begin > len(page):
        raise UnusualPagesError("a page has more cells than fit into it")
    offsets = struct.unpack_from(f">{count}H", page, header + header_bytes)
    if count and (min(offsets) < begin or max(offsets) > last):
        raise UnusualPagesError("a cell lies outside of its page")
    return offsets


def leaf_slices(file: PageFile, number: int) -> list[bytes]:
    """The cells of a table's leaf, each with the unused bytes that may follow it; in no order.

    Equal slices are equal cells, if `require_whole` holds. Different ones may be equal as well: `cell` tells.
    """
    page = file.page(number)
    if page[0] != TABLE_LEAF:
        raise UnusualPagesError(f"page {number} is no leaf of a table")
    bounds = sorted(_offsets(page, 0, _LEAF_HEADER_BYTES, file.shape.usable_bytes - WORD_BYTES))
    bounds.append(file.shape.usable_bytes)
    return [page[low:high] for low, high in pairwise(bounds)]


def require_whole(slices: Iterable[bytes], usable_bytes: int) -> None:
    """Raise `UnusualPagesError` where a cell does not end within its slice, so that the slice says too little of it.

    What `cell` would find, in a third of the time for most cells.
    """
    for data in slices:
        # Payloads of up to 16 KB have a length of one or two bytes; a slice is never empty where cells are distinct.
        if len(data) < WORD_BYTES:
            raise UnusualPagesError("two cells are one")
        at = 1 if data[0] < 0x80 else 2
        payload = data[0] if at == 1 else (data[0] & 0x7F) << 7 | data[1]
        if payload > usable_bytes - 35 or (at == 2 and data[1] >= 0x80):
            cell(data, usable_bytes)
            continue
        # The rowid's own bytes tell where it ends; the ninth is the last in any case.
        last = min(at + 9, len(data))
        at += 1
        while data[at - 1] >= 0x80 and at < last:
            at += 1
        if at + payload > len(data):
            raise UnusualPagesError("two cells reach into each other")


def cell(data: bytes, usable_bytes: int) -> Cell:
    """The cell of a table's leaf at the beginning of `data`."""
    payload, at = _varint(data, 0)
    rowid, at = _varint(data, at)
    if rowid >= _ROWID_SIGN:
        rowid -= 2 * _ROWID_SIGN
    local = _local_bytes(payload, usable_bytes, usable_bytes - 35)
    end = at + local
    overflow = 0
    if local < payload:
        end += WORD_BYTES
        overflow = int.from_bytes(data[end - WORD_BYTES : end], "big")
    if end > len(data) or (local < payload and not overflow):
        raise UnusualPagesError("a cell is cut short")
    return Cell(rowid, data[:end], overflow)


def _local_bytes(payload: int, usable_bytes: int, local_max: int) -> int:
    """How many bytes of a payload are in the page itself."""
    if payload <= local_max:
        return payload
    local_min = (usable_bytes - 12) * 32 // 255 - 23
    local = local_min + (payload - local_min) % (usable_bytes - WORD_BYTES)
    return local if local <= local_max else local_min


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of one to nine bytes, and where it ends."""
    value = 0
    for index in range(at, min(at + 8, len(data))):
        byte = data[index]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, index + 1
    if at + 8 >= len(data):
        raise UnusualPagesError("a cell is cut short")
    return value << 8 | data[at + 8], at + 9


def chains(file: PageFile, tree: Tree, numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """(first page, rowid) of every overflow chain that cells of these pages of a tree own.

    Trees without rowids give 0 for it.
    """
    usable_bytes = file.shape.usable_bytes
    local_max = usable_bytes - 35 if tree.by_rowid else (usable_bytes - 12) * 64 // 255 - 23
    small = min(local_max, 0x7F)
    for number in numbers:
        page, header = file.page(number), _header_at(number)
        inner = page[header] == INDEX_INTERIOR
        header_bytes, skip = (_INTERIOR_HEADER_BYTES, WORD_BYTES) if inner else (_LEAF_HEADER_BYTES, 0)
        for offset in _offsets(page, header, header_bytes, usable_bytes - WORD_BYTES - skip):
            at = offset + skip
            # Most cells are so small that their first byte says it all.
            if page[at] <= small:
                continue
            payload, at = _varint(page, at)
            if payload <= local_max:
                continue
            rowid = 0
            if tree.by_rowid:
                rowid, at = _varint(page, at)
            end = at + _local_bytes(payload, usable_bytes, local_max)
            if end + WORD_BYTES > usable_bytes:
                raise UnusualPagesError(f"a cell of page {number} is cut short")
            yield _WORD.unpack_from(page, end)[0], rowid - 2 * _ROWID_SIGN if rowid >= _ROWID_SIGN else rowid


def free_pages(file: PageFile) -> set[int]:
    """The pages on the list of unused ones."""
    found: set[int] = set()
    trunk = file.shape.first_free
    while trunk:
        if trunk in found or not 1 < trunk <= file.shape.pages:
            raise UnusualPagesError("the list of unused pages is damaged")
        page = file.page(trunk)
        following, count = struct.unpack_from(">II", page)
        if count > len(page) // WORD_BYTES - 2:
            raise UnusualPagesError("the list of unused pages is damaged")
        found.add(trunk)
        found.update(struct.unpack_from(f">{count}I", page, 8))
        trunk = following
    if len(found) != file.shape.free_pages:
        raise UnusualPagesError("the list of unused pages is not as long as the header says")
    return found
