"""How to read a checkpoint's collections, stored as one chunk that checkpoints of one schema share."""

from __future__ import annotations

import msgspec

from maos_ckpt.codec.undecodable import UNDECODABLE
from maos_ckpt.errors import IntegrityError
from maos_ckpt.model import CollectionKind, Descriptor
from maos_ckpt.tree.nodes import DESCRIPTORS

#: Collections of one checkpoint.
COLLECTIONS_MAX = 10_000


class _Stored(msgspec.Struct, array_like=True, frozen=True):
    component: str
    name: str
    kind: CollectionKind
    keys: list[str]
    columns: list[str]
    origin: str
    rowid: bool


class _Chunk(msgspec.Struct, array_like=True, frozen=True):
    kind: int
    descriptors: list[_Stored]


_decoder = msgspec.msgpack.Decoder(_Chunk)


def encode_descriptors(descriptors: list[Descriptor]) -> bytes:
    """The chunk's plain bytes."""
    stored = [
        _Stored(one.component, one.name, one.kind, list(one.keys), list(one.columns), one.origin, one.rowid)
        for one in descriptors
    ]
    return msgspec.msgpack.encode(_Chunk(DESCRIPTORS, stored))


def decode_descriptors(plain: bytes) -> list[Descriptor]:
    """The descriptors, in their stored order.

    Raises:
        IntegrityError: the chunk is of another kind or damaged.
    """
    try:
        chunk = _decoder.decode(plain)
    except UNDECODABLE as error:
        raise IntegrityError("The description of a checkpoint's collections cannot be decoded.") from error
    if chunk.kind != DESCRIPTORS or len(chunk.descriptors) > COLLECTIONS_MAX:
        raise IntegrityError("The description of a checkpoint's collections has a wrong shape.")
    return [
        Descriptor(one.component, one.name, one.kind, tuple(one.keys), tuple(one.columns), one.origin, one.rowid)
        for one in chunk.descriptors
    ]
