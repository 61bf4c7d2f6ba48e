"""Manifests: the commit points (FORMAT.md, "Manifest"), and the changeable marks beside them."""

from __future__ import annotations

import hashlib
import struct
from typing import Annotated

import msgspec

from maos_ckpt.codec.compression import Codec, compress, decompress
from maos_ckpt.codec.crypto import Kind, Sealer
from maos_ckpt.codec.undecodable import UNDECODABLE
from maos_ckpt.errors import FormatError, IntegrityError
from maos_ckpt.ids import is_checkpoint_id
from maos_ckpt.model import CaptureInfo, Checkpoint, CheckpointState, Collection, MissingPart, Referrers, Trigger
from maos_ckpt.repository.packs import pack_name
from maos_ckpt.tree.nodes import ID_BYTES

VERSION = 1
_HEADER = struct.Struct(">4sBI")
_MAGIC = b"MCKM"
_CHECKSUM_BYTES = 32
_SEQ_DIGITS_MAX = 12
#: What names an entry of the audit log: the log's id, the entry's number and hash.
AUDIT_BYTES = 48
#: A manifest, before and after compression; a longer one is refused unread.
MANIFEST_BYTES_MAX = 8 << 20

#: Numbers that every reader can add up and show: up to a petabyte, a century, and the year 9999.
_Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 50)]
_Seconds = Annotated[float, msgspec.Meta(ge=0, le=3.2e9)]
_TimeMs = Annotated[int, msgspec.Meta(ge=0, le=253_402_300_799_999)]


class ManifestCollection(msgspec.Struct, array_like=True, frozen=True):
    """A collection as the manifest holds it; an empty `root` stands for no records; `size` is in bytes."""

    component: str
    name: str
    root: bytes
    records: _Count
    size: _Count


class ManifestReferrers(msgspec.Struct, array_like=True, frozen=True):
    """A derived tree as the manifest holds it; see `model.Referrers`."""

    tree: ManifestCollection
    of: list[ManifestCollection]
    descriptors: bytes


class ManifestMissing(msgspec.Struct, array_like=True, frozen=True):
    """A collection that could not be captured, and why."""

    component: str
    collection: str
    reason: str


class Manifest(msgspec.Struct, array_like=True, frozen=True):
    """Everything a committed checkpoint is; the fields' order is part of the format.

    `pack` is the SHA-256 of the pack that the save added; empty where it added none, or an older version wrote this.
    `referrers` is None where there are none, or an older version wrote this.
    `audit` names the newest entry of the audit log; empty where there was none.
    `held`, `pause_s`, `missing`: see `model.CaptureInfo`; absent in what an older version wrote.
    """

    id: str
    seq: Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
    parent: str
    created_at_ms: _TimeMs
    description: str
    tags: list[str]
    trigger: str
    source: str
    descriptors: bytes
    collections: list[ManifestCollection]
    digest: bytes
    stored_bytes: _Count
    duration_s: _Seconds
    lock_s: _Seconds
    skew_s: _Seconds
    unchanged: bool
    notes: list[str]
    repository: str
    pinned: bool
    pack: bytes = b""
    referrers: ManifestReferrers | None = None
    audit: bytes = b""
    held: bool = False
    pause_s: _Seconds = 0.0
    missing: list[ManifestMissing] = []

    @property
    def trees(self) -> list[ManifestCollection]:
        """All trees that it names."""
        derived = [] if self.referrers is None else [self.referrers.tree, *self.referrers.of]
        return self.collections + derived


class Marks(msgspec.Struct, frozen=True, forbid_unknown_fields=False):
    """What may change after the commit. `damaged` is set by a verification."""

    tags: list[str]
    pinned: bool
    damaged: bool = False


_decoder = msgspec.msgpack.Decoder(Manifest)


def manifest_name(seq: int) -> str:
    """The object name of the manifest with that sequence number."""
    return f"manifests/{seq:012d}"


def manifest_seq(name: str) -> int | None:
    """The sequence number that a manifest's object name states; None where it is no such name."""
    digits = name.removeprefix("manifests/")
    seq = int(digits) if len(digits) <= _SEQ_DIGITS_MAX and digits.isascii() and digits.isdecimal() else -1
    return seq if seq >= 0 and manifest_name(seq) == name else None


def marks_name(checkpoint_id: str) -> str:
    """The object name of a checkpoint's marks."""
    return f"marks/{checkpoint_id}.json"


def state_digest(collections: list[ManifestCollection]) -> bytes:
    """SHA-512 over the canonical collection list (FORMAT.md, "State digest")."""
    digest = hashlib.sha512(b"maos-ckpt state 1\n")
    for one in sorted(collections, key=lambda c: (c.component, c.name)):
        for part in (one.component.encode(), one.name.encode(), one.root):
            digest.update(len(part).to_bytes(4, "big") + part)
        digest.update(one.records.to_bytes(8, "big") + one.size.to_bytes(8, "big"))
    return digest.digest()


def encode_manifest(manifest: Manifest, sealer: Sealer) -> bytes:
    """A manifest's stored form: header, compressed fields, SHA-256 of all before it."""
    plain = msgspec.msgpack.encode(manifest)
    body = _HEADER.pack(_MAGIC, VERSION, len(plain)) + compress(Codec.ZSTD, 19, plain)
    return sealer.seal_object(Kind.MANIFEST, manifest_name(manifest.seq), body + hashlib.sha256(body).digest())


def decode_manifest(data: bytes, name: str, sealer: Sealer) -> Manifest:
    """The manifest stored under `name`, checked.

    Raises:
        FormatError: a newer version wrote it.
        IntegrityError: it is damaged, or lies under another's name.
    """
    data = sealer.open_object(Kind.MANIFEST, name, data)
    damaged = IntegrityError(f"The manifest {name} is damaged.", object=name)
    if len(data) < _HEADER.size + _CHECKSUM_BYTES:
        raise damaged
    magic, version, length = _HEADER.unpack_from(data)
    if magic != _MAGIC:
        raise damaged
    if version != VERSION:
        raise FormatError(f"The manifest {name} is of version {version}, which this program cannot read.", object=name)
    body, checksum = data[:-_CHECKSUM_BYTES], data[-_CHECKSUM_BYTES:]
    if hashlib.sha256(body).digest() != checksum:
        raise damaged
    plain = decompress(Codec.ZSTD, body[_HEADER.size :], length, raw_length_max=MANIFEST_BYTES_MAX)
    try:
        manifest = _decoder.decode(plain)
        Trigger(manifest.trigger)
    except UNDECODABLE as error:
        raise damaged from error
    fits = manifest_name(manifest.seq) == name and is_checkpoint_id(manifest.id) and len(manifest.descriptors) == 32
    fits = fits and len(manifest.pack) in (0, ID_BYTES) and len(manifest.audit) in (0, AUDIT_BYTES)
    if not fits or any(len(one.root) not in (0, ID_BYTES) for one in manifest.trees):
        raise damaged
    if state_digest(manifest.collections) != manifest.digest:
        raise IntegrityError(f"The state digest in the manifest {name} is not that of the state it names.", object=name)
    return manifest


def is_intact(data: bytes) -> bool:
    """Whether bytes are some manifest in the clear with a right checksum, of whatever repository and number."""
    return data[:4] == _MAGIC and hashlib.sha256(data[:-_CHECKSUM_BYTES]).digest() == data[-_CHECKSUM_BYTES:]


def to_checkpoint(manifest: Manifest) -> Checkpoint:
    """A manifest as the value the rest of the program works with; marks come on top of it."""
    return Checkpoint(
        id=manifest.id,
        seq=manifest.seq,
        parent=manifest.parent or None,
        created_at_ms=manifest.created_at_ms,
        description=manifest.description,
        tags=tuple(manifest.tags),
        pinned=manifest.pinned,
        trigger=Trigger(manifest.trigger),
        state=CheckpointState.COMMITTED,
        source=manifest.source,
        collections=tuple(_collection(one) for one in manifest.collections),
        stored_bytes=manifest.stored_bytes,
        duration_s=manifest.duration_s,
        capture=_capture(manifest),
        digest=manifest.digest,
        descriptors=manifest.descriptors,
        pack=pack_name(manifest.pack) if manifest.pack else "",
        referrers=None if manifest.referrers is None else _referrers(manifest.referrers),
        audit=manifest.audit,
    )


def _capture(manifest: Manifest) -> CaptureInfo:
    missing = tuple(MissingPart(one.component, one.collection, one.reason) for one in manifest.missing)
    return CaptureInfo(
        manifest.lock_s,
        manifest.skew_s,
        manifest.unchanged,
        tuple(manifest.notes),
        manifest.held,
        manifest.pause_s,
        missing,
    )


def _collection(one: ManifestCollection) -> Collection:
    return Collection(one.component, one.name, one.root or None, one.records, one.size)


def _referrers(one: ManifestReferrers) -> Referrers:
    return Referrers(_collection(one.tree), tuple(_collection(each) for each in one.of), one.descriptors)


def listed(one: Collection) -> ManifestCollection:
    """A collection as a manifest holds it."""
    return ManifestCollection(one.component, one.name, one.root or b"", one.records, one.bytes)


def derived(one: Referrers | None) -> ManifestReferrers | None:
    """A derived tree as a manifest holds it."""
    return (
        None if one is None else ManifestReferrers(listed(one.tree), [listed(each) for each in one.of], one.descriptors)
    )
