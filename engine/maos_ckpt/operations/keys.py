"""The keys that open a repository: listed, added, removed, replaced. No data are written again for any of this."""

from __future__ import annotations

from dataclasses import dataclass

from maos_ckpt.backends.local import LocalBackend
from maos_ckpt.codec.secret import Secret
from maos_ckpt.codec.slots import Slot, check_new, slot_name
from maos_ckpt.errors import ConflictError, IntegrityError, KeyRefusedError, NotFoundError, UsageError
from maos_ckpt.operations.audit import audited
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.repository.header import read_header
from maos_ckpt.repository.keyring import ENCRYPTION, Keyring, add_slot, keyring, remove_slot, unlock
from maos_ckpt.repository.repository import Repository


@dataclass(frozen=True, slots=True)
class Rotated:
    """The slot that is there now, and the id of the one that is gone."""

    slot: Slot
    removed: str


def list_keys(workspace: Workspace) -> Keyring | None:
    """All keys, without needing one; None where the repository is not encrypted.

    Raises:
        NotFoundError: there is no repository.
    """
    workspace.bring_home()
    backend = LocalBackend(workspace.repository, workspace.seams)
    header = read_header(backend)
    return keyring(backend, header.id) if ENCRYPTION in header.features else None


def add_key(workspace: Workspace, reference: str, label: str) -> Slot:
    """Let another secret open the repository, too.

    Args:
        reference: `env:NAME` or `file:PATH`; empty asks the person at the terminal.

    Raises:
        UsageError: the repository is not encrypted, the passphrase is too short, or the label no label.
        PermissionRefusedError: no secret is named and there is nobody to ask, or the repository does not open.
        ConflictError: there is no room for another one, or this one opens it already.
    """
    secret = _new_secret(workspace, reference, "key add")
    with workspace.marking("key add") as repository, audited(workspace, "key add") as note:
        there = _opened_by(repository, secret)
        if there is not None:
            # Two slots of one secret: whoever removes one believes that it opens nothing any more.
            raise ConflictError(
                f"That key opens the repository already, as {there.id}.",
                kept="Nothing was changed.",
                hint="`maos-ckpt key list` shows the keys.",
            )
        slot = _add(repository, secret, label)
        note.about = (slot.id,)
        return slot


def remove_key(workspace: Workspace, wanted: str) -> str:
    """Take away the key with this id, or a unique beginning of one; the id.

    Raises:
        NotFoundError, UsageError: there is none, or there are several.
        ConflictError: it is the last one.
    """
    with workspace.marking("key remove") as repository, audited(workspace, "key remove") as note:
        slot_id = _find(repository, wanted)
        note.about = (slot_id,)
        _remove(repository, slot_id)
    return slot_id


def rotate_key(workspace: Workspace, reference: str, label: str, wanted: str = "") -> Rotated:
    """Put a new secret in the place of the one that opened the repository now, or of the key with the id `wanted`.

    Interrupted, both open it. Raises as `add_key` and `remove_key`.
    """
    secret = _new_secret(workspace, reference, "key rotate")
    with workspace.marking("key rotate") as repository, audited(workspace, "key rotate") as note:
        unlocked = workspace.key.unlocked
        old = _find(repository, wanted) if wanted or unlocked is None else unlocked.slot
        labels = {one.id: one.label for one in keyring(repository.backend, repository.header.id).slots}
        # The new one may be there from a rotation that was interrupted.
        slot = _opened_by(repository, secret) or _add(repository, secret, label or labels.get(old, ""))
        if slot.id == old:
            raise ConflictError(
                f"The new key is the one that is to go, {old}.",
                kept="Nothing was changed.",
                hint="Name another one with --new-key.",
            )
        note.about = (slot.id, old)
        _remove(repository, old)
    return Rotated(slot, old)


def _new_secret(workspace: Workspace, reference: str, operation: str) -> Secret:
    """The new secret, found before the lease is taken, and after the repository has shown that it opens."""
    workspace.refuse_if_read_only(operation)
    if list_keys(workspace) is None:
        raise _not_encrypted()
    workspace.unlock_ahead()
    secret = workspace.key.named(reference, "A new key is needed", new=True)
    check_new(secret)
    return secret


def _opened_by(repository: Repository, secret: Secret) -> Slot | None:
    """The slot that a secret opens already."""
    if ENCRYPTION not in repository.header.features:
        raise _not_encrypted()
    try:
        return unlock(repository.backend, repository.header.id, secret)[1]
    except (KeyRefusedError, IntegrityError):
        return None


def _add(repository: Repository, secret: Secret, label: str) -> Slot:
    master = repository.sealer.master
    if master is None:
        raise _not_encrypted()
    return add_slot(repository.backend, master, secret, repository.header.id, repository.seams, label=label)


def _remove(repository: Repository, slot_id: str) -> None:
    remove_slot(repository.backend, slot_id, repository.header.id)
    if repository.remote is not None:
        # That a slot is not here does not say that it should go there: only this does.
        repository.remote.memory.doom([slot_name(slot_id)])


def _find(repository: Repository, wanted: str) -> str:
    if ENCRYPTION not in repository.header.features:
        raise _not_encrypted()
    ring = keyring(repository.backend, repository.header.id)
    ids = [one.id for one in ring.slots] + [name.rpartition("/")[2].removesuffix(".json") for name in ring.damaged]
    found = [one for one in ids if wanted and one.startswith(wanted)]
    if len(found) > 1:
        raise UsageError(f"{len(found)} keys begin with {wanted[:40]!r}.", kept="Nothing was changed.", ids=found)
    if not found:
        raise NotFoundError(
            f"There is no key {wanted[:40]!r}.", kept="Nothing was changed.", hint="`maos-ckpt key list` shows them."
        )
    return found[0]


def _not_encrypted() -> UsageError:
    return UsageError(
        "The repository is not encrypted, so it has no keys.",
        kept="Nothing was changed.",
        hint="Encryption cannot be switched on afterwards: make a new repository with encryption_enabled.",
    )
