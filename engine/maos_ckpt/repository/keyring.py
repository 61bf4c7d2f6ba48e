"""The key slots of an encrypted repository: made, opened, added, removed (FORMAT.md, "Key slots").

Changing a passphrase adds a slot and removes the old one; no data are written again. That also means that whoever kept
a copy of the old slot and knows its secret still has the master key: after a leak only a new repository helps.

Whoever writes here holds the repository's lease.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from itertools import islice

from maos_ckpt.backends.base import Backend
from maos_ckpt.codec.crypto import KeyedSealer, PlainSealer, Sealer
from maos_ckpt.codec.secret import Secret
from maos_ckpt.codec.slots import (
    SLOT_BYTES_MAX,
    SLOTS_MAX,
    ScryptCost,
    Slot,
    decode_slot,
    encode_slot,
    new_slot,
    open_slot,
    open_slots,
    slot_name,
)
from maos_ckpt.errors import (
    ConflictError,
    FormatError,
    IntegrityError,
    KeyRefusedError,
    NotEncryptedError,
    NotFoundError,
)
from maos_ckpt.seams import Random, Seams

#: The header's feature of an encrypted repository.
ENCRYPTION = "encryption"
#: Gives what opens the repository that lies in a backend, by its id and the features in its header; None where it is
#: not encrypted. Raises as `open_sealer` does.
Unlock = Callable[[Backend, str, Collection[str]], Secret | None]
#: Where key slots lie.
DIRECTORY = "keys"


@dataclass(frozen=True, slots=True)
class Keyring:
    """The slots that can be read, oldest first, and what is wrong with the others (object name → why)."""

    slots: list[Slot]
    damaged: dict[str, str]


def _stored(backend: Backend) -> dict[str, bytes]:
    stored = {}
    for name, size in islice(backend.entries(DIRECTORY), SLOTS_MAX + 1):
        # A slot that is too long counts as damaged, and must not keep the others from opening.
        stored[name] = backend.read(name, SLOT_BYTES_MAX) if size <= SLOT_BYTES_MAX else b""
    return stored


def keyring(backend: Backend, repository: str) -> Keyring:
    """All slots, without opening any."""
    slots, damaged = [], {}
    for name, data in _stored(backend).items():
        try:
            slots.append(decode_slot(name, data, repository))
        except (IntegrityError, FormatError) as error:
            damaged[name] = str(error)
    return Keyring(sorted(slots, key=lambda one: (one.created_at_ms, one.id)), damaged)


def unlock(backend: Backend, repository: str, secret: Secret) -> tuple[Secret, Slot]:
    """The master key and the slot that gave it; raises as `open_slots` does."""
    return open_slots(_stored(backend), secret, repository)


def open_sealer(
    backend: Backend, repository: str, features: Collection[str], key: Secret | None, random: Random
) -> Sealer:
    """What seals a repository's objects, by the features in its header.

    Args:
        key: a passphrase, a key file, or the master key itself from a process that has it; given whenever the
            configuration says that the repository is encrypted. The header is not sealed: without this, whoever can
            replace it could make the next save write in the clear.

    Raises:
        KeyRefusedError: there is no key, or it opens no slot.
        IntegrityError: there is a key, and the repository is not encrypted; or as `open_slots`.
    """
    if ENCRYPTION not in features:
        if key is None:
            return PlainSealer()
        raise not_encrypted()
    if key is None:
        raise no_key("The repository is encrypted, and no key was given.")
    master = key if key.kind == "master" else unlock(backend, repository, key)[0]
    return KeyedSealer(master, repository, random)


def without_key(backend: Backend, repository: str, features: Collection[str]) -> Secret | None:
    """Opens what is in the clear, and refuses everything else."""
    if ENCRYPTION in features:
        raise no_key("The repository is encrypted, and no key was given.")
    return None


def no_key(message: str) -> KeyRefusedError:
    """The error where a key is needed and none is named."""
    return KeyRefusedError(
        message,
        kept="Nothing was read or changed.",
        hint="Name the key as `encryption_key` in the configuration or as MAOS_CKPT_ENCRYPTION_KEY: "
        "env:NAME (a variable that holds the passphrase) or file:PATH (a key file).",
    )


def not_encrypted() -> NotEncryptedError:
    """The error where a key is there and the repository is in the clear."""
    return NotEncryptedError(
        "The repository is not encrypted, although the configuration says that it is.",
        kept="Nothing was read or changed.",
        hint="Encryption cannot be switched on afterwards: make a new repository with --repo. "
        "If this one was encrypted, somebody has replaced its header: restore that from a copy.",
    )


def add_slot(
    backend: Backend,
    master: Secret,
    secret: Secret,
    repository: str,
    seams: Seams,
    *,
    label: str = "",
    cost: ScryptCost | None = None,
) -> Slot:
    """Let `secret` open the repository, too; for a new repository this is the first slot.

    Raises:
        ConflictError: there is no room for another slot.
        UsageError: as `new_slot`.
    """
    if len(_stored(backend)) >= SLOTS_MAX:
        raise ConflictError(
            f"The repository has {SLOTS_MAX} key slots already.",
            kept="Nothing was changed.",
            hint="Remove one that is no longer used.",
        )
    slot = new_slot(master, secret, repository, seams, label=label, cost=cost)
    name = slot_name(slot.id)
    backend.create(name, encode_slot(slot))
    # Read back and opened, before anybody relies on it: a slot that does not open is a repository lost.
    opened = open_slot(decode_slot(name, backend.read(name, SLOT_BYTES_MAX), repository), secret)
    if opened is None or opened.reveal() != master.reveal():
        raise IntegrityError(f"The key slot {name} was not stored as it was written.", object=name)
    return slot


def remove_slot(backend: Backend, slot_id: str, repository: str) -> None:
    """Take a slot away; its secret then opens nothing that is stored here.

    Raises:
        NotFoundError: there is no such slot.
        ConflictError: no other slot could be read; the repository would be lost.
    """
    ring = keyring(backend, repository)
    name = slot_name(slot_id)
    if name not in ring.damaged and all(one.id != slot_id for one in ring.slots):
        raise NotFoundError(
            f"There is no key slot {slot_id[:40]!r}.", kept="Nothing was changed.", ids=[one.id for one in ring.slots]
        )
    if all(one.id == slot_id for one in ring.slots):
        raise ConflictError(
            "That is the last key slot that can be read; without it the repository could not be opened.",
            kept="Nothing was changed.",
            hint="Add another key first.",
        )
    backend.delete(name)
