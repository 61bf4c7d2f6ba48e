"""From records in key order to leaves, and from large values to pieces."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from zlib import crc32

import msgspec

from maos_ckpt.tree.nodes import FIBONACCI, LEAF_SHAPE, PIECE, RECORD_OVERHEAD_BYTES, WORD, ends_node, shape

#: A text or blob longer than this is moved out of its row into pieces.
LARGE_VALUE_BYTES = 64 << 10
PIECE_SHAPE = shape(32 << 10, 96 << 10, 256 << 10)
#: How many bytes before a candidate decide whether a piece ends there.
_WINDOW_BYTES = 48
# Two classes of one byte in 32 each: a candidate per 1,024 random bytes and about 200 of English. The density does not
# matter to the size of pieces, because a fragment's chance to end one grows with its length.
_CANDIDATE = re.compile(rb"[\x02\x22\x42\x62\x82\xa2\xc2\xe2][\x05\x25\x45\x65\x85\xa5\xc5\xe5]")


@dataclass(slots=True)
class OpenLeaf:
    """A leaf in the making. `bytes` is the logical size of its records: keys, values and what they refer to."""

    keys: list[bytes] = field(default_factory=list)
    values: list[bytes] = field(default_factory=list)
    pieces: list[bytes] = field(default_factory=list)
    bytes: int = 0


class ReferringRow(bytes):
    """An encoded row that refers to pieces: their ids, and the bytes of the values they make up."""

    pieces: bytes
    large_bytes: int


def cut_leaves(records: Iterator[tuple[list[bytes], list[bytes]]]) -> Iterator[OpenLeaf]:
    """Group records, given in batches of (keys, values) in key order, into leaves.

    The last leaf may end without a boundary. Equal records give equal leaves, however they are batched.
    """
    leaf = OpenLeaf()
    size = 0
    bytes_min, bytes_max, factor = LEAF_SHAPE.bytes_min, LEAF_SHAPE.bytes_max, LEAF_SHAPE.factor
    for keys, values in records:
        start = 0
        referring = ReferringRow in set(map(type, values))
        for i, key in enumerate(keys):
            item = len(key) + len(values[i]) + RECORD_OVERHEAD_BYTES
            size += item
            # `ends_node`, written out: this line runs once for every record of a state.
            if size >= bytes_min and (size >= bytes_max or (crc32(key) * FIBONACCI & WORD) < item * factor):
                _take(leaf, keys[start : i + 1], values[start : i + 1], referring)
                leaf.bytes += size - RECORD_OVERHEAD_BYTES * len(leaf.keys)
                yield leaf
                leaf = OpenLeaf()
                size = 0
                start = i + 1
        _take(leaf, keys[start:], values[start:], referring)
    if leaf.keys:
        leaf.bytes += size - RECORD_OVERHEAD_BYTES * len(leaf.keys)
        yield leaf


def _take(leaf: OpenLeaf, keys: list[bytes], values: list[bytes], referring: bool) -> None:
    leaf.keys += keys
    if referring:
        for i, value in enumerate(values):
            if isinstance(value, ReferringRow):
                values[i] = bytes(value)
                leaf.pieces.append(value.pieces)
                leaf.bytes += value.large_bytes
    leaf.values += values


def cut_pieces(data: bytes) -> Iterator[bytes]:
    """A large value in content-defined pieces whose concatenation it is.

    Fragments between candidate places are to a piece what records are to a leaf, and end it by the same rule; the
    places are found by a regular expression because that runs at the speed of C.
    """
    start = 0
    while len(data) - start > PIECE_SHAPE.bytes_min:
        end = _piece_end(data, start)
        yield data[start:end]
        start = end
    if start < len(data):
        yield data[start:]


def _piece_end(data: bytes, start: int) -> int:
    """Where the piece that begins at `start` ends."""
    limit = min(start + PIECE_SHAPE.bytes_max, len(data))
    last = start + PIECE_SHAPE.bytes_min
    for match in _CANDIDATE.finditer(data, last, limit):
        end = match.end()
        salt = crc32(data[end - _WINDOW_BYTES : end])
        if ends_node(PIECE_SHAPE, salt, b"", end - last, end - start):
            return end
        last = end
    return limit


class Piece(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A piece's chunk: its kind and bytes."""

    kind: int
    data: bytes


_piece_encoder = msgspec.msgpack.Encoder()
piece_decoder = msgspec.msgpack.Decoder(Piece)


def encode_piece(data: bytes) -> bytes:
    """A piece's plain bytes."""
    return _piece_encoder.encode(Piece(PIECE, data))
