"""Values too large for a leaf: cut into pieces, each a chunk of its own, and referred to from the row.

In the row stands the extension type `LARGE`: a MessagePack array of the value's type (`t` text, `b` blob, `r` raw
text), its length in bytes, and the concatenated ids of its pieces. The piece ids of a leaf's records are listed once
more in the leaf, so that garbage collection finds them without decoding rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from maos_ckpt.codec.undecodable import UNDECODABLE
from maos_ckpt.codec.values import LARGE, RAW_TEXT, RawText, decode_row, encode_row
from maos_ckpt.errors import IntegrityError
from maos_ckpt.model import Row, Value
from maos_ckpt.tree.cutter import LARGE_VALUE_BYTES, ReferringRow, cut_pieces, encode_piece, piece_decoder
from maos_ckpt.tree.nodes import ID_BYTES, PIECE, Leaf
from maos_ckpt.tree.sink import Pending

#: A single value may not be larger; SQLite's own default limit is the same.
VALUE_BYTES_MAX = 1_000_000_000
#: Pieces stored at the same time for one value.
_AHEAD_MAX = 16


class _Reference(msgspec.Struct, array_like=True, frozen=True):
    type: str
    length: int
    pieces: bytes


_decoder = msgspec.msgpack.Decoder(_Reference)

Put = Callable[[bytes], Pending]
Get = Callable[[bytes], bytes]


def encode_large_row(row: Row, put: Put) -> bytes:
    """A row's canonical bytes, its large values moved into pieces that `put` stores."""
    references: list[bytes] = []
    large_bytes = 0
    parts: list[Value] = []
    for value in row:
        kind, data = _large(value)
        if data is None:
            parts.append(value)
            continue
        ids = _store(data, put)
        references.append(ids)
        large_bytes += len(data)
        parts.append(msgspec.msgpack.Ext(LARGE, encode_row(_Reference(kind, len(data), ids))))
    encoded = encode_row(parts)
    if not references:
        return encoded
    referring = ReferringRow(encoded)
    referring.pieces = b"".join(references)
    referring.large_bytes = large_bytes
    return referring


def _large(value: Value) -> tuple[str, bytes | None]:
    if isinstance(value, str) and len(value) * 4 > LARGE_VALUE_BYTES:
        data = value.encode()
        return "t", data if len(data) > LARGE_VALUE_BYTES else None
    if isinstance(value, bytes) and len(value) > LARGE_VALUE_BYTES:
        return "b", value
    if isinstance(value, RawText) and value.code == RAW_TEXT and len(bytes(value.data)) > LARGE_VALUE_BYTES:
        return "r", bytes(value.data)
    return "", None


def _store(data: bytes, put: Put) -> bytes:
    futures: list[Pending] = []
    ids: list[bytes] = []
    for piece in cut_pieces(data):
        futures.append(put(encode_piece(piece)))
        if len(futures) >= _AHEAD_MAX:
            ids.append(futures.pop(0).result())
    ids.extend(future.result() for future in futures)
    return b"".join(ids)


def references(value: bytes) -> list[tuple[int, bytes]]:
    """(length, piece ids) of the large values that an encoded row refers to."""
    found = []
    for part in decode_row(value):
        if isinstance(part, RawText) and part.code == LARGE:
            reference = _reference(part)
            found.append((reference.length, reference.pieces))
    return found


def refer(leaf: Leaf) -> list[bytes]:
    """A stored leaf's values, those with references as `ReferringRow`, ready to be cut into leaves again."""
    if not leaf.pieces:
        return leaf.values
    values: list[bytes] = []
    for value in leaf.values:
        found = references(value)
        if found:
            referring = ReferringRow(value)
            referring.pieces = b"".join(pieces for _, pieces in found)
            referring.large_bytes = sum(length for length, _ in found)
            values.append(referring)
        else:
            values.append(value)
    return values


def leaf_bytes(leaf: Leaf) -> int:
    """Logical bytes of a leaf's records: keys, values and the large values they refer to."""
    size = sum(map(len, leaf.keys)) + sum(map(len, leaf.values))
    if leaf.pieces:
        size += sum(length for value in leaf.values for length, _ in references(value))
    return size


def load_row(value: bytes, get: Get) -> Row:
    """An encoded row with its large values read back whole.

    Raises:
        IntegrityError: a piece is missing or damaged.
    """
    row = decode_row(value)
    if RawText not in set(map(type, row)):
        # Nearly every row; the types of a row are looked at faster than its values.
        return row
    return tuple(_join(part, get) if isinstance(part, RawText) and part.code == LARGE else part for part in row)


def _join(part: RawText, get: Get) -> Value:
    reference = _reference(part)
    data = b"".join(_pieces(reference.pieces, get))
    if len(data) != reference.length:
        raise IntegrityError("A large value has another length than its record says.")
    if reference.type == "b":
        return data
    if reference.type == "r":
        return RawText(RAW_TEXT, data)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise IntegrityError("A large text is not UTF-8.") from error


def _pieces(ids: bytes, get: Get) -> Iterable[bytes]:
    for at in range(0, len(ids), ID_BYTES):
        yield piece_data(get(ids[at : at + ID_BYTES]))


def piece_data(plain: bytes) -> bytes:
    """What a piece holds of its value.

    Raises:
        IntegrityError: it is no piece.
    """
    try:
        piece = piece_decoder.decode(plain)
    except UNDECODABLE as error:
        raise IntegrityError("A piece of a large value cannot be decoded.") from error
    if piece.kind != PIECE:
        raise IntegrityError("A piece of a large value is a chunk of another kind.")
    return piece.data


def piece_ids(part: RawText) -> list[bytes]:
    """The pieces of a value that was moved out of its row, given by the reference in its place."""
    ids = _reference(part).pieces
    return [ids[at : at + ID_BYTES] for at in range(0, len(ids), ID_BYTES)]


def _reference(part: RawText) -> _Reference:
    try:
        reference = _decoder.decode(part.data)
    except UNDECODABLE as error:
        raise IntegrityError("A reference to a large value cannot be decoded.") from error
    if not 0 < reference.length <= VALUE_BYTES_MAX or len(reference.pieces) % ID_BYTES:
        raise IntegrityError("A reference to a large value is out of bounds.")
    return reference
