"""Packs: one object that carries the chunks a save added (FORMAT.md, "Pack").

``MCKP`` version · payloads · compressed index · trailer. The name is the SHA-256 of the whole object.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from maos_ckpt.codec.compression import CHUNK_BYTES_MAX, Codec, compress, decompress
from maos_ckpt.codec.crypto import Kind, Sealer
from maos_ckpt.codec.undecodable import UNDECODABLE
from maos_ckpt.errors import FormatError, IntegrityError, StorageError
from maos_ckpt.tree.nodes import ID_BYTES

VERSION = 1
_MAGIC = b"MCKP" + bytes([VERSION])
HEADER_BYTES = 8
_TRAILER = struct.Struct(">4sII32s")
TRAILER_BYTES = _TRAILER.size
_TRAILER_MAGIC = b"PKIX"
#: A delta names its base by this many first bytes of its id.
BASE_BYTES = 16
#: An index is small, and it is what a cold start reads of a pack.
_INDEX_LEVEL = 19
#: Index of a pack, before and after compression; a longer claim is refused unread.
INDEX_BYTES_MAX = 256 << 20


@dataclass(frozen=True, slots=True)
class Stored:
    """Where and how one chunk is stored: `offset` and `stored` locate its payload in its pack."""

    id: bytes
    codec: int
    raw: int
    stored: int
    offset: int
    base: bytes = b""


class _Index(msgspec.Struct, array_like=True, frozen=True):
    """A pack's index by columns; `bases` holds `BASE_BYTES` for every delta, in order."""

    ids: bytes
    codecs: bytes
    raws: list[int]
    sizes: list[int]
    bases: bytes


_decoder = msgspec.msgpack.Decoder(_Index)


def pack_name(digest: bytes) -> str:
    """The object name of a pack."""
    text = digest.hex()
    return f"packs/{text[:2]}/{text}"


def pack_digest(name: str) -> bytes:
    """The SHA-256 that a pack's name states."""
    try:
        digest = bytes.fromhex(name.rpartition("/")[2])
    except ValueError:
        digest = b""
    if len(digest) != ID_BYTES:
        raise IntegrityError(f"{name} is not the name of a pack.", object=name)
    return digest


@dataclass(frozen=True, slots=True)
class SealedPack:
    """A pack that is durable: its size in bytes and its SHA-256; both are empty where there was nothing to store."""

    size: int = 0
    digest: bytes = b""

    @property
    def name(self) -> str:
        """Its object name."""
        return pack_name(self.digest)


def pack_header(sealer: Sealer) -> bytes:
    """What every pack of a repository begins with, `HEADER_BYTES` long."""
    return _MAGIC + bytes([sealer.pack_flags, 0, 0])


def check_header(name: str, header: bytes, sealer: Sealer) -> None:
    """Look whether a pack begins as the packs of this repository do.

    Raises:
        IntegrityError: it is damaged, or encrypted where the repository is not, or the other way round.
        FormatError: a newer version wrote it.
    """
    if header[:4] == _MAGIC[:4] and header[4:5] != bytes([VERSION]):
        raise FormatError(f"The pack {name} is of version {header[4]}, which this program cannot read.", object=name)
    if header == pack_header(sealer):
        return
    if header in (_MAGIC + b"\0\0\0", _MAGIC + b"\1\0\0"):
        here, there = ("is not", "is") if sealer.pack_flags else ("is", "is not")
        raise IntegrityError(f"The pack {name} {here} encrypted, but this repository {there}.", object=name)
    raise IntegrityError(f"The pack {name} is damaged.", object=name)


def encode_index(chunks: Sequence[Stored], before: bytes, sealer: Sealer) -> bytes:
    """Index and trailer of a pack with these chunks; `before` is the SHA-256 of all bytes that come first.

    Raises:
        StorageError: more chunks than one pack can name.
    """
    index = _Index(
        b"".join([one.id for one in chunks]),
        bytes([one.codec for one in chunks]),
        [one.raw for one in chunks],
        [one.stored for one in chunks],
        b"".join([one.base for one in chunks if one.codec == Codec.ZSTD_DELTA]),
    )
    plain = msgspec.msgpack.encode(index)
    if len(plain) > INDEX_BYTES_MAX:
        raise StorageError(f"{len(chunks)} chunks are more than one pack can name.", kept="Nothing was stored.")
    packed = sealer.seal(Kind.PACK_INDEX, before, compress(Codec.ZSTD, _INDEX_LEVEL, plain))
    if sealer.pack_flags:
        # Sealed, it belongs to the bytes before it, whose SHA-256 stands in front.
        packed = before + packed
    return packed + _TRAILER.pack(_TRAILER_MAGIC, len(packed), len(plain), hashlib.sha256(packed).digest())


def tail_bytes(name: str, size: int, tail: bytes) -> int:
    """Length of index and trailer of a pack of `size` bytes, by what the trailer at the end of `tail` says.

    Raises:
        IntegrityError: it says what cannot be.
    """
    if len(tail) < TRAILER_BYTES:
        raise IntegrityError(f"The pack {name} is damaged.", object=name)
    magic, packed_length, plain_length, _ = _TRAILER.unpack(tail[-TRAILER_BYTES:])
    start = size - TRAILER_BYTES - packed_length
    if magic != _TRAILER_MAGIC or max(packed_length, plain_length) > INDEX_BYTES_MAX or start < HEADER_BYTES:
        raise IntegrityError(f"The pack {name} has a damaged end.", object=name)
    return int(packed_length) + TRAILER_BYTES


def parse_index(name: str, size: int, tail: bytes, sealer: Sealer) -> list[Stored]:
    """The chunks of a pack of `size` bytes from its index and trailer.

    Raises:
        IntegrityError: they are damaged, or do not open with this repository's key.
    """
    wanted = tail_bytes(name, size, tail)
    if wanted != len(tail):
        raise IntegrityError(f"The pack {name} has a damaged end.", object=name)
    _, packed_length, plain_length, digest = _TRAILER.unpack(tail[-TRAILER_BYTES:])
    packed = tail[:packed_length]
    if hashlib.sha256(packed).digest() != digest:
        raise IntegrityError(f"The index of the pack {name} is damaged.", object=name)
    return _decode_index(name, _open_index(sealer, packed), plain_length, size - wanted)


def _open_index(sealer: Sealer, stored: bytes) -> bytes:
    if not sealer.pack_flags:
        return stored
    return sealer.open(Kind.PACK_INDEX, stored[:ID_BYTES], stored[ID_BYTES:])


def _decode_index(name: str, packed: bytes, plain_length: int, payload_end: int) -> list[Stored]:
    damaged = IntegrityError(f"The index of the pack {name} is damaged.", object=name)
    plain = decompress(Codec.ZSTD, packed, plain_length, raw_length_max=INDEX_BYTES_MAX)
    try:
        index = _decoder.decode(plain)
    except UNDECODABLE as error:
        raise damaged from error
    number = len(index.codecs)
    deltas = index.codecs.count(Codec.ZSTD_DELTA)
    if len(index.ids) != number * ID_BYTES or {len(index.raws), len(index.sizes)} != {number}:
        raise damaged
    if len(index.bases) != deltas * BASE_BYTES or min(index.sizes, default=0) < 0:
        raise damaged
    if index.raws and not 0 <= min(index.raws) <= max(index.raws) <= CHUNK_BYTES_MAX:
        raise damaged
    chunks = []
    offset, delta = HEADER_BYTES, 0
    for i in range(number):
        base = b""
        if index.codecs[i] == Codec.ZSTD_DELTA:
            base = index.bases[delta : delta + BASE_BYTES]
            delta += BASE_BYTES
        identifier = index.ids[i * ID_BYTES : (i + 1) * ID_BYTES]
        chunks.append(Stored(identifier, index.codecs[i], index.raws[i], index.sizes[i], offset, base))
        offset += index.sizes[i]
    if offset != payload_end:
        raise damaged
    return chunks
