"""Bundles: many manifests and pack indexes in one object, so that a home is brought back with few requests.

They say nothing that the objects themselves do not say, and they decide nothing: what exists is what a listing of
manifests and packs shows. A bundle that cannot be read costs requests, never an answer (FORMAT.md, "Bundle").
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import msgspec

from maos_ckpt.codec.compression import Codec, compress, decompress
from maos_ckpt.codec.crypto import Kind, Sealer
from maos_ckpt.codec.undecodable import UNDECODABLE
from maos_ckpt.errors import IntegrityError
from maos_ckpt.repository.manifests import MANIFEST_BYTES_MAX
from maos_ckpt.repository.packs import INDEX_BYTES_MAX

#: A bundle is written when so many replicated checkpoints are in none.
MANIFESTS_MIN = 64
#: When there are so many bundles they become one again, without what is gone.
BUNDLES_MAX = 16
#: A bundle's plain bytes; what does not fit begins another one.
BUNDLE_BYTES_MAX = 48 << 20
#: A stored bundle of more bytes is refused unread.
STORED_BYTES_MAX = 2 * BUNDLE_BYTES_MAX
DIRECTORY = "bundles"
#: The mark of remembered objects that lie in a bundle.
BUNDLED = b"bundled"
#: Kinds of bundles.
MANIFESTS = "m"
PACKS = "p"
VERSION = 1
_HEADER = struct.Struct(">4sBI")
_MAGIC = b"MCKB"
_CHECKSUM_BYTES = 32

T = TypeVar("T")


class PackIndex(msgspec.Struct, array_like=True, frozen=True):
    """A pack as a bundle holds it: its name, its size in bytes, and its index and trailer as they end it."""

    name: str
    size: int
    tail: bytes


class Bundle(msgspec.Struct, array_like=True, frozen=True):
    """Of one kind or the other, so that who needs one kind does not read both. `manifests`: names with their bytes."""

    manifests: list[tuple[str, bytes]]
    packs: list[PackIndex]


_decoder = msgspec.msgpack.Decoder(Bundle)


def encode_bundle(bundle: Bundle, name: str, sealer: Sealer) -> bytes:
    """A bundle's stored form under `name`: header, compressed fields, SHA-256 of all before it; sealed."""
    plain = msgspec.msgpack.encode(bundle)
    body = _HEADER.pack(_MAGIC, VERSION, len(plain)) + compress(Codec.ZSTD, 6, plain)
    return sealer.seal_object(Kind.BUNDLE, name, body + hashlib.sha256(body).digest())


def decode_bundle(data: bytes, name: str, sealer: Sealer) -> Bundle:
    """The bundle stored under `name`.

    Raises:
        IntegrityError: it cannot be read, for whatever reason.
    """
    damaged = IntegrityError(f"The bundle {name} cannot be read.", object=name)
    data = sealer.open_object(Kind.BUNDLE, name, data)
    if len(data) < _HEADER.size + _CHECKSUM_BYTES:
        raise damaged
    magic, version, length = _HEADER.unpack_from(data)
    body, checksum = data[:-_CHECKSUM_BYTES], data[-_CHECKSUM_BYTES:]
    if (magic, version) != (_MAGIC, VERSION) or hashlib.sha256(body).digest() != checksum:
        raise damaged
    plain = decompress(Codec.ZSTD, body[_HEADER.size :], length, raw_length_max=STORED_BYTES_MAX)
    try:
        bundle = _decoder.decode(plain)
    except UNDECODABLE as error:
        raise damaged from error
    oversized = any(len(one) > MANIFEST_BYTES_MAX for _, one in bundle.manifests)
    if oversized or any(len(one.tail) > INDEX_BYTES_MAX for one in bundle.packs):
        raise damaged
    return bundle


def bundle_name(seq: str, kind: str, number: int) -> str:
    """The name of a bundle that was made after the checkpoint numbered `seq` was replicated."""
    return f"{DIRECTORY}/{seq}_{kind}_{number:03d}"


def of_kind(names: Iterable[str], kind: str) -> list[str]:
    """Those of these bundles that hold `MANIFESTS` or `PACKS`."""
    return [name for name in names if f"_{kind}_" in name]


def divide_manifests(manifests: Iterable[tuple[str, bytes]]) -> Iterator[Bundle]:
    """Bundles of bounded size that hold all of these."""
    for part in _divide(manifests, lambda one: len(one[1])):
        yield Bundle(part, [])


def divide_packs(packs: Iterable[PackIndex]) -> Iterator[Bundle]:
    """As `divide_manifests`, for indexes of packs."""
    for part in _divide(packs, lambda one: len(one.tail)):
        yield Bundle([], part)


def _divide(items: Iterable[T], size: Callable[[T], int]) -> Iterator[list[T]]:
    part: list[T] = []
    filled = 0
    for one in items:
        if part and filled + size(one) > BUNDLE_BYTES_MAX:
            yield part
            part, filled = [], 0
        part.append(one)
        filled += size(one)
    if part:
        yield part
