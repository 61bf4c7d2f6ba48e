"""A home whose header is damaged or gone, mended from the remote copy before it is opened: nothing works without it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import msgspec

from maos_ckpt.backends.local import LocalBackend
from maos_ckpt.codec.crypto import PlainSealer
from maos_ckpt.errors import CkptError, FormatError, IntegrityError, MissingObjectError, NotFoundError
from maos_ckpt.fs import raise_storage_error
from maos_ckpt.integrity.quarantine import DIRECTORY
from maos_ckpt.model import LOCAL_TIER, ObjectRepair
from maos_ckpt.repository import header as headers
from maos_ckpt.repository.connect import RemoteSettings, connected
from maos_ckpt.repository.keyring import DIRECTORY as KEYS
from maos_ckpt.repository.keyring import ENCRYPTION, keyring
from maos_ckpt.repository.lease import lease
from maos_ckpt.repository.manifests import MANIFEST_BYTES_MAX, decode_manifest
from maos_ckpt.repository.remote_memory import RemoteMemory
from maos_ckpt.seams import Seams


def mend_header(home: Path, settings: RemoteSettings | None, wait_s: float, seams: Seams) -> list[ObjectRepair]:
    """What was done about the header: nothing where it is whole, or where there is no home yet; else it was repaired,
    and then the second one says where the damaged one is kept.

    Raises:
        IntegrityError: it is damaged, and the remote copy cannot help.
        FormatError: a newer program wrote it, so it is not this one's to mend.
    """
    backend = LocalBackend(home, seams)
    try:
        headers.read_header(backend)
    except (IntegrityError, NotFoundError) as error:
        half_gone = isinstance(error, NotFoundError)
        if half_gone and backend.missing(["packs", "manifests"]):
            return []
        if settings is None:
            if half_gone:
                return []
            raise
        with lease(home / "lease", "repair", wait_s, seams):
            return _replace(backend, settings, seams, error)
    return []


def _replace(backend: LocalBackend, settings: RemoteSettings, seams: Seams, why: CkptError) -> list[ObjectRepair]:
    with contextlib.closing(connected(settings, RemoteMemory(None, settings.s3.location), seams)) as remote:
        try:
            data = remote.read(headers.NAME, headers.BYTES_MAX)
        except MissingObjectError:
            # Nothing was ever replicated there.
            raise why from None
    header = headers.decode_header(data, settings.s3.location)
    if not _is_of(backend, header):
        raise why
    done = [ObjectRepair(LOCAL_TIER, headers.NAME, "taken from the remote copy")]
    damaged = backend.root / headers.NAME
    if damaged.exists():
        backend.make_directories([DIRECTORY])
        kept = f"{DIRECTORY}/{LOCAL_TIER}-{headers.NAME}-{seams.clock.now_ms()}-{seams.random.token(4).hex()}"
        try:
            os.link(damaged, backend.root / kept)
        except OSError as error:
            raise_storage_error(error, backend.root / kept)
        done.append(ObjectRepair(LOCAL_TIER, headers.NAME, kept))
    backend.replace(headers.NAME, data)
    return done


def _is_of(backend: LocalBackend, header: headers.Header) -> bool:
    """Whether the manifests at hand, where any can be read, are of the repository with that header; of an encrypted
    one, whose manifests say nothing without a key, the key slots."""
    if ENCRYPTION in header.features or not backend.missing([KEYS]):
        sealed = ENCRYPTION in header.features and not backend.missing([KEYS])
        return sealed and bool(keyring(backend, header.id).slots)
    for name in sorted(backend.list("manifests"), reverse=True):
        with contextlib.suppress(IntegrityError, FormatError, msgspec.DecodeError):
            manifest = decode_manifest(backend.read(name, MANIFEST_BYTES_MAX), name, PlainSealer())
            return manifest.repository == header.id
    return True
