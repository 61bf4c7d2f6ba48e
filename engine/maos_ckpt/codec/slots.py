"""Key slots: the master key wrapped by a passphrase or a key file, one JSON object each (FORMAT.md, "Key slots").

A passphrase is made slow to guess by scrypt (RFC 7914); its cost is stored in the slot, and bounded when read, because
whoever can write to the storage could otherwise make opening it take hours or all memory. A key file is random already
and goes through HKDF alone.

AES-GCM does not commit to its key, and a failed tag does not tell a wrong passphrase from a damaged slot. So each slot
has a checksum, which any damage breaks, and a check value, another output of the same derivation, compared before the
master key is unwrapped: a secret that fails there is a wrong one.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import msgspec

from maos_ckpt.codec.crypto import NONCE_BYTES, SEAL_BYTES, hkdf
from maos_ckpt.codec.secret import MASTER_BYTES, Secret
from maos_ckpt.codec.undecodable import UNDECODABLE
from maos_ckpt.errors import FormatError, IntegrityError, KeyRefusedError, UsageError
from maos_ckpt.seams import Seams

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

VERSION = 1
SLOT_BYTES_MAX = 4096
#: More slots than this are refused, so that opening a repository has a bounded cost.
SLOTS_MAX = 16
LABEL_CHARACTERS_MAX = 80
#: For new slots; an old passphrase stays good.
PASSPHRASE_BYTES_MIN = 8
_ID_BYTES = 8
_SALT_BYTES = 32
#: scrypt needs 128 * n * r bytes of memory, and time in proportion to n * r * p.
_SCRYPT_N_MIN = 1 << 14
_SCRYPT_MEMORY_BYTES_MAX = 512 << 20
_SCRYPT_WORK_MAX = 1 << 22
_DAMAGED_HINT = "Restore the slot from a copy of keys/, or open the repository with another slot's secret."


@dataclass(frozen=True, slots=True)
class ScryptCost:
    """scrypt's parameters; the default takes 128 MiB and about half a second."""

    n: int = 1 << 17
    r: int = 8
    p: int = 1


class Slot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One key slot; byte strings are in hex, `n`, `r`, `p` are 0 for a key file, `label` is what its owner wrote."""

    version: int
    id: str
    repository: str
    kind: str
    label: str
    created_at_ms: int
    n: int
    r: int
    p: int
    salt: str
    check: str
    wrapped: str
    checksum: str = ""


def slot_name(slot_id: str) -> str:
    """The object name of a slot."""
    return f"keys/{slot_id}.json"


def new_master(seams: Seams) -> Secret:
    """A fresh master key."""
    return Secret("master", seams.random.token(MASTER_BYTES))


def check_new(secret: Secret) -> None:
    """Raise `UsageError` where a passphrase is too short for a new slot."""
    if secret.kind == "passphrase" and len(secret.reveal()) < PASSPHRASE_BYTES_MIN:
        raise UsageError(
            f"A passphrase of fewer than {PASSPHRASE_BYTES_MIN} characters protects nothing.",
            kept="Nothing was changed.",
            hint="Take a longer one; several random words are easy to keep.",
        )


def new_slot(
    master: Secret, secret: Secret, repository: str, seams: Seams, *, label: str = "", cost: ScryptCost | None = None
) -> Slot:
    """A slot that opens with `secret`.

    Raises:
        UsageError: the passphrase is shorter than 8 bytes, the label too long, or the cost out of bounds.
    """
    check_new(secret)
    if len(label) > LABEL_CHARACTERS_MAX or not label.isprintable():
        raise UsageError(f"A key's label is at most {LABEL_CHARACTERS_MAX} printable characters.")
    cost = (cost or ScryptCost()) if secret.kind == "passphrase" else ScryptCost(0, 0, 0)
    slot = Slot(
        VERSION,
        seams.random.token(_ID_BYTES).hex(),
        repository,
        secret.kind,
        label,
        seams.clock.now_ms(),
        cost.n,
        cost.r,
        cost.p,
        seams.random.token(_SALT_BYTES).hex(),
        "",
        "",
    )
    if not _fits(slot):
        raise UsageError("These scrypt parameters are out of bounds.", n=cost.n, r=cost.r, p=cost.p)
    derived = _derive(slot, secret)
    slot = msgspec.structs.replace(slot, check=_check(derived).hex())
    nonce = seams.random.token(NONCE_BYTES)
    sealed = _aead(derived).encrypt(nonce, master.reveal(), _binding(slot))
    slot = msgspec.structs.replace(slot, wrapped=(nonce + sealed).hex())
    return msgspec.structs.replace(slot, checksum=_checksum(slot))


def encode_slot(slot: Slot) -> bytes:
    """A slot's stored form; there is exactly one."""
    return msgspec.json.format(msgspec.json.encode(slot), indent=2) + b"\n"


def decode_slot(name: str, data: bytes, repository: str) -> Slot:
    """The slot stored under `name`, checked without any secret.

    Raises:
        FormatError: a newer version wrote it.
        IntegrityError: it is damaged, of another repository, under another's name, or asks for more than is allowed.
    """
    try:
        version = msgspec.json.decode(data[:SLOT_BYTES_MAX], type=dict[str, object]).get("version")
        if isinstance(version, int) and version != VERSION:
            raise FormatError(f"The key slot {name} is of version {version}, which this program cannot read.")
        slot = msgspec.json.decode(data, type=Slot)
        lengths = [len(bytes.fromhex(part)) for part in (slot.id, slot.salt, slot.check, slot.wrapped)]
        checksum = _checksum(slot)
    except UNDECODABLE:
        # JSON knows larger numbers than the form that is summed up.
        _damaged(name)
    # A slot has one stored form, so that no byte of the file can change unnoticed.
    whole = hmac.compare_digest(slot.checksum.encode(), checksum.encode()) and encode_slot(slot) == data
    sizes = [_ID_BYTES, _SALT_BYTES, 32, MASTER_BYTES + SEAL_BYTES]
    if not whole or lengths != sizes or slot_name(slot.id) != name or not _fits(slot):
        _damaged(name)
    if slot.repository != repository:
        raise IntegrityError(f"The key slot {name} belongs to another repository.", hint=_DAMAGED_HINT, object=name)
    return slot


def open_slot(slot: Slot, secret: Secret) -> Secret | None:
    """The master key, or None where `secret` is not this slot's.

    Raises:
        IntegrityError: it is this slot's, but the wrapped key was changed.
    """
    if slot.kind != secret.kind:
        return None
    derived = _derive(slot, secret)
    if not hmac.compare_digest(_check(derived), bytes.fromhex(slot.check)):
        return None
    from cryptography.exceptions import InvalidTag

    wrapped = bytes.fromhex(slot.wrapped)
    try:
        master = _aead(derived).decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], _binding(slot))
    except InvalidTag:
        _damaged(slot_name(slot.id))
    return Secret("master", master)


def open_slots(stored: Mapping[str, bytes], secret: Secret, repository: str) -> tuple[Secret, Slot]:
    """The master key, by the first of the stored slots (name → bytes) that `secret` opens.

    A damaged slot does not keep another from opening.

    Raises:
        KeyRefusedError: it opens none of them.
        IntegrityError: it opens none, and some are damaged; or there are no slots, or too many.
    """
    if not 0 < len(stored) <= SLOTS_MAX:
        raise IntegrityError(
            f"The repository is encrypted and has {len(stored)} key slots; it must have 1 to {SLOTS_MAX}.",
            kept="Nothing was changed.",
            hint="Restore keys/ from a copy.",
        )
    damaged: dict[str, IntegrityError | FormatError] = {}
    for name in sorted(stored):
        try:
            slot = decode_slot(name, stored[name], repository)
            master = open_slot(slot, secret)
        except (IntegrityError, FormatError) as error:
            damaged[name] = error
            continue
        if master is not None:
            return master, slot
    what = "passphrase" if secret.kind == "passphrase" else "key file"
    if damaged:
        raise IntegrityError(
            f"The {what} opens none of the {len(stored)} key slots, and {len(damaged)} of them cannot be read.",
            kept="Nothing was changed.",
            hint=_DAMAGED_HINT,
            damaged=sorted(damaged),
        ) from next(iter(damaged.values()))
    raise KeyRefusedError(
        f"The {what} opens none of the repository's key slots.",
        kept="Nothing was read or changed.",
        hint="Give the right passphrase or key file; without one of them the repository cannot be read.",
        slots=len(stored),
    )


def _fits(slot: Slot) -> bool:
    if slot.kind == "key_file":
        return slot.n == slot.r == slot.p == 0
    n, r, p = slot.n, slot.r, slot.p
    if slot.kind != "passphrase" or n < _SCRYPT_N_MIN or n & (n - 1) or not 8 <= r <= 64 or not 1 <= p <= 64:
        return False
    return 128 * n * r <= _SCRYPT_MEMORY_BYTES_MAX and n * r * p <= _SCRYPT_WORK_MAX


def _derive(slot: Slot, secret: Secret) -> bytes:
    salt = bytes.fromhex(slot.salt)
    if slot.kind == "key_file":
        return hkdf(secret.reveal(), salt, b"maos-ckpt key file 1")
    memory = 128 * slot.r * (slot.n + slot.p + 2)
    return hashlib.scrypt(
        secret.reveal(), salt=salt, n=slot.n, r=slot.r, p=slot.p, maxmem=memory + (1 << 20), dklen=MASTER_BYTES
    )


def _check(derived: bytes) -> bytes:
    return hkdf(derived, b"", b"maos-ckpt slot check 1")


def _aead(derived: bytes) -> AESGCM:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(hkdf(derived, b"", b"maos-ckpt slot wrap 1"))


def _binding(slot: Slot) -> bytes:
    """Everything in a slot but the wrapped key and the checksum."""
    fields = msgspec.structs.astuple(slot)[:-2]
    return msgspec.msgpack.encode(fields)


def _checksum(slot: Slot) -> str:
    return hashlib.sha256(msgspec.msgpack.encode(msgspec.structs.astuple(slot)[:-1])).hexdigest()


def _damaged(name: str) -> NoReturn:
    raise IntegrityError(
        f"The key slot {name} is damaged.", kept="Nothing was changed.", hint=_DAMAGED_HINT, object=name
    ) from None
