"""Looking whether stored bytes are an object of a repository."""

from __future__ import annotations

from maos_ckpt.codec.crypto import Kind
from maos_ckpt.codec.slots import decode_slot
from maos_ckpt.errors import IntegrityError
from maos_ckpt.repository import header as headers
from maos_ckpt.repository import marks
from maos_ckpt.repository.manifests import decode_manifest
from maos_ckpt.repository.repository import Repository


def check_object(repository: Repository, name: str, data: bytes) -> None:
    """Look whether these are the bytes of an object of that name: header, manifest, marks or key slot.

    Raises:
        IntegrityError, FormatError: they cannot be read, or are of another repository.
    """
    directory = name.partition("/")[0]
    owner = repository.header.id
    if name == headers.NAME:
        owner = headers.decode_header(data, str(repository.path)).id
    elif directory == "manifests":
        owner = decode_manifest(data, name, repository.sealer).repository
    elif directory == marks.DIRECTORY:
        marks.check_marks(name, repository.sealer.open_object(Kind.MARKS, name, data))
    elif directory == "keys":
        decode_slot(name, data, repository.header.id)
    if owner != repository.header.id:
        raise IntegrityError(f"The object {name} is of another repository.", object=name)
