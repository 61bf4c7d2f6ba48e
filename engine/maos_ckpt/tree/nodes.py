"""Tree nodes and where they end (FORMAT.md, "Tree").

A leaf holds whole records in key order; an index node holds, for each child, its first key, id, record count, logical
bytes and number of pieces. Where a node ends depends only on the items in it: on the hash of the item's key, the item's
size, and the node's size so far. So the same records give the same nodes whatever their history, and an edit moves no
boundary but those beside it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import NamedTuple
from zlib import crc32

import msgspec

from maos_ckpt.codec.undecodable import UNDECODABLE
from maos_ckpt.errors import IntegrityError

ID_BYTES = 32
#: A node's kind, first in its bytes, so that no chunk can be taken for one of another kind.
LEAF, INDEX, PIECE, DESCRIPTORS = 0, 1, 2, 3
#: No tree is deeper; stored levels above are refused.
LEVEL_MAX = 12
#: An index node that others follow has at least so many children. Where keys are longer than a node is to be, each node
#: would else have one, and no level fewer nodes than the one below it.
CHILDREN_MIN = 4
#: What a record costs in a leaf beside its key and value, and a child in an index node beside its first key.
RECORD_OVERHEAD_BYTES = 8
ENTRY_OVERHEAD_BYTES = 48

#: Spreads CRC-32, which is linear, over all 32 bits (2**32 divided by the golden ratio).
FIBONACCI = 0x9E3779B1
WORD = 0xFFFFFFFF


class Shape(NamedTuple):
    """Smallest, usual and largest size of a node in bytes.

    `factor` turns an item's bytes into its chance, in 2**-32, to end the node: past `bytes_min` sizes are exponential.
    """

    bytes_min: int
    bytes_target: int
    bytes_max: int
    factor: int


def shape(bytes_min: int, bytes_target: int, bytes_max: int) -> Shape:
    """A shape with its factor."""
    return Shape(bytes_min, bytes_target, bytes_max, (1 << 32) // (bytes_target - bytes_min))


LEAF_SHAPE = shape(32 << 10, 128 << 10, 512 << 10)
INDEX_SHAPE = shape(4 << 10, 16 << 10, 64 << 10)


def ends_node(limits: Shape, level: int, key: bytes, item_bytes: int, node_bytes: int) -> bool:
    """Whether a node ends after an item; `node_bytes` includes it."""
    if node_bytes < limits.bytes_min:
        return False
    if node_bytes >= limits.bytes_max:
        return True
    return (crc32(key, level) * FIBONACCI & WORD) < item_bytes * limits.factor


class Leaf(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Records of a key range: `keys[i]` → `values[i]` (an encoded row). `pieces` are the ids, each `ID_BYTES` long and
    concatenated, of the pieces that large values of these records refer to, in order of reference."""

    kind: int
    keys: list[bytes]
    values: list[bytes]
    pieces: bytes


class Index(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Children in key order, by columns: child i begins at `keys[i]`, is chunk `ids[32*i:32*i+32]`, and holds
    `counts[i]` records of `sizes[i]` logical bytes that refer to `pieces[i]` pieces."""

    kind: int
    level: int
    keys: list[bytes]
    ids: bytes
    counts: list[int]
    sizes: list[int]
    pieces: list[int]


@dataclass(frozen=True, slots=True)
class Entry:
    """A reference to a node, as its parent holds it. `level` 0 is a leaf."""

    level: int
    key: bytes
    id: bytes
    count: int
    bytes: int
    pieces: int


_encode = msgspec.msgpack.Encoder().encode
_leaf_decoder = msgspec.msgpack.Decoder(Leaf)
_index_decoder = msgspec.msgpack.Decoder(Index)


def chunk_id(plain: bytes) -> bytes:
    """A chunk's name: SHA-256 of its plain bytes."""
    return hashlib.sha256(plain).digest()


def encode_leaf(keys: list[bytes], values: list[bytes], pieces: bytes) -> bytes:
    """A leaf's plain bytes."""
    return _encode(Leaf(LEAF, keys, values, pieces))


def encode_index(level: int, entries: list[Entry]) -> bytes:
    """An index node's plain bytes; all entries are one level below."""
    return _encode(
        Index(
            INDEX,
            level,
            [one.key for one in entries],
            b"".join([one.id for one in entries]),
            [one.count for one in entries],
            [one.bytes for one in entries],
            [one.pieces for one in entries],
        )
    )


def decode_leaf(plain: bytes) -> Leaf:
    """The leaf behind its plain bytes, its shape checked.

    Raises:
        IntegrityError: not a leaf, or its keys are not strictly ascending.
    """
    try:
        leaf = _leaf_decoder.decode(plain)
    except UNDECODABLE as error:
        raise IntegrityError("A stored leaf cannot be decoded.") from error
    if leaf.kind != LEAF or len(leaf.keys) != len(leaf.values) or not leaf.keys or len(leaf.pieces) % ID_BYTES:
        raise IntegrityError("A stored leaf has a wrong shape.")
    return leaf


def decode_index(plain: bytes) -> list[Entry]:
    """An index node's entries, their shape checked.

    Raises:
        IntegrityError: not an index node.
    """
    try:
        node = _index_decoder.decode(plain)
    except UNDECODABLE as error:
        raise IntegrityError("A stored index node cannot be decoded.") from error
    number = len(node.keys)
    lengths = {len(node.counts), len(node.sizes), len(node.pieces), len(node.ids) // ID_BYTES}
    if node.kind != INDEX or lengths != {number} or not number or len(node.ids) != number * ID_BYTES:
        raise IntegrityError("A stored index node has a wrong shape.")
    if not 1 <= node.level <= LEVEL_MAX:
        raise IntegrityError(f"A stored index node claims level {node.level}.")
    return [
        Entry(
            node.level - 1,
            node.keys[i],
            node.ids[i * ID_BYTES : (i + 1) * ID_BYTES],
            node.counts[i],
            node.sizes[i],
            node.pieces[i],
        )
        for i in range(number)
    ]


def node_kind(plain: bytes) -> int:
    """`LEAF`, `INDEX`, `PIECE` or `DESCRIPTORS`.

    Raises:
        IntegrityError: none of them.
    """
    # Byte 0 is the MessagePack array header of the four structures, byte 1 their kind.
    if len(plain) < 2 or not 0x90 <= plain[0] <= 0x9F or plain[1] > DESCRIPTORS:
        raise IntegrityError("A stored chunk is of no known kind.")
    return plain[1]
