"""A pack that takes the place of others: it is read back before anything that it replaces may go."""

from __future__ import annotations

import hashlib

from maos_ckpt.backends.base import Backend
from maos_ckpt.errors import IntegrityError, MissingObjectError
from maos_ckpt.repository.pack_writer import PackWriter
from maos_ckpt.repository.packs import SealedPack
from maos_ckpt.repository.repository import Repository

_PORTION_BYTES = 8 << 20


def digest(backend: Backend, name: str) -> tuple[bytes, int]:
    """SHA-256 of a stored object and its size in bytes, in bounded memory.

    Raises:
        MissingObjectError: there is none.
    """
    size = backend.size(name)
    if size is None:
        raise MissingObjectError(f"The stored object {name} is missing.", object=name)
    found = hashlib.sha256()
    for offset in range(0, size, _PORTION_BYTES):
        found.update(backend.read_range(name, offset, min(_PORTION_BYTES, size - offset)))
    return found.digest(), size


def seal_checked(repository: Repository, writer: PackWriter) -> SealedPack:
    """Seal a pack, read it back, and enter it into the chunk index; an empty one where no chunk was added.

    Raises:
        StorageError: the storage refuses.
        IntegrityError: it reads back differently. It is taken away again, unless checkpoints may count on a pack of
            that name already.
    """
    known = repository.index.packs()
    sealed = writer.seal()
    if not sealed.size:
        return sealed
    try:
        if digest(repository.backend, sealed.name) != (sealed.digest, sealed.size):
            raise IntegrityError("A pack that was just written reads back differently.", object=sealed.name)
    except IntegrityError:
        if sealed.name not in known:
            repository.backend.delete(sealed.name)
        raise
    repository.reader.forget(sealed.name)
    repository.index.add_pack(sealed.name, sealed.size, writer.chunks)
    return sealed
