"""Which records of a tree hold a text: every node and every piece of a large value is searched once."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import msgspec

from maos_ckpt.codec.values import LARGE, RawText, decode_key, decode_row
from maos_ckpt.errors import UNREADABLE
from maos_ckpt.model import Descriptor, Value
from maos_ckpt.search.pattern import Pattern
from maos_ckpt.tree.cursor import ChunkSource, root_entry
from maos_ckpt.tree.large import piece_data, piece_ids
from maos_ckpt.tree.nodes import Entry, Leaf, decode_index, decode_leaf

#: Nodes of one collection, and pieces of all, whose outcome is remembered; beyond that they are searched again.
NODES_REMEMBERED_MAX = 200_000
PIECES_REMEMBERED_MAX = 20_000
#: The same for the ends of pieces, which a long text makes long.
ENDS_BYTES_MAX = 64 << 20
#: The name of a match in the key.
KEY_FIELD = "key"


@dataclass(frozen=True, slots=True)
class Hit:
    """A record that holds the text."""

    key: bytes
    field: str
    excerpt: str


@dataclass(frozen=True, slots=True)
class _Below:
    """What is below a node: the records that hold the text, in key order; whether all could be read."""

    hits: tuple[Hit, ...]
    whole: bool


@dataclass(frozen=True, slots=True)
class _Piece:
    """A piece's outcome, and its ends, which a match may reach over."""

    excerpt: str | None
    head: bytes
    tail: bytes


class Pieces:
    """Searches large values piece by piece; a piece that several versions share is read once."""

    def __init__(self, source: ChunkSource, pattern: Pattern) -> None:
        self._source = source
        self._pattern = pattern
        self._known: OrderedDict[bytes, _Piece] = OrderedDict()
        self.bytes = 0

    def excerpt(self, reference: RawText) -> str | None:
        """The place of a match in a large value; None where there is none."""
        tail, reach = b"", self._pattern.bytes_max
        for piece_id in piece_ids(reference):
            piece = self._piece(piece_id)
            found = (self._pattern.excerpt(tail + piece.head) if tail else None) or piece.excerpt
            if found is not None:
                return found
            tail = (tail + piece.tail)[-reach:]
        return None

    def _piece(self, piece_id: bytes) -> _Piece:
        known = self._known.get(piece_id)
        if known is not None:
            self._known.move_to_end(piece_id)
            return known
        data, reach = piece_data(self._source.get(piece_id)), self._pattern.bytes_max
        self.bytes += len(data)
        piece = _Piece(self._pattern.excerpt(data), data[:reach], data[-reach:])
        self._known[piece_id] = piece
        if len(self._known) > min(PIECES_REMEMBERED_MAX, ENDS_BYTES_MAX // (2 * reach)):
            self._known.popitem(last=False)
        return piece


class CollectionScan:
    """Searches the trees of one collection, one after the other.

    Of more than `limit` records that hold the text in one tree only the first ones in key order count, in all trees:
    `high` is the key from which on nothing is told.
    """

    def __init__(self, source: ChunkSource, pattern: Pattern, pieces: Pieces, limit: int) -> None:
        self._source = source
        self._pattern = pattern
        self._pieces = pieces
        self._limit = limit
        self._known: OrderedDict[bytes, _Below] = OrderedDict()
        self._columns: tuple[str, ...] = ()
        self.high: bytes | None = None
        self.bytes = 0

    def search(self, root: bytes | None, descriptor: Descriptor) -> tuple[tuple[Hit, ...], bool]:
        """The records below a root that hold the text, and whether all could be read."""
        if root is None:
            return (), True
        if descriptor.columns != self._columns:
            # The same bytes are other fields now.
            self._known.clear()
            self._columns = descriptor.columns
        below = self._known.get(root)
        if below is None:
            try:
                entry = root_entry(self._source, root)
            except UNREADABLE:
                return (), False
            below = self._below(entry)
        return tuple(one for one in below.hits if self.high is None or one.key < self.high), below.whole

    def _below(self, entry: Entry) -> _Below:
        known = self._known.get(entry.id)
        if known is not None:
            self._known.move_to_end(entry.id)
            return known
        try:
            plain = self._source.get(entry.id)
            below = self._in_leaf(plain) if entry.level == 0 else self._in_index(plain)
        except UNREADABLE:
            below = _Below((), whole=False)
        self._known[entry.id] = below
        if len(self._known) > NODES_REMEMBERED_MAX:
            self._known.popitem(last=False)
        return below

    def _in_index(self, plain: bytes) -> _Below:
        hits: list[Hit] = []
        whole = True
        for child in decode_index(plain):
            if self.high is not None and child.key >= self.high:
                break
            below = self._below(child)
            hits += below.hits
            whole &= below.whole
            if len(hits) > self._limit:
                self.high = hits[self._limit].key if self.high is None else min(self.high, hits[self._limit].key)
                break
        return _Below(tuple(hits), whole)

    def _in_leaf(self, plain: bytes) -> _Below:
        self.bytes += len(plain)
        leaf = decode_leaf(plain)
        # Most leaves hold nothing of it, and no large value that could: their bytes tell at once.
        if not leaf.pieces and self._pattern.expression.search(plain) is None:
            return _Below((), whole=True)
        return self._in_records(leaf)

    def _in_records(self, leaf: Leaf) -> _Below:
        hits, whole = [], True
        for key, value in zip(leaf.keys, leaf.values, strict=True):
            try:
                hit = self._in_record(key, value)
            except UNREADABLE:
                whole = False
                continue
            if hit is not None:
                hits.append(hit)
        if len(hits) > self._limit:
            self.high = hits[self._limit].key if self.high is None else min(self.high, hits[self._limit].key)
        return _Below(tuple(hits), whole)

    def _in_record(self, key: bytes, value: bytes) -> Hit | None:
        for column, part in zip(self._columns, decode_row(value), strict=False):
            excerpt = self._in_value(part)
            if excerpt is not None:
                return Hit(key, column, excerpt)
        for part in decode_key(key):
            excerpt = self._in_value(part)
            if excerpt is not None:
                return Hit(key, KEY_FIELD, excerpt)
        return None

    def _in_value(self, value: Value) -> str | None:
        if isinstance(value, str):
            return self._pattern.excerpt(value.encode())
        if isinstance(value, bytes):
            return self._pattern.excerpt(value)
        if isinstance(value, msgspec.msgpack.Ext):
            if value.code == LARGE:
                return self._pieces.excerpt(value)
            return self._pattern.excerpt(bytes(value.data))
        return None
