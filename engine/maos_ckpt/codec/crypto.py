"""Chunk names and sealed objects: in the clear or under a key, behind one protocol (FORMAT.md, "Encryption").

**Keys.** The 32 random bytes of the master key never touch data. HKDF-SHA-256 (RFC 5869), salted with the repository's
id, makes two keys of it: one names chunks (HMAC-SHA-256, so that nobody without it can test whether known content is
stored), the other is the root of the sealing keys. Every object has a sealing key of its own: HKDF-Expand of that root
over the object's kind and identity.

**Nonces.** AES-256-GCM breaks where a key sees a nonce twice. NIST SP 800-38D allows random 96-bit nonces (8.2.2) for
at most 2**32 messages per key (8.3), which one key for everything would use up. With a key per identity only rewritings
of *one* object share a key: a chunk packed again by a prune or recompressed, marks that change. Should every object be
sealed 2**20 times, 2**40 messages make fewer than 2**59 pairs under a common key, and some pair has equal nonces with
probability below 2**(59 - 96) = 2**-37. Nonces come from the kernel at each sealing and no counter is kept, so neither
a fork nor a virtual machine resumed twice repeats one.

**Binding.** The associated data names format, kind, repository and identity: an object under another's name, of another
kind or from another repository does not open. A message of 16 MiB is far below GCM's bound of 64 GiB.
"""

from __future__ import annotations

import hashlib
import hmac
from enum import IntEnum
from typing import Protocol

from maos_ckpt.codec.secret import MASTER_BYTES, Secret
from maos_ckpt.errors import IntegrityError
from maos_ckpt.seams import Random

NONCE_BYTES = 12
TAG_BYTES = 16
#: What a sealed payload is longer than what was sealed.
SEAL_BYTES = NONCE_BYTES + TAG_BYTES
_MAGIC = b"MCKS"
_VERSION = 1
_ENVELOPE_BYTES = 8
_CHECKSUM_BYTES = 32
#: What a sealed object is longer than the object.
ENVELOPE_BYTES = _ENVELOPE_BYTES + SEAL_BYTES + _CHECKSUM_BYTES
_CONTEXT = b"maos-ckpt sealed 1"


class Kind(IntEnum):
    """What a sealed object is; the numbers are part of the format."""

    CHUNK = 1
    PACK_INDEX = 2
    MANIFEST = 3
    MARKS = 4
    BUNDLE = 5
    DOOMED = 6


class Sealer(Protocol):
    """How chunks are named and objects protected; a repository holds exactly one. Thread-safe.

    A *payload* is part of an object that says for itself whether it is sealed (a pack does by `pack_flags`); an
    *object* stands alone, so its sealed form carries a header and a checksum.
    """

    @property
    def pack_flags(self) -> int:
        """The byte after the version in a pack's header."""
        ...

    @property
    def payload_bytes(self) -> int:
        """Bytes that sealing adds to a payload."""
        ...

    @property
    def master(self) -> Secret | None:
        """The master key, for a process beside this one; None without encryption."""
        ...

    def name(self, plain: bytes) -> bytes:
        """A chunk's name: 32 bytes that only its plain bytes give."""
        ...

    def seal(self, kind: Kind, identity: bytes, data: bytes) -> bytes:
        """The stored form of a payload."""
        ...

    def open(self, kind: Kind, identity: bytes, data: bytes) -> bytes:
        """What `seal` was given; raises `IntegrityError` where it was sealed by other keys or as something else."""
        ...

    def seal_object(self, kind: Kind, name: str, data: bytes) -> bytes:
        """The stored form of a whole object."""
        ...

    def open_object(self, kind: Kind, name: str, data: bytes) -> bytes:
        """What `seal_object` was given; raises `IntegrityError` likewise, and where one is sealed that must not be."""
        ...


class PlainSealer:
    """No encryption: names are SHA-256, stored forms are the bytes themselves."""

    pack_flags = 0
    payload_bytes = 0
    master: Secret | None = None

    def name(self, plain: bytes) -> bytes:
        """See `Sealer.name`."""
        return hashlib.sha256(plain).digest()

    def seal(self, kind: Kind, identity: bytes, data: bytes) -> bytes:
        """See `Sealer.seal`."""
        return data

    def open(self, kind: Kind, identity: bytes, data: bytes) -> bytes:
        """See `Sealer.open`."""
        return data

    def seal_object(self, kind: Kind, name: str, data: bytes) -> bytes:
        """See `Sealer.seal_object`."""
        return data

    def open_object(self, kind: Kind, name: str, data: bytes) -> bytes:
        """See `Sealer.open_object`."""
        if data.startswith(_MAGIC):
            raise IntegrityError(
                f"The stored object {name} is encrypted, but this repository is not.",
                hint="Look whether the repository's header was replaced, then run `maos-ckpt verify --all`.",
                object=name,
            )
        return data


class KeyedSealer:
    """Everything under the master key.

    Args:
        master: 32 bytes.
        repository: the repository's id, 32 hex digits.
        random: where nonces come from.
    """

    pack_flags = 1
    payload_bytes = SEAL_BYTES

    def __init__(self, master: Secret, repository: str, random: Random) -> None:
        # Loaded here: a repository in the clear does not pay for it.
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._aead = AESGCM
        self._invalid = InvalidTag
        self.master: Secret | None = master
        self._repository = bytes.fromhex(repository)
        self._random = random
        key = master.reveal()
        if master.kind != "master" or len(key) != MASTER_BYTES:
            raise ValueError("not a master key")
        self._names = hkdf(key, self._repository, b"maos-ckpt chunk names 1")
        self._sealing = hkdf(key, self._repository, b"maos-ckpt sealing 1")

    def name(self, plain: bytes) -> bytes:
        """See `Sealer.name`."""
        return hmac.digest(self._names, plain, "sha256")

    def seal(self, kind: Kind, identity: bytes, data: bytes) -> bytes:
        """See `Sealer.seal`: nonce, ciphertext, tag."""
        nonce = self._random.token(NONCE_BYTES)
        return nonce + self._aead(self._key(kind, identity)).encrypt(nonce, data, self._binding(kind, identity))

    def open(self, kind: Kind, identity: bytes, data: bytes) -> bytes:
        """See `Sealer.open`."""
        if len(data) >= SEAL_BYTES:
            aead = self._aead(self._key(kind, identity))
            try:
                return aead.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], self._binding(kind, identity))
            except self._invalid:
                pass
        raise IntegrityError(
            "A stored object does not open with the repository's key: it was changed, or belongs to another place.",
            hint="Run `maos-ckpt verify --all`.",
            sealed_as=kind.name.lower(),
        )

    def seal_object(self, kind: Kind, name: str, data: bytes) -> bytes:
        """See `Sealer.seal_object`."""
        body = _MAGIC + bytes([_VERSION, kind, 0, 0]) + self.seal(kind, name.encode(), data)
        return body + hashlib.sha256(body).digest()

    def open_object(self, kind: Kind, name: str, data: bytes) -> bytes:
        """See `Sealer.open_object`; the checksum tells damage from a wrong key."""
        if not data.startswith(_MAGIC):
            raise IntegrityError(
                f"The stored object {name} is not encrypted, but this repository is.",
                kept="It was not used.",
                hint="Somebody may have put it there; run `maos-ckpt verify --all`.",
                object=name,
            )
        body, checksum = data[:-_CHECKSUM_BYTES], data[-_CHECKSUM_BYTES:]
        header = _MAGIC + bytes([_VERSION, kind, 0, 0])
        if len(data) < ENVELOPE_BYTES or hashlib.sha256(body).digest() != checksum or not body.startswith(header):
            raise IntegrityError(f"The stored object {name} is damaged.", object=name)
        try:
            return self.open(kind, name.encode(), body[_ENVELOPE_BYTES:])
        except IntegrityError as error:
            error.data["object"] = name
            raise

    def _key(self, kind: Kind, identity: bytes) -> bytes:
        return _expand(self._sealing, bytes([kind]) + identity)

    def _binding(self, kind: Kind, identity: bytes) -> bytes:
        return b"".join((_CONTEXT, bytes([kind]), self._repository, len(identity).to_bytes(4, "big"), identity))


def hkdf(key: bytes, salt: bytes, info: bytes) -> bytes:
    """HKDF-SHA-256 (RFC 5869) for 32 bytes of output, which is one block."""
    return _expand(hmac.digest(salt or bytes(32), key, "sha256"), info)


def _expand(key: bytes, info: bytes) -> bytes:
    return hmac.digest(key, info + b"\x01", "sha256")
